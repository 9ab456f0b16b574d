//! What the layers cost together, beside tower-resilience's in the same process.
//!
//! Four layers, in the order of the crate's docs: fallback, retry, circuit breaker, rate limit. Ours are those by default, the
//! fallback's over a chain of two upstreams, the limiter's with one limit a minute for each of them. tower-resilience's have one
//! limit and one circuit for all, and a value to fall back on; this is what they offer, and it is less. `six` is what
//! [`Stack`](tower_upstream::Stack) makes of two upstreams. The service inside answers at once with nothing, and all is well:
//! no layer has to do more than let the call pass.

mod calls;
mod instructions;
pub mod ours;
pub mod peers;
mod refused;
mod sizes;
mod threads;

use crate::harness::{self, Bench};

/// Runs one part, or all.
pub fn run(part: &str, bench: &Bench) -> Result<(), String> {
    // The limiters look for a runtime's clock.
    let runtime = harness::runtime()?;
    let _guard = runtime.enter();
    match part {
        "" => {
            calls(bench);
            refused::run(bench);
            threads::threads(bench);
            threads::tasks(bench);
            sizes::run(bench)?;
        }
        "calls" => calls(bench),
        "light" => calls::light_ones(bench),
        "real" => calls::real_ones(bench),
        "refused" => refused::run(bench),
        "threads" => threads::threads(bench),
        "tasks" => threads::tasks(bench),
        "sizes" => sizes::run(bench)?,
        "instructions" => instructions::run(bench)?,
        part => return Err(format!("stack has no part {part}")),
    }
    Ok(())
}

fn calls(bench: &Bench) {
    calls::light_ones(bench);
    calls::real_ones(bench);
}
