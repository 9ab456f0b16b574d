//! Durations, dates and waits: the first line is the answer's `Date`, the rest is a header's value and a sentence.

#![no_main]

use std::time::{Duration, SystemTime};

use fuzz::{some_time, split_line};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_upstream::signal::hint;

fuzz_target!(|data: &[u8]| {
    let now = some_time(data);
    let (date, value) = split_line(data);
    let mut headers = HeaderMap::new();
    if let Ok(date) = HeaderValue::from_bytes(date) {
        headers.insert("date", date);
    }
    check(hint::retry_after(&headers, now));
    for name in [
        "retry-after",
        "retry-after-ms",
        "x-ms-retry-after-ms",
        "x-should-retry",
    ] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
        check(hint::retry_after(&headers, now));
    }
    hint::should_retry(&headers);

    let text = String::from_utf8_lossy(value);
    let date = hint::parse_date(&text, now);
    assert!(date.is_none_or(|date| date >= SystemTime::UNIX_EPOCH));
    check(hint::find_wait(&text, now));
    let wait = hint::parse_duration(&text);
    check(wait);
    if text.starts_with(|first: char| first.is_ascii_digit()) && wait.is_some() {
        let said = hint::find_wait(&format!("try again in {text}"), now);
        assert!(said >= wait, "{text:?}: {said:?}, but by itself {wait:?}");
    }
});

/// Whole milliseconds, and nobody waits longer than the longest hint.
fn check(wait: Option<Duration>) {
    if let Some(wait) = wait {
        assert!(wait <= hint::MAX_HINT);
        assert_eq!(wait.subsec_nanos() % 1_000_000, 0);
    }
}
