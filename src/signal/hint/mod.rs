//! How long the upstream asks to be left alone: durations and dates in headers and in prose.
//!
//! A hint of zero, or a date in the past, is kept as [`Duration::ZERO`]: the upstream said something, and the retry
//! layer takes zero for no hint. A negative or malformed one is none. What lies beyond [`MAX_HINT`] is cut to it,
//! which means "not in this process's lifetime" either way. Everything is rounded up to a millisecond, so that nobody
//! comes back early.

mod date;
mod duration;
mod prose;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

pub use self::{date::parse_date, duration::parse_duration, prose::find_wait};
pub(crate) use self::{
    duration::{from_secs, leading_duration},
    prose::find_wait_in,
};

/// The longest hint that is believed, 366 days; longer ones are cut to it.
pub const MAX_HINT: Duration = Duration::from_secs(366 * 86_400);

/// The wait that the headers ask for.
///
/// Read in this order, the first one above zero wins: `retry-after-ms`, `x-ms-retry-after-ms` (milliseconds), then
/// `retry-after` (whole seconds, a fraction, a duration such as `1m30s`, a Unix time, or one of the three date forms
/// of RFC 9110 section 5.6.7). Dates are read against the answer's own `Date` header, against `now` only without one:
/// the two clocks may differ.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut zero = None;
    for (name, unit) in RETRY_HEADERS {
        for value in headers.get_all(name) {
            match retry_value(value, unit, headers, now) {
                // Azure sends `retry-after-ms: 0` beside `retry-after: 1`: a zero does not silence a better hint.
                Some(Duration::ZERO) => zero = Some(Duration::ZERO),
                Some(wait) => return Some(wait),
                None => {}
            }
        }
    }
    zero
}

/// The longest wait that the headers ask for, where they contradict each other.
pub(crate) fn longest_retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let waits = headers.iter().filter_map(|(name, value)| {
        let (_, unit) = RETRY_HEADERS
            .iter()
            .find(|(known, _)| *known == name.as_str())?;
        retry_value(value, *unit, headers, now)
    });
    waits.max()
}

/// Whether the upstream says that the same request may be sent again: `x-should-retry: true` or `false`, as OpenAI's
/// and Anthropic's servers send it and their clients obey it.
pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// The time by the upstream's clock: its `Date` header, else `now`.
pub(crate) fn server_time(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    headers
        .get(http::header::DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now)
}

/// The wait until a Unix time, in seconds or, from 10^12 on, in milliseconds.
pub(crate) fn until_epoch(epoch: f64, server_time: SystemTime) -> Duration {
    let seconds = if epoch >= EPOCH_MILLIS {
        epoch / 1e3
    } else {
        epoch
    };
    let since_epoch = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    match SystemTime::UNIX_EPOCH.checked_add(since_epoch) {
        Some(then) => until(then, server_time),
        None => MAX_HINT,
    }
}

/// The wait until a time; zero where it has passed.
pub(crate) fn until(then: SystemTime, server_time: SystemTime) -> Duration {
    round_up(then.duration_since(server_time).unwrap_or_default())
}

/// Rounds up to a millisecond and cuts to [`MAX_HINT`].
pub(crate) fn round_up(wait: Duration) -> Duration {
    let wait = wait.min(MAX_HINT);
    // A microsecond is forgiven: "97d2h10m8.583s" in floating point is a little more than that.
    let nanos = wait.subsec_nanos().saturating_sub(1_000);
    let millis = nanos.div_ceil(1_000_000);
    Duration::from_secs(wait.as_secs()) + Duration::from_millis(u64::from(millis))
}

/// Seconds at and above which a number is a point in time rather than a duration: 2001-09-09, and 31 years.
pub(crate) const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e12;

const RETRY_HEADERS: [(&str, Unit); 3] = [
    ("retry-after-ms", Unit::Millis),
    ("x-ms-retry-after-ms", Unit::Millis),
    ("retry-after", Unit::Seconds),
];

#[derive(Clone, Copy)]
enum Unit {
    Millis,
    Seconds,
}

fn retry_value(
    value: &HeaderValue,
    unit: Unit,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    match (unit, text.parse::<f64>()) {
        (Unit::Millis, Ok(millis)) => duration::from_secs(millis / 1e3),
        (Unit::Millis, Err(_)) => None,
        (Unit::Seconds, Ok(number)) if number >= EPOCH_SECONDS => {
            Some(until_epoch(number, server_time(headers, now)))
        }
        (Unit::Seconds, Ok(seconds)) => duration::from_secs(seconds),
        (Unit::Seconds, Err(_)) => parse_duration(text).or_else(|| {
            let server_time = server_time(headers, now);
            Some(until(parse_date(text, server_time)?, server_time))
        }),
    }
}
