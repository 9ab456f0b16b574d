//! A quota in words.

use std::time::Duration;

use super::{
    calendar::{Every, Zone, ZoneId},
    config::Quota,
    limit::{Counting, Limit},
};
use crate::{outcome::Dimension, period, plain_words};

impl Quota {
    /// `60 requests per minute, at most 3 at a time`; empty where it has no limit.
    pub(crate) fn in_words(&self) -> String {
        let mut parts: Vec<String> = self.limits.iter().map(Limit::in_words).collect();
        if let Some(requests) = self.max_concurrent {
            parts.push(format!("at most {requests} at a time"));
        }
        if let Some(tokens) = self.max_tokens_per_request {
            let tokens = plain_words::amount(tokens, Dimension::Tokens);
            parts.push(format!("at most {tokens} in a request"));
        }
        if self.keeps_estimates {
            parts.push("estimates are kept".into());
        }
        if self.is_steady {
            parts.push("no other rate is held down".into());
        }
        parts.join(", ")
    }

    /// The first limit that counts money, in words.
    pub(crate) fn of_money(&self) -> Option<String> {
        let mut limits = self.limits.iter();
        let of_money = limits.find(|limit| limit.dimension == Dimension::Money);
        of_money.map(Limit::in_words)
    }
}

impl Limit {
    fn in_words(&self) -> String {
        let period = period::per(Duration::from_nanos(self.period()));
        if self.is_spacing {
            let period = period::in_words(Duration::from_nanos(self.period()));
            return format!("{period} between requests");
        }
        let amount = plain_words::amount(self.amount, self.dimension);
        let shadow = if self.is_shadow {
            " (only watched)"
        } else {
            ""
        };
        match &self.counting {
            Counting::Sliding => format!("{amount} {period}{shadow}"),
            Counting::Bucket { burst } => {
                format!("{amount} {period} in bursts of up to {burst}{shadow}")
            }
            Counting::Calendar { every, zone } => {
                let period = match every {
                    Every::Month => "per month".into(),
                    Every::Period(_) => period,
                };
                format!("{amount} {period} of the calendar, {}{shadow}", of(zone))
            }
        }
    }
}

fn of(zone: &Zone) -> String {
    match zone.id() {
        ZoneId::Offset(0) => "UTC".into(),
        ZoneId::Offset(minutes) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, minutes) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
            format!("UTC{sign}{hours}:{minutes:02}")
        }
        ZoneId::Name(name) => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;

    #[test]
    fn a_quota_in_words_tells_every_limit_and_how_it_counts() {
        let zone = Zone::utc_offset(-8 * 60);
        let quota = Quota::new()
            .limit(Limit::requests(3_500).per_minute().burst(10))
            .limit(
                Limit::output_tokens(90_000)
                    .per(Duration::from_secs(300))
                    .shadow(),
            )
            .limit(Limit::requests(10_000).per_day().calendar(zone))
            .limit(Limit::money(Money::from_cents(2_000)).per_month())
            .min_interval(Duration::from_millis(100))
            .max_concurrent(3);
        assert_eq!(
            quota.in_words(),
            "3500 requests per minute in bursts of up to 10, 90000 output tokens per 5 minutes (only watched), \
             10000 requests per day of the calendar, UTC-8:00, 20.00 per month of the calendar, UTC, \
             100ms between requests, at most 3 at a time"
        );
        assert_eq!(Quota::new().in_words(), "");
    }
}
