//! What it costs to choose among the upstreams of a chain, for a call that the first answers.
//!
//! Each row is a whole call of the fallback layer over a long chain, less one over a chain of two, as they are listed.

use tower_layer::Layer;
use tower_upstream::{Chain, FallbackLayer, Order, Provider};

use crate::{
    exchange::{Inner, light, sends},
    harness::Bench,
    instructions::{self, Part, Rows},
    rounds::Rounds,
};

/// Runs one part, or all.
pub fn run(part: &str, bench: &Bench) -> Result<(), String> {
    match part {
        "" | "calls" => calls(bench),
        "instructions" => {
            let part = Part {
                words: ["fallback", "calls"],
                calls: 2_000,
            };
            instructions::run(bench, &part, ROWS)?;
        }
        part => return Err(format!("fallback has no part {part}")),
    }
    Ok(())
}

fn calls(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "choosing an upstream");
    rounds.base(TWO, || sends(layer(Order::Listed, 2).layer(Inner), light()));
    for (name, order, count) in CHOICES {
        let goal = if count > 10 { 20_000.0 } else { 150.0 };
        rounds.row(name, TWO, goal, || {
            sends(layer(order, count).layer(Inner), light())
        });
    }
    rounds.print();
}

fn layer(order: Order, count: usize) -> FallbackLayer {
    let provider = Provider::openai();
    let upstreams = (0..count).map(|number| provider.model(format!("model-{number:04}")));
    FallbackLayer::new(Chain::new(upstreams).order(order)).expect("the chain is valid")
}

const TWO: &str = "of 2, listed";

const CHOICES: [(&str, Order, usize); 8] = [
    ("of 10, listed", Order::Listed, 10),
    ("of 10, by weight", Order::Weighted, 10),
    ("of 10, the fastest", Order::Fastest, 10),
    ("of 10, by success", Order::Learned, 10),
    ("of 1,000, listed", Order::Listed, 1_000),
    ("of 1,000, by weight", Order::Weighted, 1_000),
    ("of 1,000, the fastest", Order::Fastest, 1_000),
    ("of 1,000, by success", Order::Learned, 1_000),
];

const ROWS: &Rows = &[(
    TWO,
    &[
        ("of 10, listed", NOTHING),
        ("of 10, by weight", 700.0),
        ("of 10, the fastest", 4_007.0),
        ("of 1,000, listed", NOTHING),
        ("of 1,000, by weight", 66_040.0),
        ("of 1,000, the fastest", 324_928.0),
    ],
)];

/// As little as can be asked for.
const NOTHING: f64 = 10.0;
