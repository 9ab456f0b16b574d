//! What a key that has made one request keeps.

use tower_upstream::{Limit, Quota};

use super::peers::{KeyedGovernor, by_tenant, governed, limited, limiter, ours};
use crate::{
    footprint::{self, row},
    harness::Bench,
};

pub fn run(bench: &Bench) -> Result<(), String> {
    footprint::run(bench, "rate_limit", &NAMES, rows)
}

fn rows(bench: &Bench, keys: usize) {
    let [window, bucket, three, governor] = NAMES;
    if bench.wants(window) {
        let limit = limited(Limit::requests(60).per_minute());
        row(Some(GOAL), ours(limit.scope(by_tenant())), keys);
    }
    if bench.wants(bucket) {
        // A bucket that has filled up again within the bench would be forgotten.
        let limit = limited(Limit::requests(60).per_day().burst(60));
        row(Some(GOAL), ours(limit.scope(by_tenant())), keys);
    }
    if bench.wants(three) {
        let quota = Quota::new()
            .limit(Limit::requests(60).per_minute())
            .limit(Limit::tokens(90_000).per_minute())
            .limit(Limit::requests(1_000).per_day());
        row(None, ours(limiter(quota).scope(by_tenant())), keys);
    }
    if bench.wants(governor) {
        row(None, KeyedGovernor::new(governed(60)), keys);
    }
}

// No name holds another.
const NAMES: [&str; 4] = [
    "one window a key",
    "one bucket a key",
    "three windows a key",
    "governor, keyed",
];
const GOAL: f64 = 140.0;
