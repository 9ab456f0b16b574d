//! The gateway of the examples beside itself without its stack: the same server, routes and handlers, over the same client.
//!
//! Each is a process of its own, asked in turn over 64 connections by this one, which is their upstream as well and answers at
//! once. Throughput is of all processes together, which share the machine; processor time is the gateway's alone.

mod load;
mod serve;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use load::Round;

use crate::process::program;

#[path = "../../../examples/gateway/main.rs"]
#[expect(dead_code, reason = "its own `main` and what that alone needs")]
mod example;

pub fn run(part: &[&str]) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    match *part {
        [] => runtime.block_on(compare()),
        ["serve", kind, upstream] => runtime.block_on(serve::serve(kind == "bare", upstream)),
        _ => Err("usage: bench gateway".to_owned()),
    }
}

/// A gateway that runs until this is dropped.
struct Gateway {
    process: Child,
    address: String,
}

impl Gateway {
    fn start(kind: &str, upstream: &str) -> Result<Self, String> {
        let mut command = Command::new(program()?);
        let command = command.args(["gateway", "serve", kind, upstream]);
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut address = String::new();
        if let Some(out) = process.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut address);
        }
        let address = address.trim().to_owned();
        Ok(Self { process, address })
    }

    /// Of all its threads, so far, in hundredths of a second: user and system (proc(5), fields 14 and 15).
    fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks = fields
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    async fn round(&self) -> Result<Round, String> {
        let before = self.processor_time();
        let mut round = load::drive(&self.address, CONNECTIONS, TIME).await?;
        round.processor = self.processor_time().saturating_sub(before);
        Ok(round)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn compare() -> Result<(), String> {
    let upstream = load::upstream().await.map_err(|error| error.to_string())?;
    let (bare, stack) = (
        Gateway::start("bare", &upstream)?,
        Gateway::start("stack", &upstream)?,
    );
    let (mut throughput, mut processor, mut latency) = (Vec::new(), Vec::new(), Vec::new());
    println!(
        "{:8}{:>12}{:>12}{:>12}{:>16}",
        "", "requests/s", "p50", "p99", "µs of CPU each"
    );
    for number in 0..=ROUNDS {
        let (bare, stack) = (bare.round().await?, stack.round().await?);
        if number == 0 {
            continue; // Connections are made, and code is read, in the first.
        }
        println!("{:8}{bare}\n{:8}{stack}", "bare", "stack");
        throughput.push(stack.throughput() / bare.throughput());
        processor.push(stack.processor_each() - bare.processor_each());
        latency.push(
            stack.quantile(0.99).as_secs_f64() * 1e3 - bare.quantile(0.99).as_secs_f64() * 1e3,
        );
    }
    println!(
        "throughput with the stack: {:.3} of that without",
        median(throughput)
    );
    println!(
        "p99: {:+.3} ms; processor time: {:+.1} µs a request",
        median(latency),
        median(processor)
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 9;
