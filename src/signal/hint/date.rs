//! Points in time, as servers write them.

use std::time::{Duration, SystemTime};

/// Reads a point in time: the three HTTP date forms of RFC 9110 section 5.6.7, RFC 3339 with any offset, and what
/// prose makes of it (`2026-03-01 at 00:00 UTC`, `07-28 14:20:00 UTC`). A date without a year is the next such day
/// after `server_time`.
pub fn parse_date(text: &str, server_time: SystemTime) -> Option<SystemTime> {
    let text = text.trim();
    // HTTP's dates begin with the day of the week.
    match text.starts_with(|first: char| first.is_ascii_digit()) {
        true => leading_date(text, server_time),
        false => httpdate::parse_http_date(text).ok(),
    }
}

/// The ISO date that the text begins with. A date without a time of day is its midnight; without a zone it is UTC.
pub(super) fn leading_date(text: &str, server_time: SystemTime) -> Option<SystemTime> {
    let mut cursor = Cursor(text.as_bytes());
    let first = cursor.digits()?;
    cursor.byte(b'-')?;
    let second = cursor.digits()?;
    let (year, month, day) = match cursor.byte(b'-') {
        Some(()) => (Some(first), second, cursor.digits()?),
        None => (None, first, second),
    };
    let seconds_of_day = time_of_day(&mut cursor);
    // A yearless "3-4" without a time of day is no date.
    let (seconds, nanos, offset) = match (seconds_of_day, year) {
        (Some(time), _) => time,
        (None, Some(_)) => (0, 0, 0),
        (None, None) => return None,
    };
    let at = |year: i64| {
        let days = days_from_civil(year, month, day)?;
        let since_epoch = u64::try_from(days * 86_400 + seconds - offset).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(since_epoch, nanos))
    };
    match year {
        Some(year) => at(year),
        None => {
            let this_year = year_of(server_time);
            at(this_year)
                .filter(|date| *date >= server_time)
                .or_else(|| at(this_year + 1))
        }
    }
}

/// Seconds since midnight, nanoseconds, and the zone's offset in seconds.
fn time_of_day(cursor: &mut Cursor<'_>) -> Option<(i64, u32, i64)> {
    let start = cursor.0;
    if !["T", "t", " at ", " "].iter().any(|gap| cursor.word(gap)) {
        return None;
    }
    let Some(hours) = cursor.digits().filter(|hours| *hours < 25) else {
        cursor.0 = start;
        return None;
    };
    cursor.byte(b':')?;
    let minutes = cursor.digits().filter(|minutes| *minutes < 60)?;
    let seconds = match cursor.byte(b':') {
        Some(()) => cursor.digits().filter(|seconds| *seconds < 61)?,
        None => 0,
    };
    let nanos = match cursor.byte(b'.') {
        Some(()) => cursor.fraction(),
        None => 0,
    };
    Some((
        hours * 3_600 + minutes * 60 + seconds,
        nanos,
        cursor.offset(),
    ))
}

/// Days from 1970-01-01, by Howard Hinnant's `days_from_civil`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn year_of(time: SystemTime) -> i64 {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let days = i64::try_from(since_epoch.as_secs() / 86_400).unwrap_or(0);
    let mut year = 1970 + days / 366;
    while days_from_civil(year + 1, 1, 1).is_some_and(|first| first <= days) {
        year += 1;
    }
    year
}

/// Whether a sign and `hhmm` or `hh:mm` follow.
fn is_full_offset(text: &[u8]) -> bool {
    let is = |at: usize, wanted: fn(&u8) -> bool| text.get(at).is_some_and(wanted);
    let minutes = 3 + usize::from(text.get(3) == Some(&b':'));
    is(0, |sign| matches!(sign, b'+' | b'-'))
        && [1, 2, minutes, minutes + 1]
            .into_iter()
            .all(|at| is(at, u8::is_ascii_digit))
        && !is(minutes + 2, u8::is_ascii_digit)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.0.strip_prefix(word.as_bytes());
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// One to four digits.
    fn digits(&mut self) -> Option<i64> {
        let length = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=4).contains(&length) {
            return None;
        }
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(
            digits
                .iter()
                .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')),
        )
    }

    /// The digits after the point, as nanoseconds.
    fn fraction(&mut self) -> u32 {
        let length = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        let digits = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
        digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'))
    }

    /// The zone, in seconds east of Greenwich: `+08:00`, ` +0800 CST`, ` UTC+8`.
    fn offset(&mut self) -> i64 {
        let start = self.0;
        let is_apart = self.word(" ");
        self.word("(");
        let is_named = self.word("UTC") || self.word("GMT") || self.word("utc") || self.word("gmt");
        // "00:00 - 12 hours from now" has no zone.
        if is_apart && !is_named && !is_full_offset(self.0) {
            self.0 = start;
            return 0;
        }
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return 0,
        };
        self.0 = &self.0[1..];
        let offset = self.digits().map(|number| match self.byte(b':') {
            Some(()) => number * 3_600 + self.digits().unwrap_or(0) * 60,
            None if number >= 100 => number / 100 * 3_600 + number % 100 * 60,
            None => number * 3_600,
        });
        let offset = offset.filter(|offset| *offset <= 86_400);
        if offset.is_none() {
            self.0 = start;
        }
        sign * offset.unwrap_or(0)
    }
}
