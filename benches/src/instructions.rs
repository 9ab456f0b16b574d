//! Instructions a call, which do not depend on how busy the machine is.

use std::process::Command;

use crate::{harness::Bench, process};

/// Rows of a layer's `calls`, each list below the row whose count is subtracted.
pub type Rows = [(&'static str, &'static [&'static str])];

/// Runs each row under valgrind, few times and many times: the difference is what the calls took.
pub fn run(bench: &Bench, layer: &str, rows: &Rows) -> Result<(), String> {
    println!(
        "\n{:<48}{:>14}{:>8}",
        "instructions a call", "instructions", "added"
    );
    for (base, rows) in rows {
        let bare = count(layer, base)?;
        println!("{base:<48}{bare:>14.0}");
        for row in rows.iter().filter(|row| bench.wants(row)) {
            let all = count(layer, row)?;
            println!("{row:<48}{all:>14.0}{:>8.0}", all - bare);
        }
    }
    Ok(())
}

fn count(layer: &str, row: &str) -> Result<f64, String> {
    let (few, many) = (2_000, 52_000);
    let difference = collected(layer, row, many)?.saturating_sub(collected(layer, row, few)?);
    Ok(difference as f64 / f64::from(many - few))
}

fn collected(layer: &str, row: &str, runs: u32) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(process::program()?)
        .args([layer, "calls", row, &runs.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    collected
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind says:\n{report}"))
}
