//! What the circuit breaker costs, beside its peers in the same process.
//!
//! From the outside: only what users of the crates have. The peers are
//! [tower-resilience](https://docs.rs/tower-resilience-circuitbreaker)'s layer, and
//! [failsafe](https://docs.rs/failsafe) and [recloser](https://docs.rs/recloser) as a layer would ask them. None of them knows
//! keys, a slow call is known to the first alone, and none looks at the body of a response.

mod calls;
mod instructions;
mod memory;
mod peers;
mod threads;

use crate::harness::Bench;

/// Runs one part, or all.
pub fn run(part: &str, bench: &Bench) -> Result<(), String> {
    match part {
        "" => {
            calls::run(bench);
            threads::run(bench);
            memory::run(bench)?;
        }
        "calls" => calls::run(bench),
        "threads" => threads::run(bench),
        "memory" => memory::run(bench)?,
        "instructions" => instructions::run(bench)?,
        part => return Err(format!("circuit_breaker has no part {part}")),
    }
    Ok(())
}
