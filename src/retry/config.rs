//! What is repeated, how often, and after which waits.

use std::time::Duration;

use http::HeaderName;

use super::{
    backoff::{Jitter, Schedule},
    budget::RetryBudget,
    verdict::{Ended, Rule, Verdict},
};
use crate::{config_error::ConfigError, outcome::FailureKind, request::RequestHead};

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
    pub(super) idempotency_key: bool,
    pub(super) attempt_header: Option<HeaderName>,
    pub(super) rule: Option<Rule>,
    pub(super) drain: (u64, Duration),
    pub(super) budget: Option<RetryBudget>,
    pub(super) seed: Option<u64>,
}

impl RetryPolicy {
    /// For calls to language models: the default, and a POST is repeated like any other request, and an attempt that has no
    /// answer after 10 minutes is [cut off](Self::attempt_timeout).
    ///
    /// An answer that is computed twice is paid for twice, but does no harm. OpenAI's and Anthropic's own clients do the same, with
    /// the same timeout: long answers that are no streams take minutes.
    pub fn llm() -> Self {
        Self::default()
            .retry_non_idempotent(true)
            .attempt_timeout(Duration::from_secs(600))
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
    /// that could be asked instead; the shorter of the two counts. Where those then fail as well, the fallback layer waits for as
    /// long as `max_hint_wait` allows, and asks this one again. Default: 2 s.
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

    /// Cuts off each attempt, the last one too, that has no response head after so long, longer than zero. What a
    /// [`ProviderLayer`](crate::ProviderLayer) inside holds back, because its first word has not come, goes up before that. It is a
    /// failure like any other, and the last of them is [`Error::TimedOut`](crate::Error::TimedOut). What an attempt waits in line at
    /// a [`RateLimiter`](crate::RateLimiter) inside is not counted: that is bounded by
    /// [`max_wait`](crate::RateLimiter::max_wait). Default: none, and 10 minutes in [`llm`](Self::llm).
    ///
    /// While the request's [`Attempts`](crate::Attempts) tell of other upstreams, the first attempt without an answer is the last
    /// one here: the next upstream is asked at once, and the same again where the fallback layer finds that none is left that
    /// answers. With a [`schedule`](Self::schedule) of its own for [`FailureKind::Timeout`], it is tried again by that.
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

    /// Gives a random key to each request whose method is not idempotent and that has none, in the header `Idempotency-Key`. All
    /// its attempts at one upstream carry the same, so that does only once what it asks, and it is repeated like any other request.
    /// Default: false.
    ///
    /// Only for upstreams that heed it: another would do a request twice. The header is that of
    /// [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/);
    /// the key is a string of 32 hexadecimal digits.
    #[must_use]
    pub fn idempotency_key(mut self, give: bool) -> Self {
        self.idempotency_key = give;
        self
    }

    /// Tells the upstream in this header which attempt it sees: 1, 2, and so on, also where a fallback comes back to it.
    /// [`ATTEMPT_COUNT`](super::ATTEMPT_COUNT) is a name for it. A request that has the header already keeps its own. Default: none.
    #[must_use]
    pub fn attempt_header(mut self, name: HeaderName) -> Self {
        self.attempt_header = Some(name);
        self
    }

    /// A rule of your own for what is repeated. It is asked after each attempt, also a good one, while another is possible; but
    /// not about refusals of this crate's own layers. Default: none.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_upstream::{RetryPolicy, retry::Verdict};
    ///
    /// // What was only just created is not found everywhere at once.
    /// let policy = RetryPolicy::default().verdict(|request, ended| match &ended.result {
    ///     Ok(response) if response.status == StatusCode::NOT_FOUND && request.method == "GET" => Verdict::Retry,
    ///     _ => Verdict::AsUsual,
    /// });
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn verdict(
        mut self,
        rule: impl Fn(&RequestHead<'_>, &Ended<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.rule = Some(Rule::new(rule));
        self
    }

    /// How much of a failed response is read before it is dropped, at most, and for how long, so that an HTTP/1 connection can be
    /// used again. That is a part of the wait, which it never makes longer. A response that says that it is longer is dropped at
    /// once; 0 bytes drop each. Default: 65,536 bytes and 1 s.
    #[must_use]
    pub fn drain(mut self, bytes: u64, time: Duration) -> Self {
        self.drain = (bytes, time);
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

    /// How long an attempt may take, as [`attempt_timeout`](Self::attempt_timeout) has set it; `None` where nothing cuts it off.
    pub fn longest_attempt(&self) -> Option<Duration> {
        self.attempt_timeout
    }

    /// The first wait and the longest, where no schedule for a kind of failure says otherwise.
    pub(crate) fn waits(&self) -> (Duration, Duration) {
        self.schedule.waits()
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

    /// Whether nothing is written into requests, nothing limits their time, and no rule of the user's is asked.
    pub(super) fn is_plain(&self) -> bool {
        let writes = self.idempotency_key || self.attempt_header.is_some();
        let limits = self.total_deadline.is_some() || self.attempt_timeout.is_some();
        !writes && !limits && self.rule.is_none()
    }

    pub(super) fn schedule_for(&self, kind: FailureKind) -> &Schedule {
        let own = self.schedules.iter().find(|(other, _)| *other == kind);
        own.map_or(&self.schedule, |(_, schedule)| schedule)
    }

    pub(super) fn has_schedule_for(&self, kind: FailureKind) -> bool {
        self.schedules.iter().any(|(other, _)| *other == kind)
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
            idempotency_key: false,
            attempt_header: None,
            rule: None,
            drain: (64 * 1024, Duration::from_secs(1)),
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
