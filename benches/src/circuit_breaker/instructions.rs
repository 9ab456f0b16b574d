//! Instructions a call.

use crate::{
    harness::Bench,
    instructions::{self, Rows},
};

pub fn run(bench: &Bench) -> Result<(), String> {
    instructions::run(bench, "circuit_breaker", ROWS)
}

/// Rows of `calls`.
const ROWS: &Rows = &[
    (
        "bare, plain",
        &[
            "a row of failures",
            "count window",
            "time window",
            "the default",
            "slow ones too, calls",
            "failsafe, over time",
            "recloser",
            "tower-resilience, calls",
        ],
    ),
    ("bare, tenants", &["keyed by Scope::by"]),
    ("bare, upstreams", &["keyed by Scope::Upstream"]),
    (
        "request made and dropped",
        &["refused while open", "tower-resilience, refused"],
    ),
];
