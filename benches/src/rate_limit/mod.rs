//! What the rate limiter costs, beside its peers in the same process.
//!
//! From the outside: only what users of the crates have. The peers are [governor](https://docs.rs/governor), as a layer would
//! ask it, [tower](https://docs.rs/tower)'s own layers, and
//! [tower-resilience](https://docs.rs/tower-resilience-ratelimiter), and [tower_governor](https://docs.rs/tower_governor),
//! whose answers have axum's body.

mod calls;
mod instructions;
mod memory;
mod peers;
mod queue;
mod threads;
mod waiting;

use crate::harness::{self, Bench};

/// Runs one part, or all but the slowest.
pub fn run(part: &str, bench: &Bench) -> Result<(), String> {
    // tower's layer makes a sleep where it is made.
    let runtime = harness::runtime()?;
    let _guard = runtime.enter();
    match part {
        "" => {
            calls::run(bench);
            threads::run(bench);
            queue::run(bench);
            memory::run(bench)?;
            waiting::run(bench, &runtime);
        }
        "calls" => calls::run(bench),
        "threads" => threads::run(bench),
        "queue" => queue::run(bench),
        "memory" => memory::run(bench)?,
        "waiting" => waiting::run(bench, &runtime),
        "order" => waiting::order(bench, &runtime)?,
        "instructions" => instructions::run(bench)?,
        part => return Err(format!("rate_limit has no part {part}")),
    }
    Ok(())
}
