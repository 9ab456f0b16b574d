//! Instructions and allocations a call, which do not depend on how busy the machine is.

use std::process::Command;

use crate::{harness::Bench, process, rounds::verdict};

/// Rows of a layer's `calls` with the instructions that each added when it was last made faster, each list below the row whose
/// count is subtracted.
pub type Rows = [(&'static str, &'static [(&'static str, f64)])];

/// Runs each row under valgrind, few times and many times: the difference is what the calls took.
///
/// # Errors
///
/// When valgrind cannot be run, or a row took more than its count and the margin.
pub fn run(bench: &Bench, layer: &str, rows: &Rows) -> Result<(), String> {
    println!(
        "\n{:<48}{:>14}{:>8}{:>8}{:>13}",
        "instructions a call", "instructions", "added", "most", "allocations"
    );
    let mut missed = Vec::new();
    for (base, rows) in rows {
        let (bare, _) = count(layer, base)?;
        println!("{base:<48}{bare:>14.0}");
        for (row, usual) in rows.iter().filter(|(row, _)| bench.wants(row)) {
            let (all, allocations) = count(layer, row)?;
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
fn count(layer: &str, row: &str) -> Result<(f64, f64), String> {
    let (few, many) = (2_000, 52_000);
    let (before, after) = (collected(layer, row, few)?, collected(layer, row, many)?);
    let a_call =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / f64::from(many - few);
    Ok((a_call(before.0, after.0), a_call(before.1, after.1)))
}

fn collected(layer: &str, row: &str, runs: u32) -> Result<(u64, u64), String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(process::program()?)
        .args([layer, "calls", row, &runs.to_string()])
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
pub const ANY: f64 = 0.0;

const MARGIN: f64 = 1.15;
