//! Whole answers: the first line is the status and, behind a blank, the dialect; then the headers, a blank line and the body.
//!
//! A byte `FF` in the body stands for a key, which must never get into a message.

#![no_main]

use std::sync::LazyLock;

use fuzz::{some_time, split_headers, split_line};
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use tower_upstream::{
    FailureKind, Outcome,
    signal::{self, Answer, Dialect, FailureRule, hint},
};

const SECRET: &[u8] = b"0123456789abcdef";
const KEY: &[u8] = b" sk-0123456789abcdef ";

static RULES: LazyLock<[FailureRule; 2]> = LazyLock::new(|| {
    [
        FailureRule::new(FailureKind::Overloaded)
            .statuses(400..=409)
            .message("a")
            .message("migrated"),
        FailureRule::new(FailureKind::RateLimited)
            .code("é")
            .retry_same(false),
    ]
});

fuzz_target!(|data: &[u8]| {
    let (head, rest) = split_line(data);
    let mut head = head.splitn(2, |byte| *byte == b' ');
    let status = head.next().unwrap_or_default();
    let status = StatusCode::from_bytes(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    let dialect = head.next().and_then(|name| str::from_utf8(name).ok());
    let dialect = dialect.and_then(Dialect::from_name);
    let (headers, body) = split_headers(rest);
    if tells(body) {
        return;
    }
    // As much as would be peeked, with keys in their places.
    let body: Vec<u8> = body
        .iter()
        .flat_map(|byte| {
            if *byte == 0xFF {
                KEY
            } else {
                std::slice::from_ref(byte)
            }
        })
        .copied()
        .take(64 * 1_024)
        .collect();
    let answer = Answer::new(status, &headers, &body, some_time(data));

    let outcome = signal::outcome_of(&answer, dialect);
    check(&outcome);
    check(&signal::outcome_by_rules(&answer, dialect, &*RULES));
    if status.as_u16() >= 400 {
        assert!(!outcome.is_success());
    }
});

fn check(outcome: &Outcome) {
    let Some(failure) = outcome.failure() else {
        return;
    };
    assert!(
        failure
            .retry_after
            .is_none_or(|wait| wait <= hint::MAX_HINT)
    );
    if let Some(message) = &failure.message {
        assert!(message.len() <= 200);
        assert!(!tells(message.as_bytes()), "{message}");
    }
    if let Some(limit) = &failure.limit {
        for figure in [limit.limit, limit.used, limit.requested, limit.remaining] {
            assert!(figure.is_none_or(f64::is_finite), "{limit:?}");
        }
    }
}

/// Whether the secret can be read. Without `sk-` it is no key, and the fuzzer knows how to write it.
fn tells(text: &[u8]) -> bool {
    text.windows(SECRET.len()).any(|part| part == SECRET)
}
