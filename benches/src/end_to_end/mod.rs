//! Real requests over the loopback, through hyper-util's legacy client and through reqwest.
//!
//! The server is a process of its own, so that the processor time of this one is the client's. Both have a runtime of one thread.
//! All rows are run in turn, and held against the bare client of the same round. Every request is made anew, and its answer is
//! read to the end.

mod clients;
mod samples;
mod server;

use crate::harness::Bench;

/// Runs one part, or both.
pub fn run(part: &str, bench: &Bench) -> Result<(), String> {
    let server = match part {
        "server" => return server::serve(),
        _ => server::Running::start()?,
    };
    for connections in [1, 64] {
        if matches!(part, "" | "hyper") {
            let title = format!("hyper, connections: {connections}");
            samples::compare(bench, &title, connections, clients::hyper(server.port()))?;
        }
        if matches!(part, "" | "reqwest") {
            let title = format!("reqwest, connections: {connections}");
            samples::compare(bench, &title, connections, clients::reqwest(server.port())?)?;
        }
    }
    match part {
        "" | "hyper" | "reqwest" => Ok(()),
        part => Err(format!("end_to_end has no part {part}")),
    }
}
