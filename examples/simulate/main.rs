//! How does the rate limiter fare under a load that has not come yet?
//!
//! Reads a scenario, plays it on a virtual clock with the real [`RateLimitLayer`](tower_upstream::RateLimitLayer) around
//! simulated upstreams, and prints one JSON object. A day takes seconds, and the same scenario always gives the same. The
//! README beside this file tells of each field.
//!
//! ```sh
//! cargo run --release --example simulate -- examples/simulate/scenarios/openai.json
//! ```

mod arrivals;
mod client;
mod costs;
mod counting;
mod executor;
mod fields;
mod ledger;
mod limit;
mod report;
mod run;
mod scenario;
mod steps;
#[cfg(test)]
mod tests;
mod upstream;

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use report::Report;
use scenario::Scenario;
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path] = arguments.as_slice() else {
        eprintln!("usage: simulate SCENARIO.json");
        return ExitCode::FAILURE;
    };
    match simulate(path) {
        Ok(report) => {
            println!("{report:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(path: &str) -> Result<Value, Box<dyn std::error::Error>> {
    let scenario = Scenario::parse(&fs::read_to_string(path)?)?;
    let (report, took) = timed(|| Report::new(&scenario, &run::play(&scenario)));
    Ok(report.to_json(took))
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long it really took is told beside what was simulated"
)]
fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}
