//! The course of one call: the clock, the ledger, the budget and the events.

use std::{sync::Arc, time::Instant};

use http::{HeaderValue, Request, Response};

use super::{
    budget::Withdrawal,
    key::IDEMPOTENCY_KEY,
    ledger::Ledger,
    rules::Rules,
    shared::Shared,
    state::{Decision, Failed, State, may_cure},
    timeout::Timeout,
    trouble::Trouble,
    verdict::{Ended, ResponseHead, Verdict},
};
use crate::{
    body::{Replay, RequestCopy},
    classify,
    clock::{Clock, Sleep},
    current::Kit,
    error::Error,
    instant::after,
    observe::Event,
    outcome::{Failure, FailureKind},
    request::{AttemptDeadline, RequestHead},
};

/// The course of one call, from its first attempt to its last. Small, for most calls succeed at once.
pub(super) struct Course<S> {
    kit: Arc<Kit<Shared, S>>,
    /// The rules of its upstream, where it has some.
    own: Option<Arc<Rules>>,
    /// When the first attempt began, once somebody has to know.
    began: Option<Instant>,
    ledger: Ledger,
    /// Whether the header that counts the attempts is ours.
    counts: bool,
    /// From the first failure on.
    trouble: Option<Box<Trouble>>,
}

impl<S> Course<S> {
    /// The course of a request before its first attempt, and before it is copied.
    #[inline(always)]
    pub(super) fn begin<B>(kit: &Arc<Kit<Shared, S>>, request: &mut Request<B>) -> Self {
        let mut course = Self::idle(kit);
        // Without a layer outside there are no extensions, and nothing to look for.
        let is_alone = request.extensions().is_empty();
        if !is_alone {
            course.own = kit.shared.own(request.extensions()).cloned();
        }
        let rules = course.rules();
        if let Some(budget) = &rules.policy.budget {
            budget.deposit_request();
        }
        if !rules.is_plain || !is_alone {
            course.prepare(request);
        }
        course
    }

    /// That of a request that is not sent.
    #[inline(always)]
    pub(super) fn idle(kit: &Arc<Kit<Shared, S>>) -> Self {
        Self {
            kit: kit.clone(),
            own: None,
            began: None,
            ledger: Ledger::none(),
            counts: false,
            trouble: None,
        }
    }

    fn prepare<B>(&mut self, request: &mut Request<B>) {
        let (policy, clock) = (&self.rules().policy, &self.kit.shared.clock);
        let ledger = Ledger::of(request.extensions());
        if policy.idempotency_key && !is_idempotent(&RequestHead::of(request)) {
            let key = ledger.idempotency_key(|| self.kit.shared.keys.make());
            request.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        let name = policy.attempt_header.as_ref();
        let counts = name.is_some_and(|name| !request.headers().contains_key(name));
        let has_limit = policy.total_deadline.is_some() || policy.attempt_timeout.is_some();
        let now = has_limit.then(|| clock.now());
        (self.ledger, self.counts) = (ledger, counts);
        if counts {
            self.ledger.count_earlier();
        }
        if let Some(now) = now {
            self.began = Some(now);
            self.ledger.note_start(|| now);
        }
    }

    #[inline(always)]
    fn rules(&self) -> &Rules {
        self.own.as_deref().unwrap_or(&self.kit.shared.rules)
    }

    /// A service for the attempts after the first.
    pub(super) fn service(&self) -> S
    where
        S: Clone,
    {
        self.kit.service()
    }

    /// Whether the attempt that is about to begin may be followed by another.
    #[inline]
    pub(super) fn may_go_on(&self) -> bool {
        self.attempts() < self.rules().most_attempts && self.ledger.allows()
    }

    /// The first attempt begins, with this request. Gives back the time that it has.
    #[inline]
    pub(super) fn send<B>(&mut self, request: &mut Request<B>) -> Option<Timeout> {
        if self.rules().is_plain {
            return None;
        }
        self.count(request);
        self.limit(request, self.began?)
    }

    /// The next attempt is made ready; its request is still to be copied.
    pub(super) fn advance(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.state.resend();
        }
    }

    /// The next attempt begins, with this request. Gives back the time that it has.
    pub(super) fn resend<B>(&mut self, request: &mut Request<B>) -> Option<Timeout> {
        let now = self.kit.shared.clock.now();
        self.ledger.resend(request, now);
        self.count(request);
        self.limit(request, now)
    }

    fn count<B>(&self, request: &mut Request<B>) {
        if let (Some(name), true) = (&self.rules().policy.attempt_header, self.counts) {
            let count = HeaderValue::from(self.ledger.earlier().saturating_add(self.attempts()));
            request.headers_mut().insert(name, count);
        }
    }

    /// Tells the layers inside when this attempt is cut off: all that they see of it is a future that is dropped.
    fn limit<B>(&self, request: &mut Request<B>, now: Instant) -> Option<Timeout> {
        let end = after(now, self.rules().policy.attempt_timeout?);
        // A layer outside may cut off this whole call sooner.
        let outer = request.extensions().get::<AttemptDeadline>().cloned();
        let attempt = AttemptDeadline::new(end, outer);
        request.extensions_mut().insert(attempt.clone());
        Some(Timeout::new(attempt, end, self.clock()))
    }

    /// The first attempt was not answered at once. Where nothing else asked for the time, the ledger will, if it fails; so the
    /// calls that do not wait for anything are spared the look at the clock.
    #[inline]
    pub(super) fn note_start(&mut self) {
        if self.began.is_none() {
            self.began = Some(self.ledger.note_start(|| self.kit.shared.clock.now()));
        }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.kit.shared.clock
    }

    /// The error of an attempt that has taken too long.
    pub(super) fn timed_out(&self) -> Error {
        let after = self.rules().policy.attempt_timeout.unwrap_or_default();
        Error::TimedOut {
            after,
            upstream: None,
        }
    }

    /// Whether this response goes to the caller and nothing else is to be said of it, as of most.
    #[inline]
    pub(super) fn accepts<R>(&self, response: &Response<R>) -> bool {
        let is_first = self.trouble.is_none() && self.rules().policy.rule.is_none();
        let is_accepted = is_first && classify::is_success(response);
        if let (true, Some(budget)) = (is_accepted, &self.rules().policy.budget) {
            budget.deposit_success();
        }
        is_accepted
    }

    /// Judges how an attempt ended: the wait before the next one, or `None` where the caller gets this answer. `again` is the
    /// copy that would be sent next.
    pub(super) fn judge<B: Replay, R>(
        &mut self,
        result: &mut Result<Response<R>, Error>,
        mut again: Option<&mut RequestCopy<B>>,
    ) -> Option<Sleep> {
        let mut failure = classify::failure(result, self.clock());
        let verdict = self.verdict(result, failure.as_ref(), again.as_deref_mut());
        if failure.is_none() && verdict == Verdict::Retry {
            let wanted = Failure::new(FailureKind::ServerError);
            failure = Some(wanted.with_message("sent again by the policy's own rule"));
        }
        let wait = match failure {
            Some(failure) => self.fail(failure, result, verdict, again),
            None => {
                self.succeed();
                None
            }
        };
        if let (None, Ok(response), true) = (&wait, result, self.attempts() > 1) {
            self.ledger.attach(response);
        }
        wait
    }

    /// What the user's rule says, where there is one, and something for it to decide.
    fn verdict<B, R>(
        &self,
        result: &Result<Response<R>, Error>,
        failure: Option<&Failure>,
        again: Option<&mut RequestCopy<B>>,
    ) -> Verdict {
        let is_refused = failure.is_some_and(|failure| failure.kind == FailureKind::Refused);
        match (&self.rules().policy.rule, again) {
            (Some(rule), Some(request)) if !is_refused => {
                let result = match result {
                    Ok(response) => Ok(ResponseHead::of(response)),
                    Err(error) => Err(error as _),
                };
                let ended = Ended {
                    attempt: self.attempts(),
                    failure,
                    result,
                };
                rule.ask(&request.head(), &ended)
            }
            _ => Verdict::AsUsual,
        }
    }

    /// How much of a failed response may be read, and the time for that, which begins now.
    pub(super) fn drain(&self) -> (u64, impl FnOnce() -> Sleep) {
        let (bytes, time) = self.rules().policy.drain;
        let clock = &self.kit.shared.clock;
        (bytes, move || clock.sleep_until(after(clock.now(), time)))
    }

    #[inline]
    fn attempts(&self) -> u32 {
        let trouble = self.trouble.as_ref();
        trouble.map_or(1, |trouble| trouble.state.attempts())
    }

    fn take_withdrawal(&mut self) -> Option<Withdrawal> {
        self.trouble.as_mut()?.withdrawal.take()
    }

    fn succeed(&mut self) {
        match (self.take_withdrawal(), &self.rules().policy.budget) {
            (Some(withdrawal), _) => withdrawal.succeed(),
            (None, Some(budget)) => budget.deposit_success(),
            (None, None) => {}
        }
    }

    fn fail<B: Replay, R>(
        &mut self,
        failure: Failure,
        result: &Result<Response<R>, Error>,
        verdict: Verdict,
        mut again: Option<&mut RequestCopy<B>>,
    ) -> Option<Sleep> {
        let withdrawal = self.take_withdrawal();
        withdrawal.into_iter().for_each(Withdrawal::spend);
        if !may_cure(&failure, verdict) {
            let clock = &self.kit.shared.clock;
            self.ledger.record_end(failure, || clock.now());
            return None;
        }
        let now = self.kit.shared.clock.now();
        let head = again.as_deref_mut().map(RequestCopy::head);
        let began = *self.began.get_or_insert(now);
        let shared = &self.kit.shared;
        let rules = self.own.as_deref().unwrap_or(&shared.rules);
        let trouble = self.trouble.get_or_insert_with(|| {
            let state = State::new(&rules.policy, head.as_ref(), began);
            Box::new(Trouble::new(state))
        });
        // Whom nobody asks after such a failure is no alternative.
        let has_alternatives = self.ledger.has_alternatives() && failure.fall_back;
        let refused_for = || {
            let upstream = self.ledger.chosen()?;
            let prospect = shared.consulted.prospect(upstream, &head?);
            prospect.refused_for()
        };
        let failed = Failed {
            failure: &failure,
            unprocessed: is_unprocessed(result),
            silent: result.is_err() && failure.kind == FailureKind::Timeout,
            idempotent: head.is_some_and(|head| is_idempotent(&head)),
            refused_for: has_alternatives.then(refused_for).flatten(),
            verdict,
            replayable: again.is_some_and(RequestCopy::claim),
            ledger_allows: self.ledger.allows(),
            has_alternatives,
        };
        let decision = trouble.decide(rules, &failed, now);
        let left_to_others = trouble.state.left_to_others(&rules.policy, decision);
        self.tell(&decision, &failure);
        if let Some(why) = left_to_others {
            self.ledger.leave_to_others(why);
        }
        match decision {
            Decision::RetryAt { at, wait } => {
                self.ledger.record_retry(failure, wait, began, now);
                Some(self.kit.shared.clock.sleep_until(at))
            }
            Decision::Return | Decision::GiveUp(_) => {
                self.ledger.record_end(failure, || now);
                None
            }
        }
    }

    fn tell(&self, decision: &Decision, failure: &Failure) {
        let upstream = self.ledger.upstream();
        let attempts = self.attempts();
        let event = match *decision {
            Decision::Return => return,
            Decision::RetryAt { wait, .. } => Event::Retrying {
                upstream,
                attempt: attempts,
                wait,
                failure,
            },
            Decision::GiveUp(reason) => Event::GaveUp {
                upstream,
                attempts,
                failure,
                reason: reason.as_str(),
            },
        };
        self.kit.shared.events.tell(&event);
    }
}

/// Whether it is certain that nothing was done: nothing was sent, or it came before the upstream would take it, as early data
/// ([RFC 8470, 5.2](https://www.rfc-editor.org/rfc/rfc8470#section-5.2)).
fn is_unprocessed<R>(result: &Result<Response<R>, Error>) -> bool {
    match result {
        Ok(response) => response.status().as_u16() == 425,
        Err(error) => error.is_unsent(),
    }
}

/// By its method, or because its caller sent the key that makes it so.
fn is_idempotent(head: &RequestHead<'_>) -> bool {
    head.method.is_idempotent() || head.headers.contains_key(IDEMPOTENCY_KEY)
}
