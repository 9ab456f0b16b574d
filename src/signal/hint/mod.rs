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
mod wait;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::{date::parse_date, duration::parse_duration, prose::find_wait, wait::MAX_HINT};
pub(crate) use self::{
    duration::leading_duration,
    prose::find_wait_in,
    wait::{EPOCH_SECONDS, from_secs, until, until_epoch},
};

/// The wait that the headers ask for.
///
/// Read in this order, the first one above zero wins: `retry-after-ms`, `x-ms-retry-after-ms` (milliseconds), then
/// `retry-after` (whole seconds, a fraction, several of them with commas, a duration such as `1m30s`, a Unix time, or one of
/// the three date forms of RFC 9110 section 5.6.7). Dates are read against the answer's own `Date` header, against `now` only
/// without one: the two clocks may differ.
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
///
/// `retry-after: 2` beside `retry-after-ms: 1500` is no contradiction: it is the same hint, rounded up.
pub(crate) fn longest_retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let [mut millis, mut seconds] = [None; 2];
    for (name, value) in headers {
        let known = RETRY_HEADERS
            .iter()
            .find(|(known, _)| *known == name.as_str());
        let Some((_, unit)) = known else { continue };
        let longest = match unit {
            Unit::Millis => &mut millis,
            Unit::Seconds => &mut seconds,
        };
        *longest = (*longest).max(retry_value(value, *unit, headers, now));
    }
    if seconds == millis.map(whole_seconds) {
        return millis;
    }
    millis.max(seconds)
}

/// Whether the upstream says that the same request may be sent again: `x-should-retry: true` or `false`, as OpenAI's
/// and Anthropic's servers send it and their clients obey it, and `stripe-should-retry`
/// ([Stripe's](https://docs.stripe.com/error-low-level#retries)).
pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
    static NAME: HeaderName = HeaderName::from_static("x-should-retry");
    static OF_STRIPE: HeaderName = HeaderName::from_static("stripe-should-retry");
    let said = headers.get(&NAME).or_else(|| headers.get(&OF_STRIPE));
    match said?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// The wait that a text tells by a date or a duration. No text is both.
pub(crate) fn parse_wait(text: &str, server_time: SystemTime) -> Option<Duration> {
    let date = parse_date(text, server_time);
    date.map(|date| until(date, server_time))
        .or_else(|| parse_duration(text))
}

/// The time by the upstream's clock: its `Date` header, else `now`.
pub(crate) fn server_time(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    headers
        .get(http::header::DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now)
}

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

/// The wait as `retry-after` can say it without asking for too little.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(crate::period::whole_seconds(wait))
}

fn retry_value(
    value: &HeaderValue,
    unit: Unit,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let seconds = |number: f64| match number >= EPOCH_SECONDS {
        true => Some(until_epoch(number, server_time(headers, now))),
        false => from_secs(number),
    };
    match (unit, text.parse::<f64>()) {
        (Unit::Millis, Ok(millis)) => from_secs(millis / 1e3),
        (Unit::Millis, Err(_)) => None,
        (Unit::Seconds, Ok(number)) => seconds(number),
        (Unit::Seconds, Err(_)) => parse_wait(text, server_time(headers, now)).or_else(|| {
            // As a proxy joins two fields into one (RFC 9110, 5.3): the longest.
            let mut numbers = text.split(',');
            numbers.try_fold(Duration::ZERO, |longest, number| {
                Some(longest.max(seconds(number.trim().parse().ok()?)?))
            })
        }),
    }
}
