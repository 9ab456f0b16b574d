//! Instructions and allocations a call, which do not depend on how busy the machine is.

use std::process::Command;

use crate::{
    harness::Bench,
    process,
    table::{Table, verdict},
};

/// Rows of a part with what each added when it was last made faster, each list below the row whose count is
/// subtracted.
pub type Rows<U = (&'static str, f64)> = [(&'static str, &'static [U])];

/// Which rows of this program are counted.
pub struct Part<'a> {
    /// As they are named to it.
    pub words: [&'a str; 2],
    /// So many, after a few that are not counted.
    pub calls: u32,
}

impl<'a> Part<'a> {
    /// The calls of a layer: enough for all keys to come again and again.
    pub fn calls_of(layer: &'a str) -> Self {
        Self {
            words: [layer, "calls"],
            calls: 50_000,
        }
    }
}

/// What a row adds to the one below.
pub trait Usual: 'static {
    fn name(&self) -> &'static str;

    /// A call; [`ANY`] where that is nobody's goal.
    fn instructions(&self) -> f64;

    /// A call.
    fn allocations(&self) -> f64;

    /// Instructions and allocations that it should add at most one day.
    fn goal(&self) -> Option<[f64; 2]> {
        None
    }
}

impl Usual for (&'static str, f64) {
    fn name(&self) -> &'static str {
        self.0
    }

    fn instructions(&self) -> f64 {
        self.1
    }

    fn allocations(&self) -> f64 {
        0.0
    }
}

impl Usual for (&'static str, f64, f64, Option<[f64; 2]>) {
    fn name(&self) -> &'static str {
        self.0
    }

    fn instructions(&self) -> f64 {
        self.1
    }

    fn allocations(&self) -> f64 {
        self.2
    }

    fn goal(&self) -> Option<[f64; 2]> {
        self.3
    }
}

/// Runs each row under valgrind, few times and many times: the difference is what the calls took.
///
/// # Errors
///
/// When valgrind cannot be run, or a row took more than its count and the margin.
pub fn run<U: Usual>(bench: &Bench, part: &Part<'_>, rows: &Rows<U>) -> Result<(), String> {
    let title = part.words.join(" ");
    let table = Table::begin(bench.form, (&title, 40), COLUMNS);
    let mut missed = Vec::new();
    for (base, rows) in rows {
        let bare = count(part, base)?;
        let [all, allocations] = [format!("{:.0}", bare.0), format!("{:.2}", bare.1)];
        let none = String::new;
        table.row(base, &[all, none(), none(), allocations, none()], "");
        for row in rows.iter().filter(|row| bench.wants(row.name())) {
            let (name, usual) = (row.name(), row.instructions());
            let (all, allocations) = count(part, name)?;
            let (added, most) = (all - bare.0, usual * MARGIN);
            let allocations = allocations - bare.1;
            // Keys are made, and windows grow, while the first requests come.
            let is_met = usual == ANY || (added <= most && allocations < row.allocations() + 0.2);
            let bounds = match usual {
                ANY => [String::new(), String::new()],
                _ => [format!("{most:.0}"), format!("{:.0}", row.allocations())],
            };
            let [most, most_allocations] = bounds;
            let cells = [
                format!("{all:.0}"),
                format!("{added:.0}"),
                most,
                format!("{allocations:.2}"),
                most_allocations,
            ];
            let goal = row
                .goal()
                .filter(|goal| added > goal[0] || allocations >= goal[1] + 0.2);
            let goal = goal.map(|[instructions, allocations]| {
                format!("MISSED the goal of {instructions} and {allocations} allocations")
            });
            let remark = goal.unwrap_or_else(|| verdict(is_met).to_owned());
            table.row(name, &cells, &remark);
            if !is_met {
                missed.push(name);
            }
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("slower than they were: {}", missed.join(", "))),
    }
}

/// Instructions and allocations a call.
fn count(part: &Part<'_>, row: &str) -> Result<(f64, f64), String> {
    let calls = part.calls;
    let (few, many) = (calls / 25, calls / 25 + calls);
    let (before, after) = (collected(part, row, few)?, collected(part, row, many)?);
    let a_call =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / f64::from(many - few);
    Ok((a_call(before.0, after.0), a_call(before.1, after.1)))
}

fn collected(part: &Part<'_>, row: &str, runs: u32) -> Result<(u64, u64), String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(process::program()?)
        .args(part.words)
        .args([row, &runs.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let [out, report] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    let collected = report
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1))
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind says:\n{report}"))?;
    let rows = out
        .lines()
        .filter_map(|line| line.split(" allocations: ").next()?.parse().ok());
    // A row that is not there would be the fastest.
    match rows.collect::<Vec<u64>>()[..] {
        [allocations] => Ok((collected, allocations)),
        _ => Err(format!("not one row is called {row}, but:\n{out}")),
    }
}

/// The count of a row that is nobody's goal.
pub const ANY: f64 = 0.0;

const COLUMNS: &[(&str, usize)] = &[
    ("instructions", 14),
    ("added", 9),
    ("most", 9),
    ("allocations", 13),
    ("most", 6),
];
const MARGIN: f64 = 1.15;
