//! Instructions a call. Those of governor swing by a hundred or two, for its clock tunes itself for as long as it takes.

use crate::{
    harness::Bench,
    instructions::{self, Rows},
};

pub fn run(bench: &Bench) -> Result<(), String> {
    instructions::run(bench, "rate_limit", ROWS)
}

const ROWS: &Rows = &[
    (
        "bare, plain",
        &[
            "one window",
            "one bucket",
            "one cap of 1,000",
            "governor, unkeyed",
            "tower RateLimit",
            "tower ConcurrencyLimit",
            "tower-resilience, fixed window",
        ],
    ),
    (
        "bare, with a cost",
        &[
            "three limits, no cap",
            "three limits and a cap",
            "governor thrice and tower's cap",
        ],
    ),
    (
        "bare, tenants",
        &[
            "keyed by Scope::by",
            "keyed bucket by Scope::by",
            "governor, keyed",
        ],
    ),
    ("bare, upstreams", &["keyed by Scope::Upstream"]),
    (
        "request made and dropped",
        &[
            "refused for max_wait",
            "refused for queue_capacity",
            "refused with a scope",
            "governor, refused",
            "tower-resilience, refused",
        ],
    ),
];
