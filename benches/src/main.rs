//! What the crate costs.
//!
//! ```sh
//! cargo run --release -p bench -- signal          # every row of a table
//! cargo run --release -p bench -- signal gemini   # those whose name holds a word
//! cargo run --release -p bench -- signal groq 1   # once, for a profiler that counts instructions
//! ```
//!
//! A row is the median over batches, and the range from the fastest to the slowest; set-up is not timed. The last column
//! counts allocations. The machine should be idle.

mod allocations;
mod answers;
mod harness;
mod signal;

use std::process::ExitCode;

use harness::Bench;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let word = arguments.get(1).map_or("", String::as_str);
    let runs = arguments.get(2).and_then(|runs| runs.parse().ok());
    let bench = Bench::new(word, runs);
    match arguments.first().map(String::as_str) {
        Some("signal") => signal::run(&bench),
        _ => {
            eprintln!("usage: bench signal [part of a name] [runs]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
