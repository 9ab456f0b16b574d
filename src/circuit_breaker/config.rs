//! When a circuit opens, for how long, and what closes it again.

use std::time::Duration;

use crate::config_error::ConfigError;

/// When a circuit opens, for how long, and what closes it again.
///
/// Any of the rules that are set opens the circuit.
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
    pub(super) failure_rate: Option<FailureRate>,
    pub(super) open_for: Duration,
    pub(super) open_growth: f64,
    pub(super) open_max: Duration,
    pub(super) jitter: f64,
    pub(super) probes: u32,
    pub(super) successes: u32,
    pub(super) probe_timeout: Option<Duration>,
    pub(super) seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FailureRate {
    pub(super) rate: f64,
    pub(super) minimum_calls: u32,
    pub(super) over: Over,
}

/// What a failure rate looks back over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Over {
    /// The last so many calls, at most [`MAX_CALLS`].
    Calls(u32),
    /// The calls of the last while, counted in tenths of it.
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
            open_for: Duration::from_secs(60),
            open_growth: 2.0,
            open_max: Duration::from_secs(600),
            jitter: 0.1,
            probes: 3,
            successes: 3,
            probe_timeout: None,
            seed: None,
        }
    }

    /// Opens after this many failures in a row, at least 1. Default: 5.
    #[must_use]
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = Some(failures);
        self
    }

    /// Opens when the share of failures reaches `rate`, above 0.0 and at most 1.0, looking back over the last calls or
    /// the last while. See [`minimum_calls`](Self::minimum_calls). Default: 0.5 over 60 s.
    #[must_use]
    pub fn failure_rate(mut self, rate: f64, over: Over) -> Self {
        let minimum_calls = self
            .failure_rate
            .map_or(MINIMUM_CALLS, |rule| rule.minimum_calls);
        self.failure_rate = Some(FailureRate {
            rate,
            minimum_calls,
            over,
        });
        self
    }

    /// Looks at the failure rate only once the window holds this many calls, at least 1. Default: 10.
    #[must_use]
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        if let Some(rule) = &mut self.failure_rate {
            rule.minimum_calls = calls;
        }
        self
    }

    /// How long the circuit stays open before probes may pass, longer than zero. Default: 60 s.
    #[must_use]
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self.open_max = self.open_max.max(time);
        self
    }

    /// Multiplies the open time by `factor`, at least 1.0, for each time that a probe failed, up to `max`. The growth ends
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

    /// When probes have held every slot for so long without a verdict, new ones may pass. Default: the open time.
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = Some(timeout);
        self
    }

    /// Makes the jitter repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = |setting, value: u32| match value {
            0 => Err(ConfigError::new(setting, value, "at least 1")),
            _ => Ok(()),
        };
        let longer_than_zero = |setting, value: Duration| match value {
            Duration::ZERO => Err(ConfigError::new(setting, "0s", "longer than zero")),
            _ => Ok(()),
        };
        if let Some(failures) = self.consecutive_failures {
            at_least_one("consecutive_failures", failures)?;
        }
        if let Some(rule) = self.failure_rate {
            at_least_one("minimum_calls", rule.minimum_calls)?;
            if !(rule.rate > 0.0 && rule.rate <= 1.0) {
                return Err(ConfigError::new(
                    "failure_rate",
                    rule.rate,
                    "above 0.0 and at most 1.0",
                ));
            }
            match rule.over {
                Over::Time(time) => longer_than_zero("failure_rate over time", time)?,
                Over::Calls(calls) if calls == 0 || calls > MAX_CALLS => {
                    return Err(ConfigError::new(
                        "failure_rate over calls",
                        calls,
                        "1 to 65536",
                    ));
                }
                Over::Calls(calls) if calls < rule.minimum_calls => {
                    return Err(ConfigError::new(
                        "minimum_calls",
                        rule.minimum_calls,
                        "no more than the calls that the window holds",
                    ));
                }
                Over::Calls(_) => {}
            }
        }
        longer_than_zero("open_for", self.open_for)?;
        if !(self.open_growth >= 1.0 && self.open_growth.is_finite()) {
            return Err(ConfigError::new(
                "open_growth",
                self.open_growth,
                "at least 1.0",
            ));
        }
        if self.open_max < self.open_for {
            return Err(ConfigError::new(
                "open_growth",
                format!("{:?}", self.open_max),
                "a maximum that is not below `open_for`",
            ));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(ConfigError::new("jitter", self.jitter, "0.0 to 1.0"));
        }
        at_least_one("probes", self.probes)?;
        at_least_one("successes", self.successes)?;
        longer_than_zero("probe_timeout", self.probe_timeout.unwrap_or(self.open_for))
    }

    /// How long what a call told is of use.
    pub(super) fn memory(&self) -> Duration {
        match self.failure_rate.map(|rule| rule.over) {
            Some(Over::Time(time)) => time.max(self.open_max),
            Some(Over::Calls(_)) | None => self.open_max,
        }
    }

    /// The open time of an episode in which so many probes have failed, drawn with jitter.
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
        Self::never()
            .consecutive_failures(5)
            .failure_rate(0.5, Over::Time(Duration::from_secs(60)))
    }
}

const MINIMUM_CALLS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        let policy = CircuitBreakerPolicy::default;
        let second = Duration::from_secs(1);
        for (bad, setting, value) in [
            (
                policy().consecutive_failures(0),
                "consecutive_failures",
                "0",
            ),
            (
                policy().failure_rate(0.0, Over::Calls(10)),
                "failure_rate",
                "0",
            ),
            (
                policy().failure_rate(f64::NAN, Over::Calls(10)),
                "failure_rate",
                "NaN",
            ),
            (
                policy().failure_rate(50.0, Over::Calls(10)),
                "failure_rate",
                "50",
            ),
            (
                policy().failure_rate(0.5, Over::Calls(0)),
                "failure_rate over calls",
                "0",
            ),
            (
                policy().failure_rate(0.5, Over::Calls(5)),
                "minimum_calls",
                "10",
            ),
            (
                policy().failure_rate(0.5, Over::Time(Duration::ZERO)),
                "failure_rate over time",
                "0s",
            ),
            (policy().minimum_calls(0), "minimum_calls", "0"),
            (policy().open_for(Duration::ZERO), "open_for", "0s"),
            (policy().open_growth(0.5, second), "open_growth", "0.5"),
            (policy().open_growth(2.0, second), "open_growth", "1s"),
            (policy().jitter(-0.1), "jitter", "-0.1"),
            (policy().probes(0), "probes", "0"),
            (policy().successes(0), "successes", "0"),
            (
                policy().probe_timeout(Duration::ZERO),
                "probe_timeout",
                "0s",
            ),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
        assert_eq!(policy().check(), Ok(()));
    }

    #[test]
    fn the_open_time_grows_to_its_maximum_and_not_past_it() {
        let policy = CircuitBreakerPolicy::default();
        let mut random = fastrand::Rng::with_seed(7);
        for (episodes, base) in [(0, 60.0), (1, 120.0), (3, 480.0)] {
            let time = policy.open_time(episodes, &mut random).as_secs_f64();
            assert!(
                (base..=base * 1.1).contains(&time),
                "{time} after {episodes}"
            );
        }
        for episodes in [4, 40, u32::MAX] {
            assert_eq!(
                policy.open_time(episodes, &mut random),
                Duration::from_secs(600)
            );
        }
    }
}
