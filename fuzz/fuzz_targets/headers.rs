//! Quota headers and the head of an answer: the first line is the status, then a header a line.

#![no_main]

use fuzz::{some_time, split_headers, split_line};
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use tower_upstream::signal::{self, Dialect, hint};

fuzz_target!(|data: &[u8]| {
    let now = some_time(data);
    let (status, rest) = split_line(data);
    let status = StatusCode::from_bytes(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    let (headers, _) = split_headers(rest);
    Dialect::from_headers(&headers);
    let outcome = signal::outcome_of_head(status, &headers, now);
    assert_eq!(outcome.is_success(), status.as_u16() < 400);
    let wait = outcome.failure().and_then(|failure| failure.retry_after);
    assert!(wait.is_none_or(|wait| wait <= hint::MAX_HINT));
    for reading in signal::quotas(&headers, now) {
        assert!(
            reading
                .reset_after
                .is_none_or(|reset| reset <= hint::MAX_HINT)
        );
        for figure in [reading.limit, reading.remaining, reading.used] {
            assert!(figure.is_none_or(|figure| figure.is_finite() && figure >= 0.0));
        }
    }
});
