//! When a circuit opens, for how long, and what closes it again.

mod check;

use std::time::Duration;

use super::decision::Verdict;

/// When a circuit opens, for how long, and what closes it again.
///
/// Any of the rules that are set opens the circuit: [failures in a row](Self::consecutive_failures), the
/// [share of failures](Self::failure_rate), the [share of slow calls](Self::slow_call_rate).
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{CircuitBreaker, CircuitBreakerPolicy};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let policy = CircuitBreakerPolicy::default()
///     .consecutive_failures(3)
///     .open_for(Duration::from_secs(10));
/// let breaker = CircuitBreaker::new(policy)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreakerPolicy {
    pub(super) consecutive_failures: Option<u32>,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow_calls: Option<SlowCalls>,
    pub(super) window: Over,
    pub(super) minimum_calls: u32,
    pub(super) rate_limited: Verdict,
    pub(super) dropped_after: Option<Duration>,
    pub(super) open_for: Duration,
    pub(super) open_growth: f64,
    pub(super) open_max: Duration,
    pub(super) jitter: f64,
    pub(super) probes: u32,
    pub(super) successes: u32,
    pub(super) probe_failure_rate: Option<f64>,
    pub(super) probe_timeout: Option<Duration>,
    pub(super) probe_flow: Duration,
    pub(super) ramp: Duration,
    pub(super) seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SlowCalls {
    pub(super) rate: f64,
    pub(super) longer_than: Duration,
}

/// What the rates look back over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Over {
    /// The last so many calls, 1 to [`MAX_CALLS`].
    Calls(u32),
    /// The calls of the last while, longer than zero, counted in tenths of it: none counts for longer than that, and each for
    /// at least nine tenths of it.
    Time(Duration),
}

/// The longest window of [`Over::Calls`].
pub const MAX_CALLS: u32 = 65_536;

impl CircuitBreakerPolicy {
    /// A policy that no failure opens; add rules to it.
    pub fn never() -> Self {
        Self {
            consecutive_failures: None,
            failure_rate: None,
            slow_calls: None,
            window: Over::Time(Duration::from_secs(60)),
            minimum_calls: 10,
            rate_limited: Verdict::Ignore,
            dropped_after: None,
            open_for: Duration::from_secs(60),
            open_growth: 2.0,
            open_max: Duration::from_secs(600),
            jitter: 0.1,
            probes: 3,
            successes: 3,
            probe_failure_rate: None,
            probe_timeout: None,
            probe_flow: Duration::from_secs(10),
            ramp: Duration::ZERO,
            seed: None,
        }
    }

    /// Opens after this many failures in a row, at least 1. Default: 5.
    #[must_use]
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = Some(failures);
        self
    }

    /// Opens when the share of failures reaches `rate`, above 0.0 and at most 1.0, among the calls of the
    /// [window](Self::window). Default: 0.5.
    #[must_use]
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.failure_rate = Some(rate);
        self
    }

    /// Opens when the share of slow calls reaches `rate`, above 0.0 and at most 1.0, among the calls of the
    /// [window](Self::window). A call is slow when the head of its response, or its error, took longer than `longer_than`: how
    /// long a body takes depends on who reads it. A probe that is slow has failed. Default: none.
    #[must_use]
    pub fn slow_call_rate(mut self, rate: f64, longer_than: Duration) -> Self {
        self.slow_calls = Some(SlowCalls { rate, longer_than });
        self
    }

    /// What the rates look back over. Default: 60 s.
    #[must_use]
    pub fn window(mut self, window: Over) -> Self {
        self.window = window;
        self
    }

    /// Looks at the rates only once the window holds this many calls, at least 1. Default: 10.
    #[must_use]
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// What a rate limit of the upstream (429) counts as. [`Verdict::Degraded`] is the way of
    /// [Linkerd](https://linkerd.io/2-edge/reference/circuit-breaking/). Default: [`Verdict::Ignore`], for it is the rate
    /// limiter's business.
    #[must_use]
    pub fn rate_limited(mut self, verdict: Verdict) -> Self {
        self.rate_limited = verdict;
        self
    }

    /// Counts a call as a failure that its caller dropped before the head of its response came, when it had been under way
    /// for so long; zero for each that was polled. Set it below a timeout that stands outside. One that
    /// [`RetryPolicy::attempt_timeout`](crate::RetryPolicy::attempt_timeout) cuts off is a failure anyway. Default: never,
    /// for a caller who goes says nothing of the upstream.
    #[must_use]
    pub fn dropped_after(mut self, time: Duration) -> Self {
        self.dropped_after = Some(time);
        self
    }

    /// How long the circuit stays open before probes may pass, longer than zero. Default: 60 s.
    #[must_use]
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self.open_max = self.open_max.max(time);
        self
    }

    /// Multiplies the open time by `factor`, at least 1.0, each time that probes have failed, up to `max`. The growth ends
    /// when the circuit closes. Default: 2.0, up to 10 min.
    #[must_use]
    pub fn open_growth(mut self, factor: f64, max: Duration) -> Self {
        self.open_growth = factor;
        self.open_max = max;
        self
    }

    /// Lengthens each open time by a random share of up to `fraction`, 0.0 to 1.0, but never past the maximum, so that
    /// many clients do not probe in step. Default: 0.1.
    #[must_use]
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction;
        self
    }

    /// How many probes may be under way at the same time, at least 1. Default: 3.
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// How many probes must succeed before the circuit closes, at least 1. Default: 3.
    #[must_use]
    pub fn successes(mut self, successes: u32) -> Self {
        self.successes = successes;
        self
    }

    /// Judges probes together, as [resilience4j](https://resilience4j.readme.io/docs/circuitbreaker) does: once as many as
    /// [`successes`](Self::successes) have ended, the circuit opens again when the share of failures among them reaches
    /// `rate`, above 0.0 and at most 1.0, and closes otherwise. Default: the first probe that fails opens it again, which is
    /// the least load on an upstream that is not well.
    #[must_use]
    pub fn probe_failure_rate(mut self, rate: f64) -> Self {
        self.probe_failure_rate = Some(rate);
        self
    }

    /// When a probe counts as a success although its answer has not ended: its head was good, and a piece of its body comes so
    /// long after that, or later. So answers that stream for minutes do not keep out everybody else for as long. Until its end the
    /// probe keeps its place; one that breaks while the circuit is half-open has failed after all. Zero for the first piece;
    /// [`Duration::MAX`] for never, so that only the end tells. Default: 10 s.
    #[must_use]
    pub fn probe_flow(mut self, time: Duration) -> Self {
        self.probe_flow = time;
        self
    }

    /// When probes have held every place for so long without a verdict, new ones may pass; longer than zero. Default: the
    /// open time. What streams counts [earlier](Self::probe_flow).
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = Some(timeout);
        self
    }

    /// Lets traffic back over this time when probes have closed the circuit: after a time `t` of it, the share
    /// `max(0.1, t / time)` of the calls passes, evenly spread, as in
    /// [Envoy](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start)'s slow
    /// start. Default: zero, so that all pass at once.
    #[must_use]
    pub fn ramp(mut self, time: Duration) -> Self {
        self.ramp = time;
        self
    }

    /// Makes the jitter repeatable, for keys that are first seen in the same order.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether a rule looks back over the window.
    pub(super) fn has_rates(&self) -> bool {
        self.failure_rate.is_some() || self.slow_calls.is_some()
    }

    /// Whether it matters how long a call has been under way.
    pub(super) fn asks_how_long(&self) -> bool {
        self.slow_calls.is_some() || self.dropped_after.is_some()
    }

    /// How long what a call told is of use.
    pub(super) fn memory(&self) -> Duration {
        match self.window {
            Over::Time(time) if self.has_rates() => time.max(self.open_max),
            _ => self.open_max,
        }
    }

    /// The time that probes have until others may pass beside them.
    pub(super) fn probe_time(&self) -> Duration {
        self.probe_timeout.unwrap_or(self.open_for)
    }

    /// The open time of an episode in which so many rounds of probes have failed, drawn with jitter.
    pub(super) fn open_time(&self, failed_episodes: u32, random: &mut fastrand::Rng) -> Duration {
        let exponent = i32::try_from(failed_episodes).unwrap_or(i32::MAX);
        let grown = self.open_for.as_secs_f64() * self.open_growth.powi(exponent);
        let drawn = grown * (1.0 + self.jitter * random.f64());
        // `try_from` fails on what a Duration cannot hold, which is past any maximum.
        Duration::try_from_secs_f64(drawn).map_or(self.open_max, |time| time.min(self.open_max))
    }
}

/// Opens on 5 failures in a row, or on half of at least 10 calls within 60 s.
impl Default for CircuitBreakerPolicy {
    fn default() -> Self {
        Self::never().consecutive_failures(5).failure_rate(0.5)
    }
}
