//! Instructions and allocations a call, which do not depend on how busy the machine is. Those of governor swing by a hundred or
//! two, for its clock tunes itself for as long as it takes.
//!
//! A row that takes more than a sixth more than it took when it was last made faster fails: that much may lie in the compiler.

use std::process::Command;

use super::process;
use crate::{harness::Bench, rate_limit::rounds::verdict};

/// Runs each row under valgrind, few times and many times: the difference is what the calls took.
pub fn run(bench: &Bench) -> Result<(), String> {
    println!(
        "\n{:<48}{:>14}{:>8}{:>8}{:>13}",
        "instructions a call", "instructions", "added", "most", "allocations"
    );
    let mut missed = Vec::new();
    for (base, rows) in ROWS {
        let (bare, _) = count(base)?;
        println!("{base:<48}{bare:>14.0}");
        for (row, usual) in rows.iter().filter(|(row, _)| bench.wants(row)) {
            let (all, allocations) = count(row)?;
            let (added, most) = (all - bare, usual * MARGIN);
            // Keys are made, and windows grow, while the first requests come.
            let is_met = *usual == ANY || (added <= most && allocations < 0.2);
            println!(
                "{row:<48}{all:>14.0}{added:>8.0}{:>8}{allocations:>13.2}{}",
                match *usual {
                    ANY => String::new(),
                    _ => format!("{most:.0}"),
                },
                verdict(is_met)
            );
            if !is_met {
                missed.push(*row);
            }
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("slower than they were: {}", missed.join(", "))),
    }
}

/// Instructions and allocations a call.
fn count(row: &str) -> Result<(f64, f64), String> {
    let (few, many) = (2_000, 52_000);
    let (before, after) = (collected(row, few)?, collected(row, many)?);
    let a_call =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / f64::from(many - few);
    Ok((a_call(before.0, after.0), a_call(before.1, after.1)))
}

fn collected(row: &str, runs: u32) -> Result<(u64, u64), String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(process::program()?)
        .args(["rate_limit", "calls", row, &runs.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let [out, report] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    let collected = report
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1))
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind says:\n{report}"))?;
    let allocations = out
        .lines()
        .filter_map(|line| line.split(" allocations: ").next()?.parse::<u64>().ok());
    Ok((collected, allocations.sum()))
}

/// The count of a row that is nobody's goal.
const ANY: f64 = 0.0;

const MARGIN: f64 = 1.15;

/// Rows of `calls` with the instructions that each added when it was last made faster, each below the one whose count is
/// subtracted.
const ROWS: [(&str, &[(&str, f64)]); 5] = [
    (
        "bare, plain",
        &[
            ("one window", 1_085.0),
            ("one bucket", 1_132.0),
            ("one cap of 1,000", 1_039.0),
            ("governor, unkeyed", ANY),
            ("tower RateLimit", ANY),
            ("tower ConcurrencyLimit", ANY),
            ("tower-resilience, fixed window", ANY),
        ],
    ),
    (
        "bare, with a cost",
        &[
            ("three limits, no cap", 1_628.0),
            ("three limits and a cap", 1_631.0),
            ("governor thrice and tower's cap", ANY),
        ],
    ),
    (
        "bare, tenants",
        &[
            ("keyed by Scope::by", 1_454.0),
            ("keyed bucket by Scope::by", 1_430.0),
            ("governor, keyed", ANY),
        ],
    ),
    ("bare, upstreams", &[("keyed by Scope::Upstream", 1_537.0)]),
    (
        "request made and dropped",
        &[
            ("refused for max_wait", 1_082.0),
            ("refused for queue_capacity", 1_084.0),
            ("refused with a scope", 1_110.0),
            ("governor, refused", ANY),
            ("tower-resilience, refused", ANY),
        ],
    ),
];
