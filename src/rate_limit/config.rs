//! Limits, and the quota that they make up together.

use std::{fmt, time::Duration};

use crate::{config_error::ConfigError, outcome::Dimension};

/// So much of one thing per period.
///
/// Counted over a sliding window: in no period of that length, wherever it begins, more than the amount is admitted.
/// With [`burst`](Self::burst) it is a token bucket.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::Limit;
///
/// let window = Limit::tokens(90_000).per_minute();
/// let bucket = Limit::requests(60).per_minute().burst(10);
/// let odd = Limit::requests(3_000).per(Duration::from_secs(300));
/// assert_eq!(odd.to_string(), "3000 requests per 300s");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub(super) dimension: Dimension,
    pub(super) amount: u64,
    pub(super) per: Duration,
    pub(super) counting: Counting,
    pub(super) is_shadow: bool,
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    Sliding,
    Bucket { burst: u64 },
    Calendar { utc_offset_minutes: i32 },
}

/// An amount that still lacks its period; see [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Amount {
    dimension: Dimension,
    amount: u64,
}

impl Limit {
    /// So many requests.
    pub fn requests(amount: u64) -> Amount {
        Amount::new(Dimension::Requests, amount)
    }

    /// So many tokens, input and output together.
    pub fn tokens(amount: u64) -> Amount {
        Amount::new(Dimension::Tokens, amount)
    }

    /// So many tokens of prompts.
    pub fn input_tokens(amount: u64) -> Amount {
        Amount::new(Dimension::InputTokens, amount)
    }

    /// So many tokens of answers.
    pub fn output_tokens(amount: u64) -> Amount {
        Amount::new(Dimension::OutputTokens, amount)
    }

    /// A limit that an upstream told of.
    pub(super) fn learned(dimension: Dimension, amount: u64, per: Duration) -> Self {
        Amount { dimension, amount }.per(per)
    }

    /// Counts as a token bucket that holds at most `burst`: after a pause so much passes at once, and then what the rate
    /// refills. In one period up to the amount and the burst together can pass; the window has no such first period.
    #[must_use]
    pub fn burst(mut self, burst: u64) -> Self {
        self.counting = Counting::Bucket { burst };
        self
    }

    /// Counts in calendar periods, which begin at midnight of this offset from UTC, in minutes from -1,080 to 1,080, and all
    /// at once are free again. For quotas that reset so, such as Gemini's at midnight Pacific time (-480, in summer -420).
    ///
    /// For periods that a day is made of: a day itself, an hour, a minute. Twice the amount can pass around a reset.
    #[must_use]
    pub fn calendar(mut self, utc_offset_minutes: i32) -> Self {
        self.counting = Counting::Calendar { utc_offset_minutes };
        self
    }

    /// Counts and reports, and holds nobody back: to see what a limit would do before it does it. What would have waited is
    /// told as [`Event::Shadowed`](crate::observe::Event::Shadowed).
    #[must_use]
    pub fn shadow(mut self) -> Self {
        self.is_shadow = true;
        self
    }

    /// Whether both count in the same way, and both in shadow mode or neither.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        let is_same = match (self.counting, other.counting) {
            (Counting::Bucket { .. }, Counting::Bucket { .. }) => true,
            (counting, other) => counting == other,
        };
        is_same && self.is_shadow == other.is_shadow
    }

    /// The most that a single request can take.
    pub(super) fn capacity(&self) -> u64 {
        match self.counting {
            Counting::Bucket { burst } => burst,
            Counting::Sliding | Counting::Calendar { .. } => self.amount,
        }
    }
}

impl Amount {
    fn new(dimension: Dimension, amount: u64) -> Self {
        Self { dimension, amount }
    }

    /// Per period of this length.
    pub fn per(self, period: Duration) -> Limit {
        Limit {
            dimension: self.dimension,
            amount: self.amount,
            per: period,
            counting: Counting::Sliding,
            is_shadow: false,
        }
    }

    /// Per second.
    pub fn per_second(self) -> Limit {
        self.per(Duration::from_secs(1))
    }

    /// Per minute.
    pub fn per_minute(self) -> Limit {
        self.per(Duration::from_secs(60))
    }

    /// Per hour.
    pub fn per_hour(self) -> Limit {
        self.per(Duration::from_secs(3_600))
    }

    /// Per 24 hours, in a window that slides.
    pub fn per_day(self) -> Limit {
        self.per(Duration::from_secs(86_400))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.dimension.as_str().replace('_', " ");
        write!(f, "{} {words} per {:?}", self.amount, self.per)
    }
}

/// Limits that hold all at once: a request takes from all of them or from none.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{Limit, Quota};
///
/// let quota = Quota::new()
///     .limit(Limit::requests(60).per_minute())
///     .limit(Limit::tokens(150_000).per_minute())
///     .max_concurrent(3)
///     .min_interval(Duration::from_millis(100));
/// # let _ = quota;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub(super) limits: Vec<Limit>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) min_interval: Duration,
    pub(super) max_tokens_per_request: Option<u64>,
}

impl Quota {
    /// A quota without limits; add some.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Sets how many requests may be under way at the same time, at least 1. A request is under way until the body of its
    /// response has ended or is dropped. Default: any number.
    #[must_use]
    pub fn max_concurrent(mut self, requests: u32) -> Self {
        self.max_concurrent = Some(requests);
        self
    }

    /// Sets how far apart requests must be sent. Default: zero.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = interval;
        self
    }

    /// Sets the most tokens, input and output together, that one request may cost, at least 1. Default: any number.
    #[must_use]
    pub fn max_tokens_per_request(mut self, tokens: u64) -> Self {
        self.max_tokens_per_request = Some(tokens);
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for limit in &self.limits {
            if limit.amount == 0 {
                return Err(ConfigError::new("limit", limit, "an amount of at least 1"));
            }
            if limit.per.is_zero() || limit.per > LONGEST_PERIOD {
                return Err(ConfigError::new(
                    "limit",
                    limit,
                    "a period above zero and up to ten years",
                ));
            }
            match limit.counting {
                Counting::Bucket { burst: 0 } => {
                    return Err(ConfigError::new("burst", 0, "at least 1"));
                }
                Counting::Calendar {
                    utc_offset_minutes: offset,
                } if !(-1_080..=1_080).contains(&offset) => {
                    return Err(ConfigError::new(
                        "calendar",
                        offset,
                        "-1080 to 1080 minutes",
                    ));
                }
                Counting::Calendar { .. }
                    if !DAY.as_nanos().is_multiple_of(limit.per.as_nanos()) =>
                {
                    return Err(ConfigError::new(
                        "calendar",
                        limit,
                        "a period that a day is made of",
                    ));
                }
                _ => {}
            }
        }
        if self.max_concurrent == Some(0) {
            return Err(ConfigError::new("max_concurrent", 0, "at least 1"));
        }
        if self.max_tokens_per_request == Some(0) {
            return Err(ConfigError::new("max_tokens_per_request", 0, "at least 1"));
        }
        if self.min_interval > LONGEST_PERIOD {
            let interval = format!("{:?}", self.min_interval);
            return Err(ConfigError::new(
                "min_interval",
                interval,
                "up to ten years",
            ));
        }
        Ok(())
    }
}

const DAY: Duration = Duration::from_secs(86_400);

const LONGEST_PERIOD: Duration = Duration::from_secs(10 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        let zero = Limit::requests(5).per(Duration::ZERO);
        for (bad, setting, value) in [
            (
                Quota::new().limit(Limit::requests(0).per_minute()),
                "limit",
                "0 requests per 60s",
            ),
            (Quota::new().limit(zero), "limit", "5 requests per 0ns"),
            (
                Quota::new().limit(Limit::tokens(5).per_second().burst(0)),
                "burst",
                "0",
            ),
            (
                Quota::new().limit(Limit::tokens(5).per_day().calendar(2_000)),
                "calendar",
                "2000",
            ),
            (
                Quota::new().limit(Limit::tokens(5).per(Duration::from_secs(7)).calendar(0)),
                "calendar",
                "5 tokens per 7s",
            ),
            (Quota::new().max_concurrent(0), "max_concurrent", "0"),
            (
                Quota::new().max_tokens_per_request(0),
                "max_tokens_per_request",
                "0",
            ),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
        assert_eq!(Quota::new().check(), Ok(()));
    }

    // tower-governor's `per_second(60)` means one per 60 s.
    #[test]
    fn a_limit_reads_as_it_counts() {
        assert_eq!(
            Limit::requests(60).per_second().to_string(),
            "60 requests per 1s"
        );
        assert_eq!(
            Limit::input_tokens(9).per_day().to_string(),
            "9 input tokens per 86400s"
        );
    }
}
