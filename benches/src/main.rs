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
//! cargo run --release -p bench --features gateway -- gateway      # the example's gateway, with its stack and without
//! cargo run --release -p bench -- end_to_end                      # over sockets: hyper, reqwest
//! cargo run --release -p bench -- --quick report                  # most of this, into BENCHMARKS.md; without --quick, all
//! ```
//!
//! A row of `signal` and `observe` is the median over batches, and the range from the fastest to the slowest; the last column
//! counts allocations. Rows of the others are timed in turn and say what they measure. Set-up is not timed. The machine should be
//! idle. `--quick` goes a quarter of the rounds, `--markdown` prints tables as the report has them.

mod allocations;
mod answers;
mod batch;
mod circuit_breaker;
mod end_to_end;
mod exchange;
mod fallback;
mod footprint;
#[cfg(feature = "gateway")]
mod gateway;
mod harness;
mod instructions;
mod least;
mod observe;
mod process;
mod race;
mod rate_limit;
mod report;
mod requests;
mod retry;
mod rounds;
mod signal;
mod stack;
mod table;

use std::process::ExitCode;

use harness::Bench;
use table::Form;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), String> {
    let (flags, words): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|word| word.starts_with("--"));
    let mut bench = Bench::default();
    for flag in flags {
        match flag {
            "--quick" => bench.is_quick = true,
            "--markdown" => bench.form = Form::Markdown,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let (layer, words) = words.split_first().ok_or(USAGE)?;
    let (part, rows) = match *layer {
        // They have no parts.
        "observe" | "report" | "signal" => ("", words),
        _ => words
            .split_first()
            .map_or(("", words), |(part, rows)| (*part, rows)),
    };
    bench.word = rows.first().copied().unwrap_or_default().to_owned();
    bench.runs = rows.get(1).and_then(|runs| runs.parse().ok());
    match *layer {
        "circuit_breaker" => circuit_breaker::run(part, &bench),
        "end_to_end" => end_to_end::run(part, &bench),
        "fallback" => fallback::run(part, &bench),
        #[cfg(feature = "gateway")]
        "gateway" => gateway::run(words),
        "observe" => observe::run(&bench),
        "rate_limit" => rate_limit::run(part, &bench),
        "retry" => retry::run(part, &bench),
        "report" => report::run(&bench),
        "signal" => {
            signal::run(&bench);
            Ok(())
        }
        "stack" => stack::run(part, &bench),
        _ => Err(USAGE.to_owned()),
    }
}

const USAGE: &str = "usage: bench [--quick] [--markdown] signal [part of a name] [runs]
       bench circuit_breaker [part] [part of a name] [runs]
       bench end_to_end [part]
       bench fallback [part] [part of a name] [runs]
       bench gateway (with the feature gateway)
       bench observe [part of a name] [runs]
       bench rate_limit [part] [part of a name] [runs]
       bench report [part of the words of a section]
       bench retry [part] [part of a name] [runs]
       bench stack [part] [part of a name] [runs]";
