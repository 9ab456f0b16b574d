//! What a key that has made one request keeps.

use std::time::Instant;

use http::Request;
use tower_service::Service;
use tower_upstream::{Limit, Quota};

use super::{
    peers::{KeyedGovernor, by_tenant, governed, limited, limiter, ours},
    process,
    requests::{Tenant, call, extensions, forget, request},
    rounds::verdict,
};
use crate::{allocations, harness::Bench};

/// Each row in a process of its own: what one gives back, another would take without growing.
pub fn run(bench: &Bench) {
    if let Some(keys) = bench.runs() {
        rows(bench, keys as usize);
        return;
    }
    println!(
        "\n{:<36}{:>10}{:>12}{:>10}{:>8}",
        "1,000,000 keys, one request each", "bytes/key", "resident", "ns/key", "goal"
    );
    for name in NAMES.into_iter().filter(|name| bench.wants(name)) {
        if let Err(error) = process::again(&["rate_limit", "memory", name, KEYS]) {
            println!("{name:<36}{error}");
        }
    }
}

fn rows(bench: &Bench, keys: usize) {
    let [window, bucket, three, governor] = NAMES;
    if bench.wants(window) {
        let limit = limited(Limit::requests(60).per_minute());
        row(window, Some(GOAL), ours(limit.scope(by_tenant())), keys);
    }
    if bench.wants(bucket) {
        // A bucket that has filled up again within the bench would be forgotten.
        let limit = limited(Limit::requests(60).per_day().burst(60));
        row(bucket, Some(GOAL), ours(limit.scope(by_tenant())), keys);
    }
    if bench.wants(three) {
        let quota = Quota::new()
            .limit(Limit::requests(60).per_minute())
            .limit(Limit::tokens(90_000).per_minute())
            .limit(Limit::requests(1_000).per_day());
        row(three, None, ours(limiter(quota).scope(by_tenant())), keys);
    }
    if bench.wants(governor) {
        row(governor, None, KeyedGovernor::new(governed(60)), keys);
    }
}

/// Bytes beyond the key's own text.
fn row<S>(name: &str, goal: Option<f64>, mut service: S, keys: usize)
where
    S: Service<Request<()>>,
{
    // What the first call makes for all keys.
    call(&mut service, request(extensions(Tenant("first".into()))));
    let (live, resident, start) = (allocations::live(), process::resident(), Instant::now());
    for number in 0..keys {
        call(&mut service, request(extensions(Tenant::new(number))));
    }
    let nanos = start.elapsed().as_nanos() as f64 / keys as f64;
    forget();
    let text = Tenant::new(0).0.len() as f64;
    let live = (allocations::live() - live) as f64 / keys as f64 - text;
    let resident = process::resident().saturating_sub(resident) as f64 / keys as f64 - text;
    println!(
        "{name:<36}{live:>10.1}{resident:>12.1}{nanos:>10.0}{:>8}{}",
        goal.map_or(String::new(), |goal| format!("≤ {goal}")),
        verdict(goal.is_none_or(|goal| live <= goal)),
    );
    drop(service);
}

// No name holds another.
const NAMES: [&str; 4] = [
    "one window a key",
    "one bucket a key",
    "three windows a key",
    "governor, keyed",
];
const KEYS: &str = "1000000";
const GOAL: f64 = 140.0;
