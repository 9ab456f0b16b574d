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

const LIGHT: &Rows<(&str, f64, f64)> = &[
    (
        BARE,
        &[
            ("limit alone", 1_129.0, 0.0),
            ("breaker alone", 1_202.0, 0.0),
            ("retry alone", 869.0, 0.0),
            ("fallback alone", 4_471.0, 8.0),
            ("fallback, chain of one", 1_964.0, 6.0),
            ("breaker and limit", ANY, 0.0),
            ("retry and limit", ANY, 0.0),
            ("retry and breaker", ANY, 0.0),
            ("fallback and limit", ANY, 0.0),
            ("fallback and breaker", ANY, 0.0),
            ("fallback and retry", ANY, 0.0),
            ("three, no fallback", 3_347.0, 0.0),
            ("four layers", 9_218.0, 12.0),
            ("four, one upstream", 6_266.0, 9.0),
            ("tower-resilience's limit", ANY, ANY),
            ("tower-resilience's breaker", ANY, ANY),
            ("tower-resilience's retry", ANY, ANY),
            ("tower-resilience's fallback", ANY, ANY),
            ("tower-resilience's three", ANY, ANY),
            ("tower-resilience's four", ANY, ANY),
        ],
    ),
    (
        COPIED,
        &[
            ("six layers", 18_887.0, 20.0),
            ("Stats over all six", 21_041.0, 21.0),
        ],
    ),
];

const REAL: &Rows<(&str, f64, f64)> = &[
    (
        BARE,
        &[
            ("limit alone", 1_129.0, 0.0),
            ("breaker alone", 1_203.0, 0.0),
            ("retry alone", 1_722.0, 2.0),
            ("fallback alone", 5_324.0, 10.0),
            ("fallback, chain of one", 1_964.0, 6.0),
            ("breaker and limit", ANY, 0.0),
            ("retry and limit", ANY, 0.0),
            ("retry and breaker", ANY, 0.0),
            ("fallback and limit", ANY, 0.0),
            ("fallback and breaker", ANY, 0.0),
            ("fallback and retry", ANY, 0.0),
            ("three, no fallback", 4_201.0, 2.0),
            ("four layers", 10_955.0, 16.0),
            ("four, one upstream", 7_119.0, 11.0),
            ("tower-resilience's limit", ANY, ANY),
            ("tower-resilience's breaker", ANY, ANY),
            ("tower-resilience's retry", ANY, ANY),
            ("tower-resilience's fallback", ANY, ANY),
            ("tower-resilience's three", ANY, ANY),
            ("tower-resilience's four", ANY, ANY),
        ],
    ),
    (
        COPIED,
        &[
            ("six layers", 33_806.0, 39.0),
            ("Stats over all six", 36_031.0, 40.0),
        ],
    ),
];
