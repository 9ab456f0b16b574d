//! What a key that has made one request keeps.

use std::time::Instant;

use http::Request;
use tower_service::Service;

use crate::{
    allocations,
    harness::Bench,
    process,
    requests::{Tenant, call, extensions, forget, request},
    rounds::verdict,
};

/// Each row of a layer in a process of its own: what one gives back, another would take without growing.
pub fn run(bench: &Bench, layer: &str, names: &[&str], rows: fn(&Bench, usize)) {
    if let Some(keys) = bench.runs() {
        rows(bench, keys as usize);
        return;
    }
    println!(
        "\n{:<36}{:>10}{:>12}{:>10}{:>8}",
        "1,000,000 keys, one request each", "bytes/key", "resident", "ns/key", "goal"
    );
    for name in names.iter().filter(|name| bench.wants(name)) {
        if let Err(error) = process::again(&[layer, "memory", name, KEYS]) {
            println!("{name:<36}{error}");
        }
    }
}

/// Bytes beyond the key's own text.
pub fn row<S>(name: &str, goal: Option<f64>, mut service: S, keys: usize)
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

const KEYS: &str = "1000000";
