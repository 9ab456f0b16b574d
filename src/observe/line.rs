//! Events as lines of JSON: see [`AuditLog`](super::AuditLog) for the format.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{fields::Field, limit_use::LimitUse};

/// The version of the format. It goes up when a field changes its meaning or goes; new events and fields may come without.
pub(super) const VERSION: u32 = 1;

/// A line in the making: an object, field by field.
#[derive(Debug)]
pub(super) struct Line(String);

impl Line {
    pub(super) fn begin(at: SystemTime, event: &str) -> Self {
        let at = timestamp(at);
        Self(format!(r#"{{"v":{VERSION},"at":"{at}","event":"{event}""#))
    }

    /// Adds a field. Its name is one of ours, which need no escaping.
    pub(super) fn add(&mut self, name: &str, field: &Field<'_>) {
        let line = &mut self.0;
        line.push_str(",\"");
        line.push_str(name);
        line.push_str("\":");
        match field {
            Field::Text(text) => line.push_str(&Value::from(&**text).to_string()),
            Field::Count(count) => line.push_str(&count.to_string()),
            Field::Flag(flag) => line.push_str(if *flag { "true" } else { "false" }),
            Field::Time(time) => line.push_str(&seconds(*time)),
            Field::Money(money) => line.push_str(&money.to_string()),
            Field::Limits(limits) => {
                let limits = limits.iter().map(limit).collect::<Value>();
                line.push_str(&limits.to_string());
            }
        }
    }

    /// The line, with its end.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

fn limit(limit: &LimitUse) -> Value {
    json!({"limit": limit.to_string(), "capacity": limit.capacity, "used": limit.used})
}

/// Seconds as a decimal number, exact to the nanosecond.
pub(super) fn seconds(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => time.as_secs().to_string(),
        nanos => {
            let digits = format!("{}.{nanos:09}", time.as_secs());
            digits.trim_end_matches('0').to_owned()
        }
    }
}

/// RFC 3339 in UTC, to the microsecond. A time before 1970 is told as its beginning.
fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_what_other_programs_make_of_the_same_second() {
        // By GNU date: `date -u -d @SECONDS --iso-8601=seconds`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (1_790_000_000, "2026-09-21T14:13:20.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        let at = UNIX_EPOCH + Duration::from_nanos(1_500_000);
        assert_eq!(timestamp(at), "1970-01-01T00:00:00.001500Z");
        assert_eq!(
            timestamp(UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn a_time_is_a_number_of_seconds_that_loses_nothing() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (20_000_000_000, "20"),
            (12_500_000, "0.0125"),
        ] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn no_words_break_out_of_their_line() {
        let mut line = Line::begin(UNIX_EPOCH, "paused");
        let odd = "a\"}\n{\\\u{7}\u{2028}é";
        line.add("key", &Field::Text(odd.into()));
        let line = line.end();
        assert_eq!(line.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["key"], odd);
    }
}
