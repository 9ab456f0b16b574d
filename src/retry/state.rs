//! What becomes of a failed attempt. Pure: it is told the time and answers with a decision.
//!
//! In this order, the first that holds:
//!
//! | the failure                                                            | decision                     |
//! |------------------------------------------------------------------------|------------------------------|
//! | was a refusal of our own                                                | return                       |
//! | the same request cannot help, unless the user's rule says otherwise     | return                       |
//! | used up the attempts of its kind's schedule, or of the request's ledger | give up                      |
//! | came to a request that cannot be sent again, or must not                | give up                      |
//! | was silence, while another upstream could be asked, unless the user's rule or a schedule for it says otherwise | give up |
//! | asks for a wait that is longer than the policy allows                   | give up                      |
//! | is met by a circuit that refuses for longer than the wait, while another upstream could be asked, unless the user's rule says otherwise | give up |
//! | needs a wait that would end after the deadline                          | give up                      |
//! | asks for a wait that is longer than the policy allows while another upstream could be asked | give up   |
//! | is any other                                                            | retry after the upstream's wait, else our own |

use std::time::{Duration, Instant};

use super::{config::RetryPolicy, verdict::Verdict};
use crate::{
    instant::after,
    outcome::{Failure, FailureKind},
    request::{Deadline, LeftToOthers, Priority, RequestHead},
};

/// What becomes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Another attempt could not cure it: the answer goes to the caller.
    Return,
    /// The request is sent again at `at`, which is `wait` from now.
    RetryAt { at: Instant, wait: Duration },
    /// Another attempt might have cured it, but there is none: the answer goes to the caller.
    GiveUp(Reason),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    AttemptsUsedUp,
    LedgerFull,
    NotReplayable,
    NotIdempotent,
    OthersCanBeAsked,
    WouldBeRefused,
    HintTooLong,
    DeadlineTooNear,
    OthersAreSooner,
    BudgetEmpty,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsUsedUp => "attempts used up",
            Self::LedgerFull => "attempts of all layers used up",
            Self::NotReplayable => "the body cannot be sent again",
            Self::NotIdempotent => "the method is not idempotent",
            Self::OthersCanBeAsked => "there was no answer in time, and others can be asked",
            Self::WouldBeRefused => "a layer inside would refuse it, and others can be asked",
            Self::HintTooLong => "the upstream asks for too long a wait",
            Self::DeadlineTooNear => "the wait would pass the deadline",
            Self::OthersAreSooner => "others can be asked sooner than the upstream asks for",
            Self::BudgetEmpty => "the retry budget is empty",
        }
    }
}

/// A failed attempt, and what is known at its end beside the failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed<'a> {
    pub(super) failure: &'a Failure,
    /// It is certain that the upstream never saw the request, or did nothing for it.
    pub(super) unprocessed: bool,
    /// Nothing came back in time: not even a status.
    pub(super) silent: bool,
    /// Doing it twice is as good as doing it once: by the method, or by a key.
    pub(super) idempotent: bool,
    /// What the user's rule says.
    pub(super) verdict: Verdict,
    /// There is a copy of the request that can be sent.
    pub(super) replayable: bool,
    /// The request's ledger allows one attempt more.
    pub(super) ledger_allows: bool,
    /// Another upstream could be asked instead.
    pub(super) has_alternatives: bool,
    /// For how long the layers inside would refuse the request, as far as that was asked.
    pub(super) refused_for: Option<Duration>,
}

/// One call on its way.
#[derive(Debug)]
pub(super) struct State {
    attempts: u32,
    priority: Priority,
    deadline: Option<Instant>,
    /// The last wait of our own, which decorrelated jitter builds on.
    own_wait: Duration,
    latest: Instant,
}

impl State {
    /// A call whose first attempt began at `began`, with this request. Without one nothing is known of its priority and its
    /// deadline, but it will not be sent again either.
    pub(super) fn new(
        policy: &RetryPolicy,
        request: Option<&RequestHead<'_>>,
        began: Instant,
    ) -> Self {
        let extensions = request.map(|request| request.extensions);
        let own = extensions.and_then(|extensions| extensions.get::<Deadline>());
        let total = policy.total_deadline.map(|time| after(began, time));
        Self {
            attempts: 1,
            priority: extensions
                .and_then(|extensions| extensions.get().copied())
                .unwrap_or_default(),
            deadline: total.into_iter().chain(own.map(|own| own.0)).min(),
            own_wait: Duration::ZERO,
            latest: began,
        }
    }

    /// How many attempts have been begun.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next attempt begins.
    pub(super) fn resend(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(super) fn decide(
        &mut self,
        policy: &RetryPolicy,
        failed: &Failed<'_>,
        random: &mut fastrand::Rng,
        now: Instant,
    ) -> Decision {
        // A clock that steps back has no effect.
        self.latest = self.latest.max(now);
        if !may_cure(failed.failure, failed.verdict) {
            return Decision::Return;
        }
        match self.wait(policy, failed, random) {
            Ok(wait) => Decision::RetryAt {
                at: after(self.latest, wait),
                wait,
            },
            Err(reason) => Decision::GiveUp(reason),
        }
    }

    fn wait(
        &mut self,
        policy: &RetryPolicy,
        failed: &Failed<'_>,
        random: &mut fastrand::Rng,
    ) -> Result<Duration, Reason> {
        let failure = failed.failure;
        let schedule = policy.schedule_for(failure.kind);
        if self.attempts >= schedule.attempts() {
            return Err(Reason::AttemptsUsedUp);
        }
        if !failed.ledger_allows {
            return Err(Reason::LedgerFull);
        }
        if !failed.replayable {
            return Err(Reason::NotReplayable);
        }
        let may_repeat = failed.idempotent || policy.retry_non_idempotent;
        let is_unprocessed = failure.is_unprocessed(failed.unprocessed);
        if !may_repeat && failed.verdict != Verdict::Retry && !is_unprocessed {
            return Err(Reason::NotIdempotent);
        }
        if failed.is_better_asked_elsewhere(policy) {
            return Err(Reason::OthersCanBeAsked);
        }
        let wait = match failure.hint() {
            Some(hint) if hint > policy.max_hint_wait => return Err(Reason::HintTooLong),
            Some(hint) => hint,
            None => {
                let scale = scale(self.priority);
                self.own_wait = schedule.wait(self.attempts, self.own_wait, scale, random);
                self.own_wait
            }
        };
        let is_refused = failed.refused_for.is_some_and(|time| time > wait);
        if is_refused && failed.verdict != Verdict::Retry {
            return Err(Reason::WouldBeRefused);
        }
        let at = after(self.latest, wait);
        if self.deadline.is_some_and(|deadline| at > deadline) {
            return Err(Reason::DeadlineTooNear);
        }
        // Last: but for the others the wait would be begun.
        let patience = policy.max_hint_wait_with_alternatives;
        if failed.has_alternatives && failure.hint().is_some_and(|hint| hint > patience) {
            return Err(Reason::OthersAreSooner);
        }
        Ok(wait)
    }

    /// Why the request is left to others, where this decision leaves it to them.
    pub(super) fn left_to_others(
        &self,
        policy: &RetryPolicy,
        decision: Decision,
    ) -> Option<LeftToOthers> {
        match decision {
            Decision::GiveUp(Reason::OthersCanBeAsked) => Some(LeftToOthers::Silence),
            Decision::GiveUp(Reason::OthersAreSooner) => {
                let patience = after(self.latest, policy.max_hint_wait);
                let latest = self.deadline.map_or(patience, |end| end.min(patience));
                Some(LeftToOthers::Hint { latest })
            }
            _ => None,
        }
    }
}

/// Whether another attempt could cure this failure: the first two rows of the table, for which nothing else has to be known.
pub(super) fn may_cure(failure: &Failure, verdict: Verdict) -> bool {
    match verdict {
        _ if failure.kind == FailureKind::Refused => false,
        Verdict::AsUsual => failure.retry_same,
        Verdict::Retry => true,
        Verdict::Return => false,
    }
}

impl Failed<'_> {
    /// Whoever was silent for the whole of an attempt mostly is so in the next, which lasts as long again: many times any backoff.
    fn is_better_asked_elsewhere(&self, policy: &RetryPolicy) -> bool {
        let is_wanted =
            self.verdict == Verdict::Retry || policy.has_schedule_for(self.failure.kind);
        self.silent && self.has_alternatives && !is_wanted
    }
}

/// An interactive request comes back sooner and a batch later. Only our own waits: the upstream's hold for all alike.
fn scale(priority: Priority) -> f64 {
    match priority {
        Priority::Low => 1.5,
        Priority::Normal => 1.0,
        Priority::High => 0.5,
    }
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
