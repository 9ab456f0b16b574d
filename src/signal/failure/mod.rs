//! Which failure an answer is.

mod body;
mod evidence;
mod field;
mod figures;
mod head;
mod hit;
mod message;
mod model;
mod place;
mod quota_id;
mod scope;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::{HeaderName, StatusCode};

pub use self::head::outcome_of_head;
use self::{
    evidence::Evidence,
    hit::{complete_from_headers, reset_of_hit},
    quota_id::QuotaId,
};
use super::{
    Answer, Dialect, QuotaReading,
    headers::quotas_at,
    hint, quotas,
    rules::{FailureRule, Verdict, of_dialect, shared},
    words::Words,
};
use crate::outcome::{Failure, FailureKind, LimitHit, Outcome, Window};

/// What an answer meant, by its status, headers and body. See the [module docs](super) for the order of the evidence.
///
/// `dialect` is who answered, where that is known; otherwise it is recognised from the answer itself. The body may be
/// the first part only.
pub fn outcome_of(answer: &Answer<'_>, dialect: Option<Dialect>) -> Outcome {
    outcome_by_rules(answer, dialect, &[])
}

/// What an answer meant, where rules of one's own are asked before the crate's. See [`outcome_of`].
pub fn outcome_by_rules(
    answer: &Answer<'_>,
    dialect: Option<Dialect>,
    rules: &[FailureRule],
) -> Outcome {
    let is_success = answer.status.as_u16() < 400;
    if is_success && answer.body.is_empty() {
        return Outcome::Success;
    }
    let server_time = hint::server_time(answer.headers, answer.now);
    let evidence = body::read(answer.body, is_success, server_time);
    if is_success && evidence.is_filtered && !evidence.is_error {
        return Failure::new(FailureKind::ContentFiltered).into();
    }
    if is_success && !evidence.is_error {
        return Outcome::Success;
    }
    Reading::new(answer, dialect, evidence, server_time)
        .failure(rules)
        .into()
}

/// A failed answer and all that was found in it.
struct Reading<'a> {
    answer: &'a Answer<'a>,
    dialect: Option<Dialect>,
    evidence: Evidence,
    /// The words of the messages.
    words: Words,
    server_time: SystemTime,
}

impl<'a> Reading<'a> {
    fn new(
        answer: &'a Answer<'a>,
        dialect: Option<Dialect>,
        mut evidence: Evidence,
        server_time: SystemTime,
    ) -> Self {
        if let Some(kind) = error_type(answer) {
            evidence.add_code(kind);
        }
        let words = Words::new(&evidence.text);
        let dialect = dialect
            .or_else(|| Dialect::from_headers(answer.headers))
            .or_else(|| Dialect::from_body(&words, &evidence.codes));
        if dialect == Some(Dialect::MiniMax)
            && let Some(code) = code_in_brackets(&evidence.text)
        {
            let code = code.to_owned();
            evidence.add_code(&code);
        }
        Self {
            answer,
            dialect,
            evidence,
            words,
            server_time,
        }
    }

    fn failure(mut self, rules: &[FailureRule]) -> Failure {
        let verdict = self.verdict(rules);
        let quotas = self.quotas();
        let mut limit = self.limit(verdict.kind, &quotas);
        let wait = self.wait(&limit, &quotas);
        let kind = self.kind_by_figures(verdict.kind, &limit, wait.is_some());
        let verdict = if kind == verdict.kind {
            verdict
        } else {
            Verdict::of(kind)
        };

        let mut failure = Failure::new(kind).with_retry_after(wait);
        failure.retry_same = verdict.retry_same;
        failure.fall_back = verdict.fall_back;
        match hint::should_retry(self.answer.headers) {
            Some(false) => failure.retry_same = false,
            // What needs money, a person or another request does not come right by asking again, whatever the header.
            Some(true) if !is_final(kind) => failure.retry_same = true,
            _ => {}
        }
        if is_about_request(kind) {
            failure.param = self.evidence.param.take();
        }
        let message = message::shorten(&self.evidence.text, &self.words);
        failure.message = message.map(Into::into);
        let model = self.evidence.limit.model.take();
        limit.model = model::read(&self.evidence.text, &self.words)
            .map(Into::into)
            .or(model);
        // A quota that is used up for one model leaves the others.
        failure.account_wide &= limit.model.is_none();
        failure.limit = (limit != LimitHit::default()).then(|| Box::new(limit));
        failure
    }

    /// The first rule that matches, else the status.
    fn verdict(&self, rules: &[FailureRule]) -> Verdict {
        let status = self.answer.status.as_u16();
        let codes = &self.evidence.codes;
        let own = rules
            .iter()
            .find(|rule| rule.matches(status, codes, self.words.text()));
        own.map(FailureRule::verdict)
            .or_else(|| of_dialect(self.dialect?)?.verdict(status, codes, &self.words))
            .or_else(|| shared().verdict(status, codes, &self.words))
            .unwrap_or_else(|| self.verdict_of_status())
    }

    fn verdict_of_status(&self) -> Verdict {
        let status = match self.answer.status.as_u16() {
            // An error inside a success that claims no status and says nothing that is known.
            ..400 => self.evidence.status.unwrap_or(500),
            status => status,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let failure = match head::is_limit_in_disguise(status, self.answer.headers) {
            true => Failure::new(FailureKind::RateLimited),
            false => head::failure_of_status(status),
        };
        Verdict {
            kind: failure.kind,
            retry_same: failure.retry_same,
            fall_back: failure.fall_back,
        }
    }

    /// The limit that was hit: as the body says it, completed from the headers.
    fn limit(&self, kind: FailureKind, quotas: &[QuotaReading<'_>]) -> LimitHit {
        let mut limit = LimitHit {
            model: None,
            ..self.evidence.limit.clone()
        };
        match kind {
            FailureKind::RateLimited | FailureKind::QuotaExhausted => {
                figures::read(&self.words, &mut limit);
                let scope = self.scope();
                limit.dimension = scope.dimension;
                limit.window = scope.window;
                complete_from_headers(&mut limit, quotas);
                if kind == FailureKind::RateLimited && limit.dimension.is_none() {
                    limit.dimension = scope::at_least_said(&self.words);
                }
            }
            FailureKind::RequestTooLarge => {
                figures::read(&self.words, &mut limit);
                let scope = scope::read(&self.words);
                limit.window = scope.window;
                limit.dimension = match scope.window {
                    Some(_) => scope.dimension,
                    None => scope::of_size(&self.words, &self.evidence.codes),
                };
            }
            FailureKind::InvalidRequest => figures::read(&self.words, &mut limit),
            _ => {}
        }
        limit
    }

    /// What is limited: the quota's name says it best, then the sentence, then the codes.
    fn scope(&self) -> QuotaId {
        let named = self.evidence.quota.unwrap_or_default();
        if named.dimension.is_some() && named.window.is_some() {
            return named;
        }
        let said = scope::read(&self.words);
        QuotaId {
            dimension: named
                .dimension
                .or(said.dimension)
                .or_else(|| scope::of_codes(&self.evidence.codes)),
            window: named.window.or(said.window),
        }
    }

    /// The quota headers, and those that a gateway relays in the body.
    fn quotas(&self) -> Vec<QuotaReading<'_>> {
        let mut readings = quotas_at(self.answer.headers, self.server_time);
        // Relayed headers may have a date of their own.
        readings.extend(quotas(&self.evidence.headers, self.server_time));
        readings
    }

    /// The longest wait that is asked for; else the reset of the quota that was hit.
    fn wait(&self, limit: &LimitHit, quotas: &[QuotaReading<'_>]) -> Option<Duration> {
        let asked = hint::longest_retry_after(self.answer.headers, self.answer.now)
            .max(hint::longest_retry_after(
                &self.evidence.headers,
                self.server_time,
            ))
            .max(self.evidence.wait)
            .max(hint::find_wait_in(&self.words, self.server_time));
        asked.or_else(|| reset_of_hit(limit, quotas))
    }

    /// What the figures make of it, whatever the words.
    fn kind_by_figures(&self, kind: FailureKind, limit: &LimitHit, has_wait: bool) -> FailureKind {
        if kind != FailureKind::RateLimited {
            return kind;
        }
        let never_fits = match (limit.limit, limit.requested) {
            (Some(limit), Some(requested)) => requested > limit,
            _ => false,
        };
        let is_long = matches!(limit.window, Some(Window::Day | Window::Month));
        // Google sends a retry delay of seconds with a quota per day: it is the next minute's, and does not help.
        let no_end = !has_wait || self.dialect == Some(Dialect::Gemini);
        match limit.limit {
            Some(0.0) => FailureKind::QuotaExhausted,
            _ if never_fits => FailureKind::RequestTooLarge,
            _ if is_long && no_end => FailureKind::QuotaExhausted,
            _ => kind,
        }
    }
}

impl Verdict {
    fn of(kind: FailureKind) -> Self {
        FailureRule::new(kind).verdict()
    }
}

/// AWS names the error in a header: `ThrottlingException:http://internal.amazon.com/…`.
fn error_type<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    static NAME: HeaderName = HeaderName::from_static("x-amzn-errortype");
    let value = answer.headers.get(&NAME)?.to_str().ok()?;
    value.split(':').next()
}

/// "insufficient balance (1008)": MiniMax puts its number there where an answer in OpenAI's format has no room for it.
fn code_in_brackets(text: &str) -> Option<&str> {
    let (_, code) = text.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    let is_number = code.len() == 4 && code.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then_some(code)
}

/// Whether the request itself is at fault.
fn is_about_request(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::InvalidRequest | FailureKind::ContentFiltered | FailureKind::RequestTooLarge
    )
}

/// Whether asking again changes nothing.
fn is_final(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::QuotaExhausted | FailureKind::RequestTooLarge | FailureKind::Auth
    )
}
