//! The whole stack over sockets, before servers that delay, cut, stall, lie, send garbage and go away, under callers who leave.
//!
//! What must hold is told by counters of both sides, never by how long anything took. `CHAOS_SECONDS=600` plays longer than the
//! few seconds of every day, `CHAOS_SEED` plays the same draws again; sockets and threads decide the rest.

mod callers;
mod faults;
mod judge;
mod server;
mod servers;
mod storm;
mod witness;

use std::time::Duration;

use peak_alloc::PeakAlloc;
use tower_upstream::clock::{Clock, TokioClock};

use storm::Storm;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_servers_and_callers_do_nothing_is_lost_doubled_leaked_or_told() {
    let told = witness::listen();
    let seconds = number("CHAOS_SECONDS").unwrap_or(4);
    let seed = number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("CHAOS_SEED={seed}");
    let mut storm = Storm::new(seed).await;
    let end = TokioClock.now() + Duration::from_secs(seconds);
    while TokioClock.now() < end || storm.rounds() < ROUNDS {
        storm.round().await;
    }
    storm.judge(&told);
    storm.calm_down().await;
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

/// Fewer show nothing of how memory grows.
const ROUNDS: usize = 6;
