//! Times rows in turn, so that what slows the machine down for a while slows down all of them.

use std::time::{Duration, Instant};

use crate::{
    allocations,
    batch::batch_size,
    harness::Bench,
    table::{Table, verdict},
};

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
    /// The row that it is held against, and so much of which it should add at most.
    peer: Option<(&'static str, Option<f64>)>,
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

    /// Holds the row that was made last against another, of which it should add so much at most.
    pub fn against(&mut self, peer: &'static str, most: impl Into<Option<f64>>) {
        if let Some(row) = self.rows.last_mut() {
            row.peer = Some((peer, most.into()));
        }
    }

    fn push<R: FnMut() + 'static>(
        &mut self,
        name: &'static str,
        base: Option<&'static str>,
        goal: Option<f64>,
        make: impl FnOnce() -> R,
    ) {
        // What a row is made of must not be counted with another: governor's clock is tuned when it is first made.
        if self.bench.runs.is_some() && !self.bench.wants(name) {
            return;
        }
        let mut run = make();
        self.rows.push(Row {
            name,
            base,
            goal,
            peer: None,
            run: Box::new(move |runs| (0..runs).for_each(|_| run())),
        });
    }

    /// Times all rows, and prints those that are wanted.
    pub fn print(mut self) {
        if let Some(runs) = self.bench.runs {
            for row in &mut self.rows {
                let before = allocations::count();
                (row.run)(runs);
                println!(
                    "{} allocations: {}",
                    allocations::count() - before,
                    row.name
                );
            }
            return;
        }
        if !self.rows.iter().any(|row| self.bench.wants(row.name)) {
            return;
        }
        let nanos = time(&mut self.rows, self.bench.rounds(ROUNDS));
        let table = Table::begin(self.bench.form, (self.title, 40), COLUMNS);
        for at in 0..self.rows.len() {
            if self.bench.wants(self.rows[at].name) {
                self.print_row(&table, at, &nanos);
            }
        }
    }

    fn print_row(&mut self, table: &Table<'_>, at: usize, nanos: &[Vec<f64>]) {
        let base = self.position(self.rows[at].base);
        let all = Spread::of(nanos[at].iter().copied());
        let added: Vec<_> = match base {
            Some(base) => less(&nanos[at], &nanos[base]),
            None => nanos[at].clone(),
        };
        let memory = self.memory(at);
        let memory_of_base = base.map_or([0.0; 2], |base| self.memory(base));
        let row = &self.rows[at];
        let beside = row.peer.and_then(|(name, most)| {
            let peer = less(&nanos[self.position(Some(name))?], &nanos[base?]);
            let ratio = Spread::of(added.iter().zip(&peer).map(|(ours, theirs)| ours / theirs));
            Some((ratio.median, name, most))
        });
        let spread = Spread::of(added.into_iter());
        let goals = [
            row.goal
                .map(|goal| (spread.median <= goal, format!("≤ {goal:.0} ns"))),
            beside.and_then(|(ratio, _, most)| Some((ratio <= most?, format!("≤ {} ×", most?)))),
        ];
        let is_met = goals.iter().flatten().all(|(is_met, _)| *is_met);
        let goals: Vec<_> = goals.into_iter().flatten().map(|(_, goal)| goal).collect();
        let beside = beside.map(|(ratio, name, _)| format!("{ratio:.2} × {name}"));
        let cells = [
            format!("{:.1}", all.median),
            base.map_or(String::new(), |_| format!("{:.1}", spread.median)),
            format!("{:.1} – {:.1}", spread.low, spread.high),
            format!("{:.2}", memory[0] - memory_of_base[0]),
            format!("{:.0}", memory[1] - memory_of_base[1]),
            goals.join(", "),
        ];
        let remark = [verdict(is_met), beside.as_deref().unwrap_or_default()];
        table.row(row.name, &cells, remark.join(" ").trim());
    }

    fn position(&self, name: Option<&str>) -> Option<usize> {
        self.rows.iter().position(|row| Some(row.name) == name)
    }

    /// Allocations and bytes a run.
    fn memory(&mut self, at: usize) -> [f64; 2] {
        let before = [allocations::count(), allocations::bytes()];
        (self.rows[at].run)(COUNTED);
        let after = [allocations::count(), allocations::bytes()];
        [0, 1].map(|what| (after[what] - before[what]) as f64 / f64::from(COUNTED))
    }
}

/// Of each round, how much longer it took.
fn less(row: &[f64], base: &[f64]) -> Vec<f64> {
    row.iter().zip(base).map(|(row, base)| row - base).collect()
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

/// Nanoseconds a run, of each row in each round.
fn time(rows: &mut [Row], rounds: usize) -> Vec<Vec<f64>> {
    let batch = |row: &mut Row, runs: u32| {
        let start = Instant::now();
        (row.run)(runs);
        start.elapsed()
    };
    let runs: Vec<_> = rows
        .iter_mut()
        .map(|row| batch_size(BATCH, |runs| batch(row, runs)))
        .collect();
    let mut nanos = vec![Vec::with_capacity(rounds); rows.len()];
    for _ in 0..rounds {
        for (at, row) in rows.iter_mut().enumerate() {
            let took = batch(row, runs[at]).as_nanos() as f64;
            nanos[at].push(took / f64::from(runs[at]));
        }
    }
    nanos
}

const COLUMNS: &[(&str, usize)] = &[
    ("ns", 9),
    ("added", 9),
    ("8 of 10", 20),
    ("allocations", 13),
    ("bytes", 7),
    ("goal", 19),
];
const ROUNDS: usize = 201;
/// Long enough for the clock, short enough to fall between two turns of the scheduler.
const BATCH: Duration = Duration::from_micros(300);
const COUNTED: u32 = 10_000;
