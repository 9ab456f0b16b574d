//! Times, rates and money, as people write them. Nothing is rounded.

use std::{fmt, time::Duration};

use super::nearest::nearest;
use crate::money::Money;

/// So much per period, of a thing that the key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) amount: Decimal,
    pub(super) per: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Time(Duration),
    /// One of the calendar.
    Month,
}

/// A number of at most nine decimals, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal(u128);

/// Why a text is none of them: the word that may have been meant, where one is near.
pub(super) type Hint = Option<&'static str>;

impl Decimal {
    /// Digits, with `_` between them and a point. No sign and no exponent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| {
            let ends_well = !part.starts_with('_') && !part.ends_with('_');
            !part.is_empty()
                && ends_well
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'_')
        };
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.replace('_', ""), fraction.replace('_', ""));
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 || whole.len() > 20 {
            return None;
        }
        let billionths: u128 = format!("{fraction:0<9}").parse().ok()?;
        let whole: u128 = whole.parse().ok()?;
        Some(Self(whole * BILLION + billionths))
    }

    /// Where it has no decimals.
    pub(super) fn whole(self) -> Option<u64> {
        let is_whole = self.0.is_multiple_of(BILLION);
        is_whole
            .then(|| u64::try_from(self.0 / BILLION).ok())
            .flatten()
    }

    pub(super) fn money(self) -> Option<Money> {
        u64::try_from(self.0).ok().map(Money::from_nanos)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / BILLION, self.0 % BILLION);
        let digits = format!("{part:09}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            digits => write!(f, "{whole}.{digits}"),
        }
    }
}

/// `30s`, `1.5s`, `5m`, `1h 30m`, `2 days`.
pub(super) fn time(text: &str) -> Result<Duration, Hint> {
    let mut rest = text.trim();
    let mut nanos: u128 = 0;
    loop {
        let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_');
        let (number, after) = split_after(rest, is_of_number);
        let number = Decimal::parse(number).ok_or(None)?;
        let (unit, after) = split_after(after.trim_start(), char::is_alphabetic);
        let billionths = number.0.checked_mul(unit_nanos(unit)?).ok_or(None)?;
        if !billionths.is_multiple_of(BILLION) {
            return Err(None);
        }
        nanos = nanos.checked_add(billionths / BILLION).ok_or(None)?;
        rest = after.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    let seconds = u64::try_from(nanos / BILLION).map_err(|_| None)?;
    // A remainder of a billion fits.
    Ok(Duration::new(seconds, (nanos % BILLION) as u32))
}

/// `60/minute`, `3000/5m`, `20.00/month`.
pub(super) fn rate(text: &str) -> Result<Rate, Hint> {
    let (amount, period) = text.split_once('/').ok_or(None)?;
    let amount = Decimal::parse(amount.trim()).ok_or(None)?;
    let period = period.trim();
    let per = match PERIODS.iter().find(|(name, _)| *name == period) {
        Some((_, per)) => *per,
        None => Period::Time(time(period).map_err(|hint| {
            let names = PERIODS.iter().map(|(name, _)| *name);
            nearest(period, names).or(hint)
        })?),
    };
    Ok(Rate { amount, per })
}

fn split_after(text: &str, is_first: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !is_first(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn unit_nanos(unit: &str) -> Result<u128, Hint> {
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let words = || {
        UNITS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| name.len() > 2)
    };
    known
        .map(|(_, nanos)| *nanos)
        .ok_or_else(|| nearest(unit, words()))
}

const PERIODS: [(&str, Period); 10] = [
    ("second", Period::Time(Duration::from_secs(1))),
    ("minute", Period::Time(Duration::from_secs(60))),
    ("hour", Period::Time(Duration::from_secs(3_600))),
    ("day", Period::Time(Duration::from_secs(86_400))),
    ("week", Period::Time(Duration::from_secs(604_800))),
    ("month", Period::Month),
    ("s", Period::Time(Duration::from_secs(1))),
    ("m", Period::Time(Duration::from_secs(60))),
    ("h", Period::Time(Duration::from_secs(3_600))),
    ("d", Period::Time(Duration::from_secs(86_400))),
];

const UNITS: [(&str, u128); 17] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", BILLION),
    ("m", 60 * BILLION),
    ("h", 3_600 * BILLION),
    ("d", 86_400 * BILLION),
    ("second", BILLION),
    ("seconds", BILLION),
    ("minute", 60 * BILLION),
    ("minutes", 60 * BILLION),
    ("hour", 3_600 * BILLION),
    ("hours", 3_600 * BILLION),
    ("day", 86_400 * BILLION),
    ("days", 86_400 * BILLION),
    ("weeks", 604_800 * BILLION),
];

const BILLION: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit_and_is_never_rounded() {
        for (text, nanos) in [
            ("30s", 30_000_000_000),
            ("1.5s", 1_500_000_000),
            ("100ms", 100_000_000),
            ("22m46.848s", 1_366_848_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("2 days", 172_800_000_000_000),
            ("1_000ms", 1_000_000_000),
            ("0s", 0),
            ("0.000000001s", 1),
        ] {
            assert_eq!(time(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1e3s",
            "1.s",
            ".5s",
            "0.0000000001s",
            "1.5ns",
            "9999999999999999999999d",
            "1s,",
            "1 fortnight",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(time("5 minuets"), Err(Some("minutes")));
    }

    #[test]
    fn a_rate_is_an_amount_per_period() {
        let minute = Period::Time(Duration::from_secs(60));
        for (text, amount, per) in [
            ("60/minute", 60, minute),
            ("90_000 / m", 90_000, minute),
            ("3000/5m", 3_000, Period::Time(Duration::from_secs(300))),
            ("20.00/month", 20, Period::Month),
        ] {
            let rate = rate(text).unwrap();
            assert_eq!((rate.amount.whole(), rate.per), (Some(amount), per));
        }
        for text in [
            "60",
            "60/",
            "/minute",
            "60/0x",
            "many/minute",
            "1/minute/day",
            "60 per minute",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(rate("60/minuet"), Err(Some("minute")));
    }

    #[test]
    fn money_is_kept_to_the_billionth() {
        let money = |text| Decimal::parse(text).and_then(Decimal::money);
        assert_eq!(money("0.0375"), Some(Money::from_nanos(37_500_000)));
        assert_eq!(money("2"), Some(Money::from_cents(200)));
        for text in [
            "-1",
            "1e3",
            "0.0000000001",
            "99999999999999",
            "inf",
            "nan",
            "",
            "1_",
            "_1",
        ] {
            assert_eq!(money(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("1.5").and_then(Decimal::whole), None);
    }
}
