//! Instructions a call.

use crate::{
    harness::Bench,
    instructions::{self, ANY, Part, Rows},
};

pub fn run(bench: &Bench) -> Result<(), String> {
    instructions::run(bench, &Part::calls_of("circuit_breaker"), ROWS)
}

/// Rows of `calls`.
const ROWS: &Rows = &[
    (
        "bare, plain",
        &[
            ("a row of failures", ANY),
            ("count window", ANY),
            ("time window", ANY),
            ("the default", ANY),
            ("slow ones too, calls", ANY),
            ("failsafe, over time", ANY),
            ("recloser", ANY),
            ("tower-resilience, calls", ANY),
        ],
    ),
    ("bare, tenants", &[("keyed by Scope::by", ANY)]),
    ("bare, upstreams", &[("keyed by Scope::Upstream", ANY)]),
    (
        "request made and dropped",
        &[
            ("refused while open", ANY),
            ("tower-resilience, refused", ANY),
        ],
    ),
];
