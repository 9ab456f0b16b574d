//! Instructions a call. Those of governor swing by a hundred or two, for its clock tunes itself for as long as it takes.

use crate::{
    harness::Bench,
    instructions::{self, ANY, Part, Rows},
};

pub fn run(bench: &Bench) -> Result<(), String> {
    instructions::run(bench, &Part::calls_of("rate_limit"), ROWS)
}

const ROWS: &Rows = &[
    (
        "bare, plain",
        &[
            ("one window", 911.0),
            ("one bucket", 933.0),
            ("one cap of 1,000", 924.0),
            ("governor, unkeyed", ANY),
            ("tower RateLimit", ANY),
            ("tower ConcurrencyLimit", ANY),
            ("tower-resilience, fixed window", ANY),
        ],
    ),
    (
        "bare, with a cost",
        &[
            ("three limits, no cap", 1_233.0),
            ("three limits and a cap", 1_288.0),
            ("governor thrice and tower's cap", ANY),
        ],
    ),
    (
        "bare, tenants",
        &[
            ("keyed by Scope::by", 1_284.0),
            ("keyed bucket by Scope::by", 1_214.0),
            ("governor, keyed", ANY),
        ],
    ),
    ("bare, upstreams", &[("keyed by Scope::Upstream", 1_260.0)]),
    (
        "request made and dropped",
        &[
            ("refused for max_wait", 1_082.0),
            ("refused for queue_capacity", 1_084.0),
            ("refused with a scope", 1_110.0),
            ("governor, refused", ANY),
            ("tower-resilience, refused", ANY),
        ],
    ),
];
