//! What each metric is, for the recorder.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) fn describe() {
    describe_histogram!(
        "gen_ai.client.operation.duration",
        Unit::Seconds,
        "From the sending of a request to the end of its answer"
    );
    describe_histogram!(
        "gen_ai.client.operation.time_to_first_chunk",
        Unit::Seconds,
        "From the sending of a request to the first content of its stream"
    );
    describe_histogram!(
        "gen_ai.client.token.usage",
        Unit::Count,
        "Tokens of a prompt or an answer"
    );
    for (name, unit, text) in COUNTERS {
        describe_counter!(name, unit, text);
    }
    describe_histogram!(
        "tower_upstream.limiter.wait",
        Unit::Seconds,
        "How long a request waited for a limiter, if it did"
    );
    describe_histogram!(
        "tower_upstream.retry.wait",
        Unit::Seconds,
        "How long a request waited before it was sent again"
    );
    describe_gauge!(
        "tower_upstream.limiter.taken",
        Unit::Percent,
        "The share of a limit that is taken, 1.0 where all of it is"
    );
    describe_gauge!(
        "tower_upstream.circuit.state",
        "0 closed, 1 half open, 2 open, -1 disabled"
    );
}

const COUNTERS: [(&str, Unit, &str); 18] = [
    (
        "tower_upstream.requests",
        Unit::Count,
        "Requests that were sent, by their end",
    ),
    (
        "tower_upstream.answers.truncated",
        Unit::Count,
        "Answers cut off at their maximum of tokens",
    ),
    (
        "tower_upstream.tokens.cached",
        Unit::Count,
        "Tokens of prompts out of the provider's cache",
    ),
    (
        "tower_upstream.money.nanos",
        Unit::Count,
        "Billionths of a unit of money, by the upstream's price",
    ),
    (
        "tower_upstream.limiter.admitted",
        Unit::Count,
        "Requests that a limiter let through",
    ),
    (
        "tower_upstream.limiter.queued",
        Unit::Count,
        "Requests that a limiter made wait",
    ),
    (
        "tower_upstream.limiter.left",
        Unit::Count,
        "Requests that left a queue with their caller",
    ),
    (
        "tower_upstream.limiter.refused",
        Unit::Count,
        "Requests that a limiter refused",
    ),
    (
        "tower_upstream.limiter.shadowed",
        Unit::Count,
        "Requests that a limit in shadow mode would have made wait",
    ),
    (
        "tower_upstream.limiter.learned",
        Unit::Count,
        "Limits that answers told or corrected",
    ),
    (
        "tower_upstream.limiter.paused",
        Unit::Count,
        "Pauses for everybody under a key",
    ),
    (
        "tower_upstream.retries",
        Unit::Count,
        "Requests that were sent again",
    ),
    (
        "tower_upstream.retries.given_up",
        Unit::Count,
        "Failures passed on that another attempt might have cured",
    ),
    (
        "tower_upstream.circuit.changes",
        Unit::Count,
        "Changes of a circuit, by the state it came to",
    ),
    (
        "tower_upstream.cooldowns",
        Unit::Count,
        "Times that an upstream was left alone for a while",
    ),
    (
        "tower_upstream.switches",
        Unit::Count,
        "Requests that went on to another upstream",
    ),
    (
        "tower_upstream.exhausted",
        Unit::Count,
        "Requests for which no upstream was left",
    ),
    (
        "tower_upstream.deadlines.exceeded",
        Unit::Count,
        "Requests that came after their deadline, by the layer that they came to",
    ),
];
