//! Times rows in turn, so that what slows the machine down for a while slows down all of them.

use std::time::{Duration, Instant};

use crate::{allocations, harness::Bench};

/// Rows that are timed in turn.
pub struct Rounds<'a> {
    bench: &'a Bench,
    title: &'static str,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    /// The row whose time is subtracted.
    base: Option<&'static str>,
    /// Nanoseconds added, at most.
    goal: Option<f64>,
    run: Box<dyn FnMut(u32)>,
}

impl<'a> Rounds<'a> {
    pub fn new(bench: &'a Bench, title: &'static str) -> Self {
        Self {
            bench,
            title,
            rows: Vec::new(),
        }
    }

    /// A row of its own.
    pub fn base<R: FnMut() + 'static>(&mut self, name: &'static str, make: impl FnOnce() -> R) {
        self.push(name, None, None, make);
    }

    /// A row of which only matters what it adds to the base.
    pub fn row<R: FnMut() + 'static>(
        &mut self,
        name: &'static str,
        base: &'static str,
        goal: impl Into<Option<f64>>,
        make: impl FnOnce() -> R,
    ) {
        self.push(name, Some(base), goal.into(), make);
    }

    fn push<R: FnMut() + 'static>(
        &mut self,
        name: &'static str,
        base: Option<&'static str>,
        goal: Option<f64>,
        make: impl FnOnce() -> R,
    ) {
        // What a row is made of must not be counted with another: governor's clock is tuned when it is first made.
        if self.bench.runs().is_some() && !self.bench.wants(name) {
            return;
        }
        let mut run = make();
        self.rows.push(Row {
            name,
            base,
            goal,
            run: Box::new(move |runs| (0..runs).for_each(|_| run())),
        });
    }

    /// Times all rows, and prints those that are wanted.
    pub fn print(mut self) {
        if let Some(runs) = self.bench.runs() {
            self.rows.iter_mut().for_each(|row| (row.run)(runs));
            return;
        }
        if !self.rows.iter().any(|row| self.bench.wants(row.name)) {
            return;
        }
        let nanos = time(&mut self.rows);
        println!(
            "\n{:<48}{:>9}{:>9}{:>16}{:>8}{:>13}{:>8}",
            self.title, "ns", "added", "8 of 10", "goal", "allocations", "bytes"
        );
        for at in 0..self.rows.len() {
            if self.bench.wants(self.rows[at].name) {
                self.print_row(at, &nanos);
            }
        }
    }

    fn print_row(&mut self, at: usize, nanos: &[Vec<f64>]) {
        let base = self.rows[at].base;
        let base = base.and_then(|base| self.rows.iter().position(|row| row.name == base));
        let row = &mut self.rows[at];
        let added = nanos[at].iter().zip(&nanos[base.unwrap_or(at)]);
        let added = match base {
            Some(_) => Spread::of(added.map(|(nanos, base)| nanos - base)),
            None => Spread::of(nanos[at].iter().copied()),
        };
        let (count, bytes) = (allocations::count(), allocations::bytes());
        (row.run)(COUNTED);
        let per_run = |before, after| (after - before) as f64 / f64::from(COUNTED);
        println!(
            "{:<48}{:>9.1}{:>9}{:>16}{:>8}{:>13.2}{:>8.0}{}",
            row.name,
            Spread::of(nanos[at].iter().copied()).median,
            base.map_or(String::new(), |_| format!("{:.1}", added.median)),
            format!("{:.1} – {:.1}", added.low, added.high),
            row.goal
                .map_or(String::new(), |goal| format!("≤ {goal:.0}")),
            per_run(count, allocations::count()),
            per_run(bytes, allocations::bytes()),
            verdict(row.goal.is_none_or(|goal| added.median <= goal)),
        );
    }
}

/// The median, and what eight of ten values lie between.
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |tenth| values[(values.len() - 1) * tenth / 10];
        Self {
            median: at(5),
            low: at(1),
            high: at(9),
        }
    }
}

pub fn verdict(is_met: bool) -> &'static str {
    if is_met { "" } else { "  MISSED" }
}

/// Nanoseconds a run, of each row in each round.
fn time(rows: &mut [Row]) -> Vec<Vec<f64>> {
    let batch = |row: &mut Row, runs: u32| {
        let start = Instant::now();
        (row.run)(runs);
        start.elapsed()
    };
    let runs: Vec<_> = rows
        .iter_mut()
        .map(|row| {
            let mut runs = 1;
            while batch(row, runs) < BATCH && runs < u32::MAX / 2 {
                runs *= 2;
            }
            runs
        })
        .collect();
    let mut nanos = vec![Vec::with_capacity(ROUNDS); rows.len()];
    for _ in 0..ROUNDS {
        for (at, row) in rows.iter_mut().enumerate() {
            let took = batch(row, runs[at]).as_nanos() as f64;
            nanos[at].push(took / f64::from(runs[at]));
        }
    }
    nanos
}

const ROUNDS: usize = 201;
/// Long enough for the clock, short enough to fall between two turns of the scheduler.
const BATCH: Duration = Duration::from_micros(300);
const COUNTED: u32 = 10_000;
