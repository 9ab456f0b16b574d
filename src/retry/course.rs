//! What the calls of one layer share, and the course of one call: the clock, the ledger, the budget and the events.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use http::{Request, Response};

use super::{
    budget::Withdrawal,
    config::RetryPolicy,
    state::{Decision, Failed, Reason, State},
};
use crate::{
    body::{Replay, replay_request},
    classify,
    clock::{Clock, Sleep},
    error::Error,
    instant::after,
    observe::{Event, Events},
    outcome::Failure,
    request::{AttemptDeadline, Attempts, Deadline, Next, RequestHead},
    upstream::Upstream,
};

/// What the calls of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) policy: RetryPolicy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    random: Mutex<fastrand::Rng>,
}

impl Shared {
    pub(super) fn new(policy: RetryPolicy, clock: Arc<dyn Clock>, events: Events) -> Self {
        let random = policy
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self {
            policy,
            clock,
            events,
            random: Mutex::new(random),
        }
    }
}

/// The course of one call, from its first attempt to its last.
#[derive(Debug)]
pub(super) struct Course {
    shared: Arc<Shared>,
    state: State,
    upstream: Option<Upstream>,
    began: Instant,
    /// When the attempt that is under way has taken too long.
    end: Option<Instant>,
    /// When a layer outside cuts this call off, as it told.
    outer_end: Option<AttemptDeadline>,
    ledger: Option<Attempts>,
    /// Whether the last failure is ours to record, because nobody outside keeps the ledger.
    keeps_ledger: bool,
    /// What the retry that is waited for, or under way, has taken from the budget.
    withdrawal: Option<Withdrawal>,
}

impl Course {
    /// The course of a request before its first attempt.
    pub(super) fn begin(shared: &Arc<Shared>, head: &RequestHead<'_>) -> Self {
        let (policy, now) = (&shared.policy, shared.clock.now());
        let deadline = head.extensions.get::<Deadline>();
        let priority = head.extensions.get().copied().unwrap_or_default();
        let ledger = head.extensions.get::<Attempts>().cloned();
        let keeps_ledger = ledger.as_ref().is_none_or(|ledger| ledger.open(now));
        if let Some(budget) = &policy.budget {
            budget.deposit_request();
        }
        Self {
            state: State::new(
                policy,
                is_idempotent(head),
                priority,
                deadline.map(|deadline| deadline.0),
                now,
            ),
            shared: shared.clone(),
            upstream: head.upstream().cloned(),
            began: now,
            end: None,
            outer_end: head.extensions.get().copied(),
            ledger,
            keeps_ledger,
            withdrawal: None,
        }
    }

    /// A copy of the request that is about to be sent, where it may be needed.
    pub(super) fn copy<B: Replay>(&self, request: &Request<B>) -> Option<Request<B>> {
        let may_fail = self.state.attempts() < self.shared.policy.most_attempts();
        if may_fail && self.ledger_allows() {
            replay_request(request)
        } else {
            None
        }
    }

    /// The first attempt begins, with this request.
    pub(super) fn send<B>(&mut self, request: &mut Request<B>) {
        self.set_end(request, self.began);
    }

    /// The next attempt begins, with this request.
    pub(super) fn resend<B>(&mut self, request: &mut Request<B>) {
        self.state.resend();
        let now = self.shared.clock.now();
        if let Some(ledger) = &self.ledger {
            ledger.begin(now);
            request.extensions_mut().insert(ledger.clone());
        }
        self.set_end(request, now);
    }

    /// Tells the layers inside when this attempt is cut off: all that they see of it is a future that is dropped.
    fn set_end<B>(&mut self, request: &mut Request<B>, now: Instant) {
        let Some(timeout) = self.shared.policy.attempt_timeout else {
            return;
        };
        let own = after(now, timeout);
        self.end = Some(own);
        let sooner = match self.outer_end {
            Some(AttemptDeadline(outer)) => outer.min(own),
            None => own,
        };
        request.extensions_mut().insert(AttemptDeadline(sooner));
    }

    /// When the attempt that is under way has taken too long.
    pub(super) fn timeout(&self) -> Option<Sleep> {
        Some(self.shared.clock.sleep_until(self.end?))
    }

    /// The error of an attempt that has taken too long.
    pub(super) fn timed_out(&self) -> Error {
        let after = self.shared.policy.attempt_timeout.unwrap_or_default();
        Error::TimedOut { after }
    }

    /// Judges how an attempt ended: the wait before the next one, or `None` where the caller gets this answer.
    pub(super) fn judge<R>(
        &mut self,
        result: &mut Result<Response<R>, Error>,
        replayable: bool,
    ) -> Option<Sleep> {
        let wait = match classify::failure(result, &*self.shared.clock) {
            Some(failure) => {
                let unsent = result.as_ref().is_err_and(Error::is_unsent);
                self.fail(failure, unsent, replayable)
            }
            None => {
                self.succeed();
                None
            }
        };
        if let (None, Ok(response)) = (&wait, result) {
            self.attach_ledger(response);
        }
        wait
    }

    fn succeed(&mut self) {
        match (self.withdrawal.take(), &self.shared.policy.budget) {
            (Some(withdrawal), _) => withdrawal.succeed(),
            (None, Some(budget)) => budget.deposit_success(),
            (None, None) => {}
        }
    }

    fn fail(&mut self, failure: Failure, unsent: bool, replayable: bool) -> Option<Sleep> {
        self.withdrawal
            .take()
            .into_iter()
            .for_each(Withdrawal::spend);
        let now = self.shared.clock.now();
        let failed = Failed {
            failure: &failure,
            unsent,
            replayable,
            ledger_allows: self.ledger_allows(),
            has_alternatives: self
                .ledger
                .as_ref()
                .is_some_and(|ledger| ledger.alternatives() > 0),
        };
        let decision = self.decide(&failed, now);
        self.tell(&decision, &failure);
        match decision {
            Decision::RetryAt { at, wait } => {
                self.open_ledger();
                self.record(failure, Next::Retry { wait }, now);
                Some(self.shared.clock.sleep_until(at))
            }
            Decision::Return | Decision::GiveUp(_) => {
                if self.keeps_ledger {
                    self.record(failure, Next::Stop, now);
                }
                None
            }
        }
    }

    /// What the state decides, if the budget can pay for it.
    fn decide(&mut self, failed: &Failed<'_>, now: Instant) -> Decision {
        let policy = &self.shared.policy;
        let decision = {
            let random = self.shared.random.lock();
            let mut random = random.unwrap_or_else(PoisonError::into_inner);
            self.state.decide(policy, failed, &mut random, now)
        };
        if let (Decision::RetryAt { .. }, Some(budget)) = (decision, &policy.budget) {
            self.withdrawal = budget.withdraw(failed.failure.kind);
            if self.withdrawal.is_none() {
                return Decision::GiveUp(Reason::BudgetEmpty);
            }
        }
        decision
    }

    fn tell(&self, decision: &Decision, failure: &Failure) {
        let upstream = self.upstream.as_ref().map_or("", Upstream::id);
        let attempts = self.state.attempts();
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
        self.shared.events.tell(&event);
    }

    fn ledger_allows(&self) -> bool {
        self.ledger.as_ref().is_none_or(Attempts::allows_another)
    }

    /// Most calls never fail, so a request without a ledger gets one only now.
    fn open_ledger(&mut self) {
        let began = self.began;
        self.ledger.get_or_insert_with(|| {
            let ledger = Attempts::default();
            ledger.open(began);
            ledger
        });
    }

    fn record(&self, failure: Failure, next: Next, now: Instant) {
        if let Some(ledger) = &self.ledger {
            let upstream = self.upstream.as_ref().map(Upstream::shared_id).cloned();
            ledger.record(upstream, failure, next, now);
        }
    }

    fn attach_ledger<R>(&self, response: &mut Response<R>) {
        if let (Some(ledger), true) = (&self.ledger, self.keeps_ledger)
            && self.state.attempts() > 1
        {
            response.extensions_mut().insert(ledger.clone());
        }
    }
}

/// By its method, or because its caller sent the key that makes it so.
fn is_idempotent(head: &RequestHead<'_>) -> bool {
    head.method.is_idempotent() || head.headers.contains_key(IDEMPOTENCY_KEY)
}

/// As in Stripe's and OpenAI's interfaces, and draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
