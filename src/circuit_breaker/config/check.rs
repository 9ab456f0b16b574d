//! Whether the settings of a policy can work.

use std::time::Duration;

use super::{CircuitBreakerPolicy, MAX_CALLS, Over};
use crate::config_error::ConfigError;

impl CircuitBreakerPolicy {
    /// The first setting that cannot work, by its name.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let slow = self.slow_calls;
        let shares = [
            ("failure_rate", self.failure_rate),
            ("slow_call_rate", slow.map(|slow| slow.rate)),
            ("probe_failure_rate", self.probe_failure_rate),
        ];
        for (setting, share) in shares {
            is_share(setting, share)?;
        }
        for (setting, count) in [
            ("consecutive_failures", self.consecutive_failures),
            ("minimum_calls", Some(self.minimum_calls)),
            ("probes", Some(self.probes)),
            ("successes", Some(self.successes)),
        ] {
            is_above_zero(setting, count)?;
        }
        for (setting, time) in [
            ("slow_call_rate", slow.map(|slow| slow.longer_than)),
            ("open_for", Some(self.open_for)),
            ("probe_timeout", self.probe_timeout),
        ] {
            is_longer_than_zero(setting, time)?;
        }
        self.check_window()?;
        self.check_growth()
    }

    fn check_window(&self) -> Result<(), ConfigError> {
        match self.window {
            Over::Time(time) => is_longer_than_zero("window", Some(time)),
            Over::Calls(calls) if calls == 0 || calls > MAX_CALLS => {
                Err(ConfigError::new("window", calls, "1 to 65536 calls"))
            }
            Over::Calls(calls) if calls < self.minimum_calls => Err(ConfigError::new(
                "minimum_calls",
                self.minimum_calls,
                "no more than the calls that the window holds",
            )),
            Over::Calls(_) => Ok(()),
        }
    }

    fn check_growth(&self) -> Result<(), ConfigError> {
        if !(self.open_growth >= 1.0 && self.open_growth.is_finite()) {
            let growth = self.open_growth;
            return Err(ConfigError::new("open_growth", growth, "at least 1.0"));
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
        Ok(())
    }
}

fn is_share(setting: &'static str, share: Option<f64>) -> Result<(), ConfigError> {
    match share {
        Some(share) if !(share > 0.0 && share <= 1.0) => Err(ConfigError::new(
            setting,
            share,
            "above 0.0 and at most 1.0",
        )),
        _ => Ok(()),
    }
}

fn is_above_zero(setting: &'static str, count: Option<u32>) -> Result<(), ConfigError> {
    match count {
        Some(0) => Err(ConfigError::new(setting, 0, "at least 1")),
        _ => Ok(()),
    }
}

fn is_longer_than_zero(setting: &'static str, time: Option<Duration>) -> Result<(), ConfigError> {
    match time {
        Some(Duration::ZERO) => Err(ConfigError::new(setting, "0s", "longer than zero")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CB-51: resilience4j's CircuitBreakerConfigTest, Polly's validation of its options.
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
            (policy().failure_rate(0.0), "failure_rate", "0"),
            (policy().failure_rate(f64::NAN), "failure_rate", "NaN"),
            (policy().failure_rate(50.0), "failure_rate", "50"),
            (
                policy().slow_call_rate(1.5, second),
                "slow_call_rate",
                "1.5",
            ),
            (
                policy().slow_call_rate(0.5, Duration::ZERO),
                "slow_call_rate",
                "0s",
            ),
            (policy().window(Over::Calls(0)), "window", "0"),
            (policy().window(Over::Calls(65_537)), "window", "65537"),
            (policy().window(Over::Calls(5)), "minimum_calls", "10"),
            (policy().window(Over::Time(Duration::ZERO)), "window", "0s"),
            (policy().minimum_calls(0), "minimum_calls", "0"),
            (policy().open_for(Duration::ZERO), "open_for", "0s"),
            (policy().open_growth(0.5, second), "open_growth", "0.5"),
            (policy().open_growth(2.0, second), "open_growth", "1s"),
            (policy().jitter(-0.1), "jitter", "-0.1"),
            (policy().jitter(f64::NAN), "jitter", "NaN"),
            // PITFALLS 32: tower-resilience takes a half-open circuit that admits nobody.
            (policy().probes(0), "probes", "0"),
            (policy().successes(0), "successes", "0"),
            (policy().probe_failure_rate(0.0), "probe_failure_rate", "0"),
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
