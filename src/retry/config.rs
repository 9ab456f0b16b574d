//! What is repeated, how often, and after which waits.

use std::time::Duration;

use super::{
    backoff::{Jitter, Schedule},
    budget::RetryBudget,
};
use crate::{config_error::ConfigError, outcome::FailureKind};

/// What is repeated, how often, and after which waits. Clones share the [`RetryBudget`].
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{RetryLayer, RetryPolicy};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let policy = RetryPolicy::default()
///     .max_attempts(5)
///     .total_deadline(Duration::from_secs(90));
/// let layer = RetryLayer::new(policy)?;
/// # let _ = layer;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    pub(super) schedule: Schedule,
    pub(super) schedules: Vec<(FailureKind, Schedule)>,
    pub(super) max_hint_wait: Duration,
    pub(super) max_hint_wait_with_alternatives: Duration,
    pub(super) total_deadline: Option<Duration>,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) retry_non_idempotent: bool,
    pub(super) budget: Option<RetryBudget>,
    pub(super) seed: Option<u64>,
}

impl RetryPolicy {
    /// For calls to language models: the default, and a POST is repeated like any other request.
    ///
    /// An answer that is computed twice is paid for twice, but does no harm; the providers' own clients do the same.
    pub fn llm() -> Self {
        Self::default().retry_non_idempotent(true)
    }

    /// How often a request is sent in all, the first time included; at least 1. Default: 3.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.schedule = self.schedule.max_attempts(attempts);
        self
    }

    /// The first of the layer's own waits, and the longest, which is no shorter. Default: 1 s and 30 s.
    #[must_use]
    pub fn backoff(mut self, base: Duration, max: Duration) -> Self {
        self.schedule = self.schedule.backoff(base, max);
        self
    }

    /// By what each of the layer's own waits is longer than the one before, at least 1.0. Default: 2.0.
    #[must_use]
    pub fn multiplier(mut self, factor: f64) -> Self {
        self.schedule = self.schedule.multiplier(factor);
        self
    }

    /// How the layer's own waits are spread. Default: [`Jitter::Full`].
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.schedule = self.schedule.jitter(jitter);
        self
    }

    /// A schedule of its own for one kind of failure, in place of the four settings above. Default: none.
    ///
    /// All attempts count, whatever the earlier failures were. With [`Schedule::max_attempts`] of 1 the kind is never retried.
    #[must_use]
    pub fn schedule(mut self, kind: FailureKind, schedule: Schedule) -> Self {
        self.schedules.retain(|(other, _)| *other != kind);
        self.schedules.push((kind, schedule));
        self
    }

    /// The longest wait that an upstream may ask for: a failure that asks for more is passed on at once. Default: 60 s.
    #[must_use]
    pub fn max_hint_wait(mut self, wait: Duration) -> Self {
        self.max_hint_wait = wait;
        self
    }

    /// As [`max_hint_wait`](Self::max_hint_wait), while the request's [`Attempts`](crate::Attempts) tell of other upstreams
    /// that could be asked instead; the shorter of the two counts. Default: 2 s.
    #[must_use]
    pub fn max_hint_wait_with_alternatives(mut self, wait: Duration) -> Self {
        self.max_hint_wait_with_alternatives = wait;
        self
    }

    /// Begins no wait that would end later than this after the call, longer than zero. An attempt that is under way is not
    /// cut off. The request's [`Deadline`](crate::Deadline) holds as well. Default: none.
    #[must_use]
    pub fn total_deadline(mut self, time: Duration) -> Self {
        self.total_deadline = Some(time);
        self
    }

    /// Cuts off each attempt, the last one too, that has no response head after so long, longer than zero. It is a failure
    /// like any other, and the last of them is [`Error::TimedOut`](crate::Error::TimedOut). Default: none.
    #[must_use]
    pub fn attempt_timeout(mut self, time: Duration) -> Self {
        self.attempt_timeout = Some(time);
        self
    }

    /// Whether a request whose method is not idempotent (RFC 9110, section 9.2.2) is repeated even where the upstream may
    /// have processed it. A request with an `Idempotency-Key` always is. Default: false; true in [`llm`](Self::llm).
    #[must_use]
    pub fn retry_non_idempotent(mut self, retry: bool) -> Self {
        self.retry_non_idempotent = retry;
        self
    }

    /// The budget that all requests share. Default: a [`RetryBudget::default`] of its own.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Lets each request be retried whatever became of the others.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// Makes the jitter repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The budget, where there is one.
    pub(crate) fn shared_budget(&self) -> Option<&RetryBudget> {
        self.budget.as_ref()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let longer_than_zero = |setting, value| match value {
            Some(Duration::ZERO) => Err(ConfigError::new(setting, "0s", "longer than zero")),
            _ => Ok(()),
        };
        self.schedule.check()?;
        for (_, schedule) in &self.schedules {
            schedule.check()?;
        }
        longer_than_zero("total_deadline", self.total_deadline)?;
        longer_than_zero("attempt_timeout", self.attempt_timeout)?;
        self.budget.as_ref().map_or(Ok(()), RetryBudget::check)
    }

    pub(super) fn schedule_for(&self, kind: FailureKind) -> &Schedule {
        let own = self.schedules.iter().find(|(other, _)| *other == kind);
        own.map_or(&self.schedule, |(_, schedule)| schedule)
    }

    /// The most attempts that any schedule allows.
    pub(super) fn most_attempts(&self) -> u32 {
        let own = self.schedules.iter().map(|(_, schedule)| schedule);
        own.fold(self.schedule.attempts(), |most, schedule| {
            most.max(schedule.attempts())
        })
    }
}

/// 3 attempts, 1 s doubled up to 30 s with full jitter, hints of up to 60 s, and the retry quota of the AWS clients.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            schedule: Schedule::new(),
            schedules: Vec::new(),
            max_hint_wait: Duration::from_secs(60),
            max_hint_wait_with_alternatives: Duration::from_secs(2),
            total_deadline: None,
            attempt_timeout: None,
            retry_non_idempotent: false,
            budget: Some(RetryBudget::default()),
            seed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        let policy = RetryPolicy::default;
        let overloaded = |schedule| policy().schedule(FailureKind::Overloaded, schedule);
        for (bad, setting, value) in [
            (policy().max_attempts(0), "max_attempts", "0"),
            (policy().multiplier(0.0), "multiplier", "0"),
            (policy().jitter(Jitter::Fraction(-0.5)), "jitter", "-0.5"),
            (
                policy().backoff(Duration::from_secs(2), Duration::from_secs(1)),
                "backoff",
                "1s",
            ),
            (
                overloaded(Schedule::new().max_attempts(0)),
                "max_attempts",
                "0",
            ),
            (
                policy().total_deadline(Duration::ZERO),
                "total_deadline",
                "0s",
            ),
            (
                policy().attempt_timeout(Duration::ZERO),
                "attempt_timeout",
                "0s",
            ),
            (
                policy().budget(RetryBudget::default().retry_cost(0)),
                "retry_cost",
                "0",
            ),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
        assert_eq!(policy().check(), Ok(()));
        assert_eq!(RetryPolicy::llm().check(), Ok(()));
    }

    #[test]
    fn a_kind_has_one_schedule_and_the_longest_counts_for_the_copies() {
        let policy = RetryPolicy::default()
            .schedule(FailureKind::Overloaded, Schedule::new().max_attempts(9))
            .schedule(FailureKind::Overloaded, Schedule::overloaded());
        assert_eq!(policy.schedule_for(FailureKind::Overloaded).attempts(), 5);
        assert_eq!(policy.schedule_for(FailureKind::ServerError).attempts(), 3);
        assert_eq!(policy.most_attempts(), 5);
    }
}
