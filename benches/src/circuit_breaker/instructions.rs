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
            ("a row of failures", 300.0),
            ("count window", 300.0),
            ("time window", 425.0),
            ("the default", 425.0),
            ("slow ones too, calls", 833.0),
            ("failsafe, over time", ANY),
            ("recloser", ANY),
            ("tower-resilience, calls", ANY),
        ],
    ),
    ("bare, tenants", &[("keyed by Scope::by", 1_206.0)]),
    ("bare, upstreams", &[("keyed by Scope::Upstream", 1_230.0)]),
    (
        "request made and dropped",
        &[
            ("refused while open", 495.0),
            ("tower-resilience, refused", ANY),
        ],
    ),
];
