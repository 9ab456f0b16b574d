//! Instructions and allocations a call. Who makes a row faster lowers its bound. Pairs and peers have none.

use super::calls::{ASKED, COPIED, MARKED};
use crate::{
    harness::Bench,
    instructions::{self, ANY, Part, Rows},
    race::BARE,
};

pub fn run(bench: &Bench) -> Result<(), String> {
    let rows = |kind, rows| {
        let part = Part {
            words: ["stack", kind],
            calls: 5_000,
        };
        instructions::run(bench, &part, rows)
    };
    let light = rows("light", LIGHT);
    light.and(rows("real", REAL))
}

/// A row, what it added when it was last made faster, and what it should.
type Bound = (&'static str, f64, f64, Option<[f64; 2]>);

const LIGHT: &Rows<Bound> = &[
    (
        BARE,
        &[
            (MARKED, ANY, ANY, None),
            ("limit alone", 963.0, 0.0, None),
            ("breaker alone", 512.0, 0.0, None),
            ("retry alone", 880.0, 0.0, None),
            ("fallback alone", 3_433.0, 8.0, None),
            ("fallback, chain of one", 1_937.0, 6.0, None),
            ("breaker and limit", ANY, 0.0, None),
            ("retry and limit", ANY, 0.0, None),
            ("retry and breaker", ANY, 0.0, None),
            ("fallback and limit", ANY, 0.0, None),
            ("fallback and breaker", ANY, 0.0, None),
            ("fallback and retry", ANY, 0.0, None),
            ("three, no fallback", 2_330.0, 0.0, None),
            ("four layers", 6_648.0, 8.0, Some([1_100.0, 0.0])),
            ("four, one upstream", 5_044.0, 6.0, None),
            ("tower-resilience's limit", ANY, ANY, None),
            ("tower-resilience's breaker", ANY, ANY, None),
            ("tower-resilience's retry", ANY, ANY, None),
            ("tower-resilience's fallback", ANY, ANY, None),
            ("tower-resilience's three", ANY, ANY, None),
            ("tower-resilience's four", ANY, ANY, None),
        ],
    ),
    (
        COPIED,
        &[
            ("six layers", 13_343.0, 15.0, None),
            ("Stats over all six", 14_932.0, 16.0, None),
        ],
    ),
    (ASKED, &[("a gateway's six", 13_992.0, 18.0, None)]),
];

const REAL: &Rows<Bound> = &[
    (
        BARE,
        &[
            (MARKED, ANY, ANY, None),
            ("limit alone", 963.0, 0.0, None),
            ("breaker alone", 512.0, 0.0, None),
            ("retry alone", 1_733.0, 2.0, None),
            ("fallback alone", 4_289.0, 10.0, None),
            ("fallback, chain of one", 1_937.0, 6.0, None),
            ("breaker and limit", ANY, 0.0, None),
            ("retry and limit", ANY, 0.0, None),
            ("retry and breaker", ANY, 0.0, None),
            ("fallback and limit", ANY, 0.0, None),
            ("fallback and breaker", ANY, 0.0, None),
            ("fallback and retry", ANY, 0.0, None),
            ("three, no fallback", 3_182.0, 2.0, None),
            ("four layers", 8_359.0, 12.0, Some([2_000.0, 2.0])),
            ("four, one upstream", 5_895.0, 8.0, None),
            ("tower-resilience's limit", ANY, ANY, None),
            ("tower-resilience's breaker", ANY, ANY, None),
            ("tower-resilience's retry", ANY, ANY, None),
            ("tower-resilience's fallback", ANY, ANY, None),
            ("tower-resilience's three", ANY, ANY, None),
            ("tower-resilience's four", ANY, ANY, None),
        ],
    ),
    (
        COPIED,
        &[
            ("six layers", 21_728.0, 24.0, None),
            ("Stats over all six", 23_361.0, 25.0, None),
        ],
    ),
    (ASKED, &[("a gateway's six", 20_846.0, 24.0, None)]),
];
