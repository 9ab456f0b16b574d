//! [`Schedule`]: how often a request is sent, and the layer's own waits between.

use std::time::Duration;

use crate::config_error::ConfigError;

/// How often a request is sent, and how long the layer waits between when the upstream does not say.
///
/// The wait before the n-th resend is `base × multiplierⁿ⁻¹`, at most `max`, with [`Jitter`]. See
/// [`RetryPolicy::schedule`](super::RetryPolicy::schedule).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub(super) max_attempts: u32,
    pub(super) base: Duration,
    pub(super) max: Duration,
    pub(super) multiplier: f64,
    pub(super) jitter: Jitter,
}

/// How the layer's own waits are spread, so that clients that failed together do not come back together.
///
/// Never past the longest wait, and never on a wait that the upstream asked for. The names are those of the
/// [AWS Architecture Blog](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly the computed wait.
    None,
    /// Anything from zero to the computed wait: the least work for the upstream and the soonest end for all together, by
    /// the simulations that its source shows. The default.
    #[default]
    Full,
    /// From half of the computed wait to the whole of it.
    Equal,
    /// From the base to three times the wait before; the multiplier plays no part.
    Decorrelated,
    /// The computed wait, longer or shorter by up to this share of it, 0.0 to 1.0.
    Fraction(f64),
}

impl Schedule {
    /// The default: 3 attempts, 1 s doubled up to 30 s, full jitter.
    pub fn new() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_secs(1),
            max: Duration::from_secs(30),
            multiplier: 2.0,
            jitter: Jitter::Full,
        }
    }

    /// For a model without capacity, which comes back in minutes rather than seconds: 5 attempts, 10 s doubled up to 60 s.
    ///
    /// ```
    /// use tower_upstream::{FailureKind, RetryPolicy, Schedule};
    ///
    /// let policy = RetryPolicy::llm().schedule(FailureKind::Overloaded, Schedule::overloaded());
    /// # let _ = policy;
    /// ```
    pub fn overloaded() -> Self {
        Self::new()
            .max_attempts(5)
            .backoff(Duration::from_secs(10), Duration::from_secs(60))
    }

    /// How often a request is sent in all, the first time included; at least 1. Default: 3.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The first wait, and the longest, which is no shorter. Default: 1 s and 30 s.
    #[must_use]
    pub fn backoff(mut self, base: Duration, max: Duration) -> Self {
        (self.base, self.max) = (base, max);
        self
    }

    /// By what each wait is longer than the one before, at least 1.0. Default: 2.0.
    #[must_use]
    pub fn multiplier(mut self, factor: f64) -> Self {
        self.multiplier = factor;
        self
    }

    /// How the waits are spread. Default: [`Jitter::Full`].
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The first wait and the longest.
    pub(crate) fn waits(&self) -> (Duration, Duration) {
        (self.base, self.max)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.max_attempts
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.max_attempts == 0 {
            return Err(ConfigError::new("max_attempts", 0, "at least 1"));
        }
        if self.max < self.base {
            return Err(ConfigError::new(
                "backoff",
                format!("{:?}", self.max),
                "a longest wait that is not below the first",
            ));
        }
        if !(self.multiplier >= 1.0 && self.multiplier.is_finite()) {
            return Err(ConfigError::new(
                "multiplier",
                self.multiplier,
                "at least 1.0",
            ));
        }
        match self.jitter {
            Jitter::Fraction(fraction) if !(0.0..=1.0).contains(&fraction) => {
                Err(ConfigError::new("jitter", fraction, "0.0 to 1.0"))
            }
            _ => Ok(()),
        }
    }

    /// The wait after this many attempts, multiplied by `scale` and never past the maximum. `previous` is the wait before
    /// it, zero for none.
    pub(super) fn wait(
        &self,
        attempts: u32,
        previous: Duration,
        scale: f64,
        random: &mut fastrand::Rng,
    ) -> Duration {
        // Without this an endless power times zero would not be a number.
        if self.base.is_zero() {
            return Duration::ZERO;
        }
        let (base, max) = (self.base.as_secs_f64(), self.max.as_secs_f64());
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = scale * (base * self.multiplier.powi(exponent)).min(max);
        let drawn = match self.jitter {
            Jitter::None => grown,
            Jitter::Full => grown * random.f64(),
            Jitter::Equal => grown * (1.0 + random.f64()) / 2.0,
            Jitter::Decorrelated => {
                let low = scale * base;
                let high = 3.0 * previous.as_secs_f64().max(low);
                low + (high - low) * random.f64()
            }
            Jitter::Fraction(fraction) => grown * (1.0 + fraction * (2.0 * random.f64() - 1.0)),
        };
        // `try_from` fails on what a Duration cannot hold, which is past any maximum.
        Duration::try_from_secs_f64(drawn).map_or(self.max, |wait| wait.min(self.max))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exactly(base: u64, max: u64) -> Schedule {
        Schedule::new()
            .backoff(ms(base), ms(max))
            .jitter(Jitter::None)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn waits(schedule: Schedule, attempts: impl IntoIterator<Item = u32>) -> Vec<u128> {
        let mut random = fastrand::Rng::with_seed(7);
        let wait = |attempt| schedule.wait(attempt, Duration::ZERO, 1.0, &mut random);
        let waits = attempts.into_iter().map(wait);
        waits.map(|wait| wait.as_millis()).collect()
    }

    fn draws(schedule: Schedule, attempt: u32, previous: Duration) -> Vec<Duration> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..10_000)
            .map(|_| schedule.wait(attempt, previous, 1.0, &mut random))
            .collect()
    }

    #[track_caller]
    fn assert_fills(draws: &[Duration], low: Duration, high: Duration) {
        let (least, most) = (draws.iter().min().unwrap(), draws.iter().max().unwrap());
        assert!(*least >= low && *most <= high, "{least:?} to {most:?}");
        let margin = (high - low) / 100;
        assert!(
            *least <= low + margin && *most >= high - margin,
            "{least:?} to {most:?}"
        );
        let middle = low + (high - low) / 2;
        let above = draws.iter().filter(|wait| **wait > middle).count();
        assert!((4_500..=5_500).contains(&above), "{above} above the middle");
    }

    /// The ladder of failsafe-go's tests.
    #[test]
    fn waits_double_up_to_the_longest() {
        assert_eq!(waits(exactly(1, 10), 1..=6), [1, 2, 4, 8, 10, 10]);
        assert_eq!(waits(exactly(200, 200), 1..=3), [200, 200, 200]);
        assert_eq!(
            waits(exactly(200, 30_000).multiplier(1.0), 1..=3),
            [200, 200, 200]
        );
        assert_eq!(
            waits(exactly(100, 30_000).multiplier(1.5), 1..=3),
            [100, 150, 225]
        );
    }

    /// PITFALLS 24, RT-07. Polly#2163: the wait of a high attempt number overflowed.
    #[test]
    fn no_attempt_number_overflows() {
        for attempt in [0, 33, 63, 64, 1_024, 1_025, 100_000, u32::MAX] {
            let wait = waits(exactly(1_000, 20_000), [attempt])[0];
            assert!(attempt == 0 || wait == 20_000, "{wait} after {attempt}");
        }
        let steep = Schedule::new()
            .backoff(ms(0), Duration::MAX)
            .multiplier(f64::MAX);
        assert_eq!(waits(steep, [u32::MAX]), [0]);
        // As a float this is one second more than a Duration can hold.
        let endless = steep
            .backoff(Duration::MAX, Duration::MAX)
            .jitter(Jitter::None);
        assert_eq!(waits(endless, [u32::MAX]), [Duration::MAX.as_millis()]);
    }

    /// RT-09, RT-11.
    #[test]
    fn each_jitter_fills_its_range_and_does_not_leave_it() {
        // Not one second, by which one may divide as well as multiply.
        let schedule = |jitter| exactly(2_000, 30_000).jitter(jitter);
        let ordinary = |jitter| draws(schedule(jitter), 2, ms(0));
        assert_fills(&ordinary(Jitter::Full), ms(0), ms(4_000));
        assert_fills(&ordinary(Jitter::Equal), ms(2_000), ms(4_000));
        assert_fills(&ordinary(Jitter::Fraction(0.25)), ms(3_000), ms(5_000));
        let decorrelated = draws(schedule(Jitter::Decorrelated), 2, ms(3_000));
        assert_fills(&decorrelated, ms(2_000), ms(9_000));
    }

    #[test]
    fn a_scale_makes_every_wait_longer_or_shorter_whatever_its_jitter_is() {
        for jitter in [
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
            Jitter::Fraction(0.25),
        ] {
            let schedule = exactly(2_000, 30_000).jitter(jitter);
            let wait = |scale| {
                let mut random = fastrand::Rng::with_seed(7);
                schedule.wait(2, Duration::ZERO, scale, &mut random)
            };
            for scale in [0.5, 1.5] {
                let expected = wait(1.0).mul_f64(scale);
                assert!(wait(scale).abs_diff(expected) < ms(1), "{jitter:?}");
            }
        }
    }

    /// PITFALLS 24. The jitter of tower-resilience, and that of gRPC (proposal A6), passes the cap.
    #[test]
    fn jitter_never_passes_the_longest_wait() {
        let schedule = exactly(10_000, 10_000).jitter(Jitter::Fraction(0.5));
        let draws = draws(schedule, 1, ms(0));
        assert_eq!(*draws.iter().max().unwrap(), ms(10_000));
        assert!(*draws.iter().min().unwrap() >= ms(5_000));
    }

    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        for (bad, setting, value) in [
            (Schedule::new().max_attempts(0), "max_attempts", "0"),
            (Schedule::new().backoff(ms(20), ms(10)), "backoff", "10ms"),
            (Schedule::new().multiplier(0.5), "multiplier", "0.5"),
            (Schedule::new().multiplier(f64::NAN), "multiplier", "NaN"),
            (
                Schedule::new().jitter(Jitter::Fraction(1.5)),
                "jitter",
                "1.5",
            ),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
        assert_eq!(Schedule::overloaded().check(), Ok(()));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(
            base in 0_u64..100_000,
            more in 0_u64..100_000,
            multiplier in 1.0..10.0_f64,
            fraction in 0.0..=1.0_f64,
            kind in 0..5,
            attempt in any::<u32>(),
            previous in 0_u64..1_000_000,
            scale in prop_oneof![Just(0.5), Just(1.0), Just(1.5)],
            seed in any::<u64>(),
        ) {
            let jitter = match kind {
                0 => Jitter::None,
                1 => Jitter::Full,
                2 => Jitter::Equal,
                3 => Jitter::Decorrelated,
                _ => Jitter::Fraction(fraction),
            };
            let max = ms(base + more);
            let schedule = Schedule::new().backoff(ms(base), max).multiplier(multiplier).jitter(jitter);
            let mut random = fastrand::Rng::with_seed(seed);
            let wait = schedule.wait(attempt, ms(previous), scale, &mut random);
            prop_assert!(wait <= max);
            match jitter {
                // Half of the shortest, for a high priority.
                Jitter::Equal => prop_assert!(wait >= ms(base).mul_f64(0.249)),
                Jitter::Decorrelated => prop_assert!(wait >= ms(base).mul_f64(0.499)),
                _ => {}
            }
        }
    }
}
