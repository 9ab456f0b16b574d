//! Instructions and allocations a call.

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
            ("limit alone", ANY, 0.0),
            ("breaker alone", ANY, 0.0),
            ("retry alone", ANY, 0.0),
            ("fallback alone", ANY, 0.0),
            ("fallback, chain of one", ANY, 0.0),
            ("breaker and limit", ANY, 0.0),
            ("retry and limit", ANY, 0.0),
            ("retry and breaker", ANY, 0.0),
            ("fallback and limit", ANY, 0.0),
            ("fallback and breaker", ANY, 0.0),
            ("fallback and retry", ANY, 0.0),
            ("three, no fallback", ANY, 0.0),
            ("four layers", ANY, 0.0),
            ("four, one upstream", ANY, 0.0),
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
        &[("six layers", ANY, 0.0), ("Stats over all six", ANY, 0.0)],
    ),
];
const REAL: &Rows<(&str, f64, f64)> = LIGHT;
