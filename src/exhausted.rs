//! The error of a chain that has nobody left to turn to.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    outcome::{Failure, FailureKind, RefusedBy},
    period::whole_millis,
    request::Attempt,
};

/// No upstream of a chain could answer: each has failed, or was passed by. Written out, it tells of each in one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exhausted {
    /// Every attempt of this request, in order; empty where nobody was asked.
    pub attempts: Vec<Attempt>,
    /// The upstreams that were not asked: those of the chain, in its order, and those that are only in the request's
    /// [`Preferences`](crate::Preferences).
    pub passed_by: Vec<PassedBy>,
    /// How long until the next request would be let through to an upstream. `None` where that is at once, as it is after failures
    /// without a time ([`WhenExhausted::Probe`](crate::WhenExhausted::Probe)), and where nobody knows. What upstreams asked for is
    /// told also where the chain holds nobody to it ([`WhenExhausted::TryAnyway`](crate::WhenExhausted::TryAnyway)) or waits for it.
    pub retry_after: Option<Duration>,
}

/// An upstream that was not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedBy {
    /// Its id, or the name by which the request asked for it.
    pub upstream: Arc<str>,
    /// Why.
    pub why: WhyNot,
    /// How long until it is not passed by for that reason, where that is known. A cooldown that is only a guess may end sooner.
    pub wait: Option<Duration>,
}

/// Why an upstream was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhyNot {
    /// It is cooling down after such a failure, of this request or another.
    CoolingDown(FailureKind),
    /// Its limiter or its circuit breaker, which the chain [consults](crate::Chain::consult), would have refused the request: this
    /// one.
    WouldRefuse(RefusedBy),
    /// The request was too large for a context that is no smaller.
    ContextTooSmall,
    /// The request's own [`Preferences`](crate::Preferences) exclude it.
    Excluded,
    /// The request had no attempt left.
    NoAttemptLeft,
    /// The request asks for [only](crate::Preferences::only) such ones, and no upstream of the chain has that name.
    NotInChain,
}

impl PassedBy {
    /// One that was not asked, for an observer of your own, and for tests.
    pub fn new(upstream: impl Into<Arc<str>>, why: WhyNot, wait: Option<Duration>) -> Self {
        Self {
            upstream: upstream.into(),
            why,
            wait,
        }
    }
}

impl Exhausted {
    /// Whether limits alone are the reason, those of the upstreams or our own. A refusal by an open circuit is none.
    pub fn is_rate_limited(&self) -> bool {
        self.is_all(|kind, refused_by| match kind {
            FailureKind::RateLimited | FailureKind::QuotaExhausted => true,
            FailureKind::Refused => refused_by == Some(RefusedBy::Limit),
            _ => false,
        })
    }

    /// Whether only our own limiters and breakers spoke.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_all(|kind, _| kind == FailureKind::Refused)
    }

    /// Whether the request was too large for everybody: no time makes it smaller.
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_all(|kind, _| kind == FailureKind::RequestTooLarge)
    }

    /// Whether every attempt was refused before it was sent, by our own limiters and breakers.
    pub(crate) fn is_unsent(&self) -> bool {
        let mut kinds = self.attempts.iter().map(|attempt| attempt.failure.kind);
        kinds.all(|kind| kind == FailureKind::Refused)
    }

    fn is_all(&self, is: impl Fn(FailureKind, Option<RefusedBy>) -> bool) -> bool {
        let attempts = self.attempts.iter().map(|attempt| &attempt.failure);
        let attempts = attempts.map(|failure| (failure.kind, failure.refused_by));
        let passed_by = self.passed_by.iter().filter_map(|it| it.why.reason());
        let mut reasons = attempts.chain(passed_by).peekable();
        reasons.peek().is_some() && reasons.all(|(kind, refused_by)| is(kind, refused_by))
    }
}

impl WhyNot {
    /// What it would have been as a failure, where it speaks of upstreams and not of the request.
    fn reason(self) -> Option<(FailureKind, Option<RefusedBy>)> {
        match self {
            Self::CoolingDown(kind) => Some((kind, None)),
            Self::WouldRefuse(by) => Some((FailureKind::Refused, Some(by))),
            Self::ContextTooSmall | Self::Excluded | Self::NoAttemptLeft | Self::NotInChain => None,
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CoolingDown(kind) => write!(f, "cooling down ({kind})"),
            Self::WouldRefuse(RefusedBy::Limit) => f.write_str("its limit is used up"),
            Self::WouldRefuse(RefusedBy::Circuit) => f.write_str("its circuit is open"),
            Self::ContextTooSmall => f.write_str("its context is too small"),
            Self::Excluded => f.write_str("excluded by the request's preferences"),
            Self::NoAttemptLeft => f.write_str("no attempt was left for it"),
            Self::NotInChain => f.write_str("not in the chain"),
        }
    }
}

/// Its name, the reason and the time, such as `groq/llama: its limit is used up, again in 12s`.
impl fmt::Display for PassedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.upstream, self.why)?;
        again(f, self.wait)
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no upstream could answer")?;
        let mut separators = [": "].into_iter().chain(std::iter::repeat("; "));
        let mut separate = |f: &mut fmt::Formatter<'_>| {
            let separator = separators.next();
            f.write_str(separator.unwrap_or_default())
        };
        for (place, attempt) in self.attempts.iter().enumerate() {
            let is_same = |other: &&Attempt| other.upstream == attempt.upstream;
            // Each upstream stands in one row of attempts, and its last one tells.
            if self.attempts.get(place + 1).as_ref().is_some_and(is_same) {
                continue;
            }
            separate(f)?;
            let upstream = attempt.upstream.as_deref().unwrap_or("upstream");
            write!(f, "{upstream}: ")?;
            tell(f, &attempt.failure)?;
            match self.attempts.iter().filter(is_same).count() {
                0 | 1 => {}
                several => write!(f, ", the last of {several} attempts")?,
            }
        }
        for passed_by in &self.passed_by {
            separate(f)?;
            passed_by.fmt(f)?;
        }
        match self.retry_after {
            Some(wait) => write!(f, "; the soonest is back in {:?}", whole_millis(wait)),
            None => Ok(()),
        }
    }
}

/// What the failure was, without the upstream's own words, which may tell what is not theirs to know.
fn tell(f: &mut fmt::Formatter<'_>, failure: &Failure) -> fmt::Result {
    match (failure.kind, failure.message.as_deref()) {
        // Our own words, which tell who refused, and when to come back.
        (FailureKind::Refused, Some(words)) => f.write_str(words),
        (FailureKind::Transport | FailureKind::Timeout, Some(cause)) => {
            write!(f, "{} ({})", failure.kind, shortened(cause))
        }
        (kind, _) => {
            write!(f, "{kind}")?;
            again(f, failure.hint())
        }
    }
}

fn again(f: &mut fmt::Formatter<'_>, wait: Option<Duration>) -> fmt::Result {
    match wait {
        Some(wait) => write!(f, ", again in {:?}", whole_millis(wait)),
        None => Ok(()),
    }
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST_CAUSE);
    end.map_or(text, |(end, _)| &text[..end])
}

/// In characters: the causes of a client's error, down to that of the system, and no page of HTML.
const LONGEST_CAUSE: usize = 160;

impl std::error::Error for Exhausted {}

#[cfg(test)]
impl Exhausted {
    pub(crate) fn example(attempts: Vec<Attempt>) -> Self {
        Self {
            attempts,
            passed_by: Vec::new(),
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureKind::{
        Overloaded, QuotaExhausted, RateLimited, Refused, ServerError, Timeout, Transport,
    };
    use WhyNot::WouldRefuse;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn attempt(upstream: &str, failure: Failure) -> Attempt {
        let mut attempt = Attempt::example(upstream, failure.kind);
        attempt.failure = failure;
        attempt
    }

    fn passed_by(upstream: &str, why: WhyNot, wait: Option<Duration>) -> PassedBy {
        PassedBy::new(upstream, why, wait)
    }

    // Kinds were repeated attempt by attempt, without a cause, and those who were passed by had no names.
    #[test]
    fn each_upstream_is_told_of_once_with_what_happened_and_when_it_is_back() {
        let limited = Failure::new(RateLimited).with_retry_after(secs(12));
        let open = "the circuit of openai/gpt is open (failures in a row): come back in 30s";
        let unconnected = "client error (Connect): Connection refused (os error 111)";
        let exhausted = Exhausted {
            passed_by: vec![
                passed_by(
                    "a/1",
                    WhyNot::CoolingDown(QuotaExhausted),
                    Some(secs(3_600)),
                ),
                passed_by("a/2", WouldRefuse(RefusedBy::Limit), Some(secs(5))),
                passed_by("a/3", WouldRefuse(RefusedBy::Circuit), Some(secs(30))),
                passed_by("a/4", WhyNot::Excluded, None),
            ],
            retry_after: Some(secs(5)),
            ..Exhausted::example(vec![
                attempt("groq/llama", Failure::new(ServerError)),
                attempt("groq/llama", limited.with_message("org-123 of sk-1")),
                attempt("openai/gpt", Failure::new(Refused).with_message(open)),
                attempt("b/1", Failure::new(Transport).with_message(unconnected)),
            ])
        };
        let rows = [
            "no upstream could answer: groq/llama: rate limited, again in 12s, the last of 2 attempts",
            "the circuit of openai/gpt is open (failures in a row): come back in 30s",
            "b/1: connection failed (client error (Connect): Connection refused (os error 111))",
            "a/1: cooling down (quota exhausted), again in 3600s",
            "a/2: its limit is used up, again in 5s",
            "a/3: its circuit is open, again in 30s",
            "a/4: excluded by the request's preferences",
            "the soonest is back in 5s",
        ];
        let wanted = rows
            .join("; ")
            .replace("the circuit", "openai/gpt: the circuit");
        assert_eq!(exhausted.to_string(), wanted);
    }

    #[test]
    fn the_words_of_a_client_are_shortened_between_characters() {
        let failure = Failure::new(Timeout).with_message("é".repeat(1_000));
        let told = Exhausted::example(vec![attempt("a/1", failure)]).to_string();
        assert!(told.chars().count() < 250, "{told}");
    }

    #[test]
    fn who_was_passed_by_has_a_say_in_what_the_reason_was() {
        let of = |why: &[WhyNot]| {
            let passed_by = why.iter().map(|why| passed_by("a/1", *why, None));
            Exhausted {
                passed_by: passed_by.collect(),
                ..Exhausted::example(Vec::new())
            }
        };
        use WhyNot::{CoolingDown, Excluded};
        let [limit, circuit] = [RefusedBy::Limit, RefusedBy::Circuit].map(WouldRefuse);
        for (why, is_rate_limited, is_refused) in [
            (&[][..], false, false),
            (&[Excluded], false, false),
            (&[Excluded, limit], true, true),
            (&[circuit], false, true),
            (&[limit, circuit], false, true),
            (&[CoolingDown(RateLimited), limit], true, false),
            (&[CoolingDown(RateLimited), circuit], false, false),
            (
                &[CoolingDown(RateLimited), CoolingDown(Overloaded)],
                false,
                false,
            ),
        ] {
            let exhausted = of(why);
            assert_eq!(exhausted.is_rate_limited(), is_rate_limited, "{why:?}");
            assert_eq!(exhausted.is_refused(), is_refused, "{why:?}");
        }
    }
}
