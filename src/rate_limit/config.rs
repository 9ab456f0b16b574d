//! The quota that limits make up together.

use std::time::Duration;

use super::limit::Limit;
use crate::config_error::ConfigError;

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
    /// In the order in which they were added; the minimum interval is one of them.
    pub(super) limits: Vec<Limit>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) max_tokens_per_request: Option<u64>,
    pub(super) has_shadow: bool,
    pub(super) keeps_estimates: bool,
    pub(super) is_steady: bool,
    margin: Duration,
}

impl Quota {
    /// A quota without limits; add some.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a limit. At most 32 limits make a quota.
    #[must_use]
    pub fn limit(mut self, mut limit: Limit) -> Self {
        limit.set_margin(self.margin);
        self.has_shadow |= limit.is_shadow;
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

    /// Sets how far apart requests must be sent; a [`margin`](Self::margin) is added to it. Default: zero.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.limits.retain(|limit| !limit.is_spacing);
        if interval.is_zero() {
            return self;
        }
        self.limit(Limit::spacing(interval))
    }

    /// Sets the most tokens, input and output together, that one request may cost, at least 1. Default: any number.
    #[must_use]
    pub fn max_tokens_per_request(mut self, tokens: u64) -> Self {
        self.max_tokens_per_request = Some(tokens);
        self
    }

    /// Keeps what was reserved where an answer used less; what it used more is taken all the same. By default what was not
    /// used is given back.
    ///
    /// For upstreams that count what a request may use, and do not correct it afterwards, as OpenAI does with the maximum
    /// of an answer ([source](https://platform.openai.com/docs/guides/rate-limits)).
    #[must_use]
    pub fn keep_estimates(mut self) -> Self {
        self.keeps_estimates = true;
        self
    }

    /// Holds no rate down that is not one of its limits. By default, where a key has no limit per period, of whatever it counts, and its upstream
    /// tells of none, a 429 cuts the rate to 0.7 of what it was, and it grows back as CUBIC does
    /// ([RFC 9438](https://www.rfc-editor.org/rfc/rfc9438)): 0.4 times the cube of the seconds from the time at which it is
    /// what it was, until at twice that the limit is forgotten.
    #[must_use]
    pub fn steady(mut self) -> Self {
        self.is_steady = true;
        self
    }

    /// Whether a refusal of the upstream holds the rate down, for want of limits.
    pub(super) fn adapts(&self) -> bool {
        !self.is_steady
            && self
                .limits
                .iter()
                .all(|limit| limit.is_spacing || limit.is_shadow)
    }

    /// Sets how much longer than another a request may be on its way, up to an hour. Default: zero.
    ///
    /// The upstream counts when a request arrives, the limiter when it leaves. Where the way takes now longer and now
    /// shorter, requests arrive closer together than they were sent, and of a full quota the upstream may count some too
    /// many. With a margin each stays counted for so much longer, and none is refused for that. The price is its share of
    /// the period: 50 ms of a minute are 0.08 % of the quota.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        for limit in &mut self.limits {
            limit.set_margin(margin);
        }
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.limits.iter().try_for_each(Limit::check)?;
        if self.limits.len() > MOST_LIMITS {
            return Err(ConfigError::new(
                "limit",
                self.limits.len(),
                "at most 32 limits",
            ));
        }
        if self.max_concurrent == Some(0) {
            return Err(ConfigError::new("max_concurrent", 0, "at least 1"));
        }
        if self.max_tokens_per_request == Some(0) {
            return Err(ConfigError::new("max_tokens_per_request", 0, "at least 1"));
        }
        if self.margin > LONGEST_MARGIN {
            let margin = format!("{:?}", self.margin);
            return Err(ConfigError::new("margin", margin, "at most an hour"));
        }
        Ok(())
    }
}

/// How many limits a key can have, those that its upstream told of included.
pub(super) const MOST_LIMITS: usize = 32;

const LONGEST_MARGIN: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::Zone;

    // PITFALLS 17: a limiter that could not be built became no limit.
    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        let of = |limit| Quota::new().limit(limit);
        let secs = Duration::from_secs;
        for (bad, setting, value) in [
            (
                of(Limit::requests(0).per_minute()),
                "limit",
                "0 requests per 60s",
            ),
            (
                of(Limit::requests(5).per(secs(0))),
                "limit",
                "5 requests per 0ns",
            ),
            (of(Limit::tokens(5).per_second().burst(0)), "burst", "0"),
            (
                of(Limit::tokens(5).per_day().calendar(Zone::utc_offset(2_000))),
                "calendar",
                "2000",
            ),
            (
                of(Limit::tokens(5).per(secs(7)).calendar(Zone::UTC)),
                "calendar",
                "5 tokens per 7s",
            ),
            (Quota::new().max_concurrent(0), "max_concurrent", "0"),
            (
                Quota::new().max_tokens_per_request(0),
                "max_tokens_per_request",
                "0",
            ),
            (Quota::new().margin(secs(7_200)), "margin", "7200s"),
            (
                Quota::new().min_interval(Duration::MAX),
                "limit",
                "1 request per",
            ),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(setting) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn too_many_limits_are_refused() {
        let of = |limits| {
            let limits = (1..=limits).map(|amount| Limit::requests(amount).per_minute());
            limits.fold(Quota::new(), Quota::limit)
        };
        assert!(of(32).check().is_ok());
        assert!(of(33).check().unwrap_err().to_string().contains("32"));
    }

    #[test]
    fn the_longest_period_is_ten_years_and_the_longest_margin_an_hour() {
        let quota = |days: u64, margin: u64| {
            let period = Duration::from_secs(days * 86_400);
            let limit = Limit::requests(5).per(period);
            Quota::new()
                .limit(limit)
                .margin(Duration::from_secs(margin))
        };
        assert!(quota(3_650, 3_600).check().is_ok());
        assert!(quota(3_651, 0).check().is_err() && quota(1, 3_601).check().is_err());
    }

    #[test]
    fn the_order_of_setters_does_not_matter() {
        let margin = Duration::from_millis(50);
        let limit = || Limit::requests(5).per_minute();
        let before = Quota::new().margin(margin).limit(limit());
        assert_eq!(before, Quota::new().limit(limit()).margin(margin));
        let spaced = Quota::new()
            .min_interval(margin)
            .min_interval(Duration::ZERO);
        assert_eq!(spaced, Quota::new());
    }
}
