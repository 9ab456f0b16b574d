//! Instructions a call, which do not depend on how busy the machine is. Those of governor swing by a hundred or two, for its
//! clock tunes itself for as long as it takes.

use std::process::Command;

use super::process;
use crate::harness::Bench;

/// Runs each row under valgrind, few times and many times: the difference is what the calls took.
pub fn of(
    layer: &str,
    rows: &[(&'static str, &[&'static str])],
    bench: &Bench,
) -> Result<(), String> {
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

/// Rows of the limiter's `calls`, each below the one whose count is subtracted.
pub const ROWS: [(&str, &[&str]); 5] = [
    (
        "bare, plain",
        &[
            "one window",
            "one bucket",
            "one cap of 1,000",
            "governor, unkeyed",
            "tower RateLimit",
            "tower ConcurrencyLimit",
            "tower-resilience, fixed window",
        ],
    ),
    (
        "bare, with a cost",
        &[
            "three limits, no cap",
            "three limits and a cap",
            "governor thrice and tower's cap",
        ],
    ),
    (
        "bare, tenants",
        &[
            "keyed by Scope::by",
            "keyed bucket by Scope::by",
            "governor, keyed",
        ],
    ),
    ("bare, upstreams", &["keyed by Scope::Upstream"]),
    (
        "request made and dropped",
        &[
            "refused for max_wait",
            "refused for queue_capacity",
            "refused with a scope",
            "governor, refused",
            "tower-resilience, refused",
        ],
    ),
];
