//! What it costs to read an answer.

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tower_upstream::signal::{self, Answer, sse::EventReader, usage::UsageReader};

use crate::{
    answers::{self, headers},
    harness::{Bench, Goal},
};

/// Issue 3: a 429 with a 1 KiB body in under 5 µs.
const REFUSAL: Goal = Goal::Below(5_000.0);
/// Issue 3: a success without quota headers costs under 50 ns.
const SUCCESS: Goal = Goal::Below(50.0);
/// Issue 3: usage over a 1 MiB stream at over 500 MB/s, and no more than one small allocation an event.
const STREAM: f64 = 500.0;

pub fn run(bench: &Bench) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);

    bench.title("a 429 with a body of 1 KiB");
    for refusal in answers::refusals() {
        let answer = Answer::new(
            StatusCode::TOO_MANY_REQUESTS,
            &refusal.headers,
            refusal.body.as_bytes(),
            now,
        );
        bench.row(refusal.name, REFUSAL, 1, || {
            signal::outcome_of(&answer, None)
        });
    }

    bench.title("a 429 of 64 KiB that is made to take long");
    for (name, body) in answers::hostile() {
        let headers = headers(&[]);
        let answer = Answer::new(
            StatusCode::TOO_MANY_REQUESTS,
            &headers,
            body.as_bytes(),
            now,
        );
        bench.row(name, Goal::Below(10e6), 1, || {
            signal::outcome_of(&answer, None)
        });
    }

    bench.title("headers");
    let plain = answers::plain_headers();
    bench.row("a success: head", SUCCESS, 1, || {
        signal::outcome_of_head(black_box(StatusCode::OK), black_box(&plain), now)
    });
    bench.row("a success: head and quotas", SUCCESS, 1, || {
        let outcome = signal::outcome_of_head(black_box(StatusCode::OK), black_box(&plain), now);
        (outcome, signal::quotas(black_box(&plain), now).len())
    });
    bench.row("a 429: head", Goal::None, 1, || {
        signal::outcome_of_head(StatusCode::TOO_MANY_REQUESTS, &plain, now)
    });
    for (name, headers) in answers::quota_headers() {
        bench.row(name, Goal::None, 1, || signal::quotas(&headers, now));
    }

    bench.title("1 MiB of events, in chunks of 16 KiB");
    for (name, stream, events) in answers::streams() {
        let goal = Goal::Above {
            speed: STREAM,
            bytes: stream.len(),
        };
        bench.row(&format!("usage: {name}"), goal, events, || {
            let mut reader = UsageReader::new(Some("text/event-stream"));
            stream
                .chunks(16 * 1_024)
                .for_each(|chunk| reader.push(chunk));
            reader.finish()
        });
        bench.row(&format!("events: {name}"), goal, events, || {
            let mut reader = EventReader::new();
            let mut bytes = 0;
            for chunk in stream.chunks(16 * 1_024) {
                reader.push(chunk, |event| bytes += event.data.len());
            }
            bytes
        });
    }
}
