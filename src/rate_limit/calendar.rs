//! Periods of the calendar: when the one began that a moment lies in, and when the next begins.

use super::epoch::{Nanos, WallNanos};
use crate::config_error::ConfigError;

/// Where a calendar's midnight is.
///
/// With the feature `time-zones`, also a zone with summer time, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Offset {
        minutes: i32,
    },
    #[cfg(feature = "time-zones")]
    Named(jiff::tz::TimeZone),
}

/// How often a calendar begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Every {
    Period(Nanos),
    Month,
}

/// How a zone is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZoneId<'a> {
    /// Minutes from UTC.
    Offset(i32),
    /// A name of the IANA database.
    Name(&'a str),
}

/// A period of the calendar, from its first nanosecond to the first of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begins: WallNanos,
    pub(super) ends: WallNanos,
}

impl Zone {
    /// Midnight of Greenwich.
    pub const UTC: Self = Self::utc_offset(0);

    /// A fixed offset from UTC, in minutes, from -1,080 to 1,080; west is negative.
    pub const fn utc_offset(minutes: i32) -> Self {
        Self(Kind::Offset { minutes })
    }

    /// A zone by its name in the IANA database, with its summer time.
    ///
    /// ```
    /// use tower_upstream::{Limit, rate_limit::Zone};
    ///
    /// # fn main() -> Result<(), tower_upstream::ConfigError> {
    /// let daily = Limit::requests(1_500).per_day().calendar(Zone::named("America/Los_Angeles")?);
    /// # let _ = daily;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When neither this machine nor the database that the feature carries knows the name.
    #[cfg(feature = "time-zones")]
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        let zone = jiff::tz::TimeZone::get(name);
        let unknown = |_| ConfigError::new("zone", name, "a name of the IANA time zone database");
        Ok(Self(Kind::Named(zone.map_err(unknown)?)))
    }

    pub(super) fn id(&self) -> ZoneId<'_> {
        match &self.0 {
            Kind::Offset { minutes } => ZoneId::Offset(*minutes),
            #[cfg(feature = "time-zones")]
            Kind::Named(zone) => ZoneId::Name(zone.iana_name().unwrap_or_default()),
        }
    }

    pub(super) fn of_id(id: ZoneId<'_>) -> Result<Self, ConfigError> {
        match id {
            ZoneId::Offset(minutes) => Ok(Self::utc_offset(minutes)),
            #[cfg(feature = "time-zones")]
            ZoneId::Name(name) => Self::named(name),
            #[cfg(not(feature = "time-zones"))]
            ZoneId::Name(name) => {
                let wanted = "an offset in minutes, for the feature `time-zones` is off";
                Err(ConfigError::new("zone", name, wanted))
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.0 {
            Kind::Offset { minutes } if !(-1_080..=1_080).contains(&minutes) => Err(
                ConfigError::new("calendar", minutes, "-1080 to 1080 minutes"),
            ),
            _ => Ok(()),
        }
    }

    /// The period that this moment lies in.
    pub(super) fn span(&self, every: Every, at: WallNanos) -> Span {
        match &self.0 {
            Kind::Offset { minutes } => {
                let offset = WallNanos::from(*minutes) * 60_000_000_000;
                fixed(every, at.saturating_add(offset)).moved(-offset)
            }
            #[cfg(feature = "time-zones")]
            Kind::Named(zone) => named::span(zone, every, at),
        }
    }
}

impl Every {
    pub(super) fn divides_a_day(self) -> bool {
        match self {
            Self::Month => true,
            Self::Period(period) => DAY.is_multiple_of(period),
        }
    }
}

impl Span {
    fn moved(self, by: WallNanos) -> Self {
        Self {
            begins: self.begins.saturating_add(by),
            ends: self.ends.saturating_add(by),
        }
    }
}

/// The period in which a local time lies.
fn fixed(every: Every, local: WallNanos) -> Span {
    match every {
        Every::Period(period) => {
            let period = WallNanos::try_from(period).unwrap_or(WallNanos::MAX).max(1);
            let begins = local.saturating_sub(local.rem_euclid(period));
            Span {
                begins,
                ends: begins.saturating_add(period),
            }
        }
        Every::Month => {
            let (year, month) = month_of(local.div_euclid(DAY as WallNanos));
            let (next_year, next) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            let midnight = |day: i64| day.saturating_mul(DAY as WallNanos);
            Span {
                begins: midnight(first_day(year, month)),
                ends: midnight(first_day(next_year, next)),
            }
        }
    }
}

/// The year and month of a day, counted from 1970-01-01. By Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>): years begin in March, so that a leap day is a year's last.
fn month_of(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year_of_era + i64::from(month <= 2), month)
}

/// The first day of a month, counted from 1970-01-01; `days_from_civil` of the same source.
fn first_day(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

const DAY: Nanos = 86_400_000_000_000;

#[cfg(feature = "time-zones")]
mod named {
    use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

    use super::{DAY, Every, Nanos, Span, WallNanos, fixed};

    /// The period that this moment lies in. Where the calendar of the zone ends, in the year 9999 or before, UTC's goes on.
    pub(super) fn span(zone: &TimeZone, every: Every, at: WallNanos) -> Span {
        let local = Timestamp::from_nanosecond(at.into()).map(|at| at.to_zoned(zone.clone()));
        let span = local.and_then(|local| match every {
            Every::Month => between(&local.first_of_month()?, |first| {
                first.checked_add(1.month())
            }),
            Every::Period(DAY) => between(&local, |midnight| midnight.tomorrow()),
            Every::Period(period) => Ok(within_a_day(&local, period, at)),
        });
        span.unwrap_or_else(|_| fixed(every, at))
    }

    fn between(
        day: &Zoned,
        next: impl Fn(&Zoned) -> Result<Zoned, jiff::Error>,
    ) -> Result<Span, jiff::Error> {
        let begins = day.start_of_day()?;
        let ends = next(&begins)?.start_of_day()?;
        Ok(Span {
            begins: nanos(&begins),
            ends: nanos(&ends),
        })
    }

    // Hours and minutes are never longer or shorter; only where they begin depends on the offset.
    fn within_a_day(local: &Zoned, period: Nanos, at: WallNanos) -> Span {
        let offset = i64::from(local.offset().seconds()) * 1_000_000_000;
        fixed(Every::Period(period), at.saturating_add(offset)).moved(-offset)
    }

    fn nanos(zoned: &Zoned) -> WallNanos {
        let nanos = zoned.timestamp().as_nanosecond();
        nanos.clamp(WallNanos::MIN.into(), WallNanos::MAX.into()) as WallNanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rate_limit::epoch::wall_nanos, signal::hint::parse_date};

    fn at(date: &str) -> WallNanos {
        wall_nanos(parse_date(date, std::time::UNIX_EPOCH).unwrap())
    }

    fn assert_span(zone: &Zone, every: Every, moment: &str, begins: &str, ends: &str) {
        let expected = Span {
            begins: at(begins),
            ends: at(ends),
        };
        assert_eq!(zone.span(every, at(moment)), expected, "{moment}");
        assert_eq!(
            zone.span(every, expected.begins),
            expected,
            "the first nanosecond"
        );
        assert_eq!(
            zone.span(every, expected.ends - 1),
            expected,
            "the last nanosecond"
        );
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        let pacific = Zone::utc_offset(-8 * 60);
        let (begins, ends) = ("2026-01-10T08:00:00Z", "2026-01-11T08:00:00Z");
        assert_span(
            &pacific,
            Every::Period(DAY),
            "2026-01-11T01:00:00Z",
            begins,
            ends,
        );
    }

    #[test]
    fn months_are_as_long_as_they_are() {
        for (moment, begins, ends) in [
            (
                "2024-02-29T12:00:00Z",
                "2024-02-01T00:00:00Z",
                "2024-03-01T00:00:00Z",
            ),
            (
                "2025-02-28T12:00:00Z",
                "2025-02-01T00:00:00Z",
                "2025-03-01T00:00:00Z",
            ),
            (
                "2025-12-31T23:59:59Z",
                "2025-12-01T00:00:00Z",
                "2026-01-01T00:00:00Z",
            ),
            // Every fourth century has a leap day, the others have none.
            (
                "2000-02-29T12:00:00Z",
                "2000-02-01T00:00:00Z",
                "2000-03-01T00:00:00Z",
            ),
            (
                "2100-02-28T12:00:00Z",
                "2100-02-01T00:00:00Z",
                "2100-03-01T00:00:00Z",
            ),
            (
                "2100-03-01T12:00:00Z",
                "2100-03-01T00:00:00Z",
                "2100-04-01T00:00:00Z",
            ),
        ] {
            assert_span(&Zone::UTC, Every::Month, moment, begins, ends);
        }
    }

    /// Every month that a time of day can lie in, by the rule for leap years and a table of lengths.
    #[test]
    fn each_month_follows_the_one_before_and_has_its_days() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = |year: i64, month: i64| match month {
            2 => 28 + i64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let day = DAY as WallNanos;
        let is_month = |begins: WallNanos, ends: WallNanos| {
            for at in [begins, begins + 14 * day, ends - 1] {
                let span = Zone::UTC.span(Every::Month, at);
                assert_eq!(span, Span { begins, ends }, "{at}");
            }
        };
        let months = |years: std::ops::Range<i64>| {
            years.flat_map(|year| (1..=12).map(move |month| (year, month)))
        };
        let mut begins = 0;
        for (year, month) in months(1970..2262) {
            let ends = begins + days(year, month) * day;
            is_month(begins, ends);
            begins = ends;
        }
        let mut ends = 0;
        for (year, month) in months(1678..1970).rev() {
            let begins = ends - days(year, month) * day;
            is_month(begins, ends);
            ends = begins;
        }
    }

    #[test]
    fn the_calendar_goes_back_before_1970() {
        let day = DAY as WallNanos;
        let span = |begins, ends| Span { begins, ends };
        assert_eq!(Zone::UTC.span(Every::Period(DAY), -1), span(-day, 0));
        assert_eq!(Zone::UTC.span(Every::Month, -1), span(-31 * day, 0));
        assert_eq!(
            Zone::UTC.span(Every::Month, -31 * day - 1),
            span(-61 * day, -31 * day)
        );
    }

    #[test]
    fn no_moment_is_outside_the_calendar() {
        for moment in [WallNanos::MIN, -1, 0, WallNanos::MAX] {
            for every in [
                Every::Month,
                Every::Period(DAY),
                Every::Period(Nanos::MAX),
                Every::Period(1),
            ] {
                let span = Zone::utc_offset(1_080).span(every, moment);
                assert!(span.begins <= span.ends, "{moment} {every:?}");
            }
        }
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn a_day_of_a_zone_with_summer_time_has_23_or_25_hours() {
        let pacific = Zone::named("America/Los_Angeles").unwrap();
        let day = Every::Period(DAY);
        let (begins, ends) = ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z");
        assert_span(&pacific, day, "2026-03-08T20:00:00Z", begins, ends);
        let (begins, ends) = ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z");
        assert_span(&pacific, day, "2026-11-01T20:00:00Z", begins, ends);
        let (begins, ends) = ("2026-03-01T08:00:00Z", "2026-04-01T07:00:00Z");
        assert_span(&pacific, Every::Month, "2026-03-08T20:00:00Z", begins, ends);
        assert!(Zone::named("Mars/Olympus").is_err());
        for moment in [WallNanos::MIN, WallNanos::MAX] {
            let span = pacific.span(day, moment);
            assert!(span.begins <= span.ends);
        }
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn an_hour_begins_where_the_zone_has_it() {
        let india = Zone::named("Asia/Kolkata").unwrap();
        let hour = Every::Period(DAY / 24);
        let (begins, ends) = ("2026-01-10T07:30:00Z", "2026-01-10T08:30:00Z");
        assert_span(&india, hour, "2026-01-10T08:10:00Z", begins, ends);
    }
}
