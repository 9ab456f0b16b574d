//! When requests come.

use std::time::Duration;

use fastrand::Rng;

use crate::fields::{Field, ScenarioError};

/// A pattern of arrivals.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    shape: Shape,
    from: Duration,
    until: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Constant {
        per_second: f64,
    },
    Poisson {
        per_second: f64,
    },
    Bursts {
        requests: u64,
        every: Duration,
    },
    /// A Poisson process whose rate follows the hours of the day, as a cosine around its mean.
    Daily {
        per_second: f64,
        peak_hour: f64,
        swing: f64,
    },
}

/// The times of arrival, as durations since the simulation began.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pattern: Pattern,
    rng: Rng,
    phase: Duration,
    number: u64,
    last: Duration,
}

impl Pattern {
    pub(crate) fn read(field: Field<'_>) -> Result<Self, ScenarioError> {
        let mut object = field.object()?;
        let kind = object.need("kind")?;
        let shape = match kind.text()? {
            "constant" => Shape::Constant {
                per_second: object.need("per_second")?.above_zero()?,
            },
            "poisson" => Shape::Poisson {
                per_second: object.need("per_second")?.above_zero()?,
            },
            "bursts" => Shape::Bursts {
                requests: object.need("requests")?.whole(1)?,
                every: object.need("every_seconds")?.seconds()?,
            },
            "daily" => Shape::Daily {
                per_second: object.need("per_second")?.above_zero()?,
                peak_hour: object
                    .need("peak_hour")?
                    .number(|hour| (0.0..24.0).contains(&hour), "an hour from 0 to 24")?,
                swing: object.need("swing")?.share()?,
            },
            _ => {
                return Err(kind.expected(r#""constant" or "poisson" or "bursts" or "daily""#));
            }
        };
        let from = object.find_or("from_seconds", Duration::ZERO, |field| field.seconds())?;
        let until = object.find_or("until_seconds", Duration::MAX, |field| field.seconds())?;
        object.end()?;
        Ok(Self { shape, from, until })
    }

    /// Arrivals until `end`; `phase` is how much of the day had passed, in UTC, when the simulation began.
    pub(crate) fn arrivals(&self, rng: Rng, phase: Duration, end: Duration) -> Arrivals {
        let mut pattern = self.clone();
        pattern.until = pattern.until.min(end);
        Arrivals {
            last: pattern.from,
            pattern,
            rng,
            phase,
            number: 0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let from = self.pattern.from;
        self.last = match self.pattern.shape {
            Shape::Constant { per_second } => {
                from + Duration::from_secs_f64(self.number as f64 / per_second)
            }
            Shape::Poisson { per_second } => self.last + self.gap(per_second),
            Shape::Bursts { requests, every } => {
                let burst = u32::try_from(self.number / requests).unwrap_or(u32::MAX);
                from.saturating_add(every.saturating_mul(burst))
            }
            Shape::Daily {
                per_second,
                peak_hour,
                swing,
            } => self.thinned(per_second, peak_hour, swing),
        };
        self.number += 1;
        (self.last < self.pattern.until).then_some(self.last)
    }
}

impl Arrivals {
    /// The time to the next event of a Poisson process.
    fn gap(&mut self, per_second: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.rng.f64()).ln() / per_second)
    }

    /// Draws at the highest rate, and keeps each with the probability that the rate of its hour has of it
    /// (Lewis and Shedler, 1979).
    fn thinned(&mut self, per_second: f64, peak_hour: f64, swing: f64) -> Duration {
        let mut at = self.last;
        loop {
            at += self.gap(per_second * (1.0 + swing));
            let hour = (self.phase + at).as_secs_f64() / 3_600.0;
            let height = 1.0 + swing * ((hour - peak_hour) / 24.0 * std::f64::consts::TAU).cos();
            if self.rng.f64() * (1.0 + swing) <= height || at >= self.pattern.until {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn arrivals(pattern: &Value, end: Duration) -> Vec<Duration> {
        let pattern = Pattern::read(Field::document(pattern)).unwrap();
        let arrivals = pattern.arrivals(Rng::with_seed(7), Duration::ZERO, end);
        arrivals.collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_within_their_time() {
        let pattern =
            json!({"kind": "constant", "per_second": 4, "from_seconds": 1, "until_seconds": 2});
        let millis = arrivals(&pattern, DAY).into_iter().map(|at| at.as_millis());
        assert_eq!(millis.collect::<Vec<_>>(), [1_000, 1_250, 1_500, 1_750]);
    }

    #[test]
    fn bursts_come_all_at_once() {
        let pattern = json!({"kind": "bursts", "requests": 2, "every_seconds": 10});
        let seconds = arrivals(&pattern, Duration::from_secs(15))
            .into_iter()
            .map(|at| at.as_secs());
        assert_eq!(seconds.collect::<Vec<_>>(), [0, 0, 10, 10]);
    }

    #[test]
    fn poisson_arrivals_have_their_rate() {
        let pattern = json!({"kind": "poisson", "per_second": 1});
        let count = arrivals(&pattern, DAY).len();
        // Five standard deviations of 86,400 are 1,470.
        assert!((84_930..87_870).contains(&count), "{count}");
    }

    #[test]
    fn a_daily_curve_has_its_rate_and_its_peak() {
        let pattern = json!({"kind": "daily", "per_second": 1, "peak_hour": 15, "swing": 0.8});
        let arrivals = arrivals(&pattern, DAY);
        assert!((84_930..87_870).contains(&arrivals.len()));
        let within = |from: u64, to: u64| {
            let hours = from * 3_600..to * 3_600;
            arrivals
                .iter()
                .filter(|at| hours.contains(&at.as_secs()))
                .count() as f64
        };
        let ratio = within(14, 16) / within(2, 4);
        assert!((7.0..11.0).contains(&ratio), "1.8 to 0.2 is {ratio}");
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        let pattern = json!({"kind": "poisson", "per_second": 3});
        assert_eq!(
            arrivals(&pattern, Duration::from_secs(60)),
            arrivals(&pattern, Duration::from_secs(60))
        );
    }
}
