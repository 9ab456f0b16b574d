//! What a circuit that has seen one call keeps, where its window has something to remember.

use super::peers::{breaker, by_tenant, ours, over_calls, over_time};
use crate::{
    footprint::{self, row},
    harness::Bench,
};

pub fn run(bench: &Bench) -> Result<(), String> {
    footprint::run(bench, "circuit_breaker", &NAMES, rows)
}

fn rows(bench: &Bench, keys: usize) {
    let [time, calls] = NAMES;
    let service = |policy| ours(breaker(policy).max_keys(2 * keys).scope(by_tenant()));
    if bench.wants(time) {
        row(None, service(over_time()), keys);
    }
    if bench.wants(calls) {
        row(None, service(over_calls()), keys);
    }
}

// No name holds another.
const NAMES: [&str; 2] = ["60 s a key", "100 calls a key"];
