//! Instructions and allocations a call. Who makes a row faster lowers its bound. Pairs and peers have none.

use super::calls::COPIED;
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
            ("limit alone", 1_129.0, 0.0, None),
            ("breaker alone", 1_202.0, 0.0, None),
            ("retry alone", 869.0, 0.0, None),
            ("fallback alone", 4_471.0, 8.0, None),
            ("fallback, chain of one", 1_964.0, 6.0, None),
            ("breaker and limit", ANY, 0.0, None),
            ("retry and limit", ANY, 0.0, None),
            ("retry and breaker", ANY, 0.0, None),
            ("fallback and limit", ANY, 0.0, None),
            ("fallback and breaker", ANY, 0.0, None),
            ("fallback and retry", ANY, 0.0, None),
            ("three, no fallback", 3_347.0, 0.0, None),
            ("four layers", 9_218.0, 12.0, Some([1_100.0, 0.0])),
            ("four, one upstream", 6_266.0, 9.0, None),
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
            ("six layers", 18_887.0, 20.0, None),
            ("Stats over all six", 21_041.0, 21.0, None),
        ],
    ),
];

const REAL: &Rows<Bound> = &[
    (
        BARE,
        &[
            ("limit alone", 1_129.0, 0.0, None),
            ("breaker alone", 1_203.0, 0.0, None),
            ("retry alone", 1_722.0, 2.0, None),
            ("fallback alone", 5_324.0, 10.0, None),
            ("fallback, chain of one", 1_964.0, 6.0, None),
            ("breaker and limit", ANY, 0.0, None),
            ("retry and limit", ANY, 0.0, None),
            ("retry and breaker", ANY, 0.0, None),
            ("fallback and limit", ANY, 0.0, None),
            ("fallback and breaker", ANY, 0.0, None),
            ("fallback and retry", ANY, 0.0, None),
            ("three, no fallback", 4_201.0, 2.0, None),
            ("four layers", 10_955.0, 16.0, Some([2_000.0, 2.0])),
            ("four, one upstream", 7_119.0, 11.0, None),
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
            ("six layers", 33_806.0, 39.0, None),
            ("Stats over all six", 36_031.0, 40.0, None),
        ],
    ),
];
