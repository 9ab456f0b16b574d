//! What the crate costs.
//!
//! ```sh
//! cargo run --release -p bench -- signal          # every row of a table
//! cargo run --release -p bench -- signal gemini   # those whose name holds a word
//! cargo run --release -p bench -- signal groq 1   # once, for a profiler that counts instructions
//! cargo run --release -p bench -- observe         # what it costs to be seen, and not to be
//! cargo run --release -p bench -- rate_limit                      # the limiter beside its peers
//! cargo run --release -p bench -- rate_limit calls                # one part: calls, threads, queue, memory, waiting
//! cargo run --release -p bench -- rate_limit calls keyed          # rows of it
//! cargo run --release -p bench -- rate_limit calls "one window" 1 # once, for a profiler
//! cargo run --release -p bench -- rate_limit instructions         # instructions a call, counted by valgrind
//! cargo run --release -p bench -- retry                           # retry, of a call that is not retried, beside its peers
//! cargo run --release -p bench -- retry instructions              # the same, counted by valgrind
//! cargo run --release -p bench -- circuit_breaker                 # the breaker beside its peers: calls, threads, memory
//! cargo run --release -p bench -- fallback                        # the choice of an upstream: calls, instructions
//! cargo run --release -p bench -- stack                           # the layers alone, in pairs and together, beside their peers
//! cargo run --release -p bench -- stack instructions              # the same, counted by valgrind
//! ```
//!
//! A row of `signal` is the median over batches, and the range from the fastest to the slowest; the last column counts
//! allocations. Rows of `rate_limit`, `retry` and `circuit_breaker` are timed in turn and say what they measure. Set-up is not timed. The machine should
//! be idle.

mod allocations;
mod answers;
mod circuit_breaker;
mod exchange;
mod fallback;
mod footprint;
mod harness;
mod instructions;
mod observe;
mod process;
mod race;
mod rate_limit;
mod requests;
mod retry;
mod rounds;
mod signal;
mod stack;

use std::process::ExitCode;

use harness::Bench;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["signal", ref rows @ ..] => {
            signal::run(&bench(rows));
            Ok(())
        }
        ["circuit_breaker"] => circuit_breaker::run("", &bench(&[])),
        ["circuit_breaker", part, ref rows @ ..] => circuit_breaker::run(part, &bench(rows)),
        ["fallback"] => fallback::run("", &bench(&[])),
        ["fallback", part, ref rows @ ..] => fallback::run(part, &bench(rows)),
        ["observe", ref rows @ ..] => observe::run(&bench(rows)),
        ["rate_limit"] => rate_limit::run("", &bench(&[])),
        ["rate_limit", part, ref rows @ ..] => rate_limit::run(part, &bench(rows)),
        ["retry"] => retry::run("", &bench(&[])),
        ["retry", part, ref rows @ ..] => retry::run(part, &bench(rows)),
        ["stack"] => stack::run("", &bench(&[])),
        ["stack", part, ref rows @ ..] => stack::run(part, &bench(rows)),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Which rows: those whose name holds a word, and how often.
fn bench(rows: &[&str]) -> Bench {
    let runs = rows.get(1).and_then(|runs| runs.parse().ok());
    Bench::new(rows.first().copied().unwrap_or_default(), runs)
}

const USAGE: &str = "usage: bench signal [part of a name] [runs]
       bench circuit_breaker [part] [part of a name] [runs]
       bench fallback [part] [part of a name] [runs]
       bench observe [part of a name] [runs]
       bench rate_limit [part] [part of a name] [runs]
       bench retry [part] [part of a name] [runs]
       bench stack [part] [part of a name] [runs]";
