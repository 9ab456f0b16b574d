//! Times a function in batches and prints a row of a table.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    allocations,
    batch::batch_size,
    table::{Form, Table, verdict},
};

/// Which rows are wanted, and how.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    /// A part of the names of those that are.
    pub word: String,
    /// Runs without timing, so many times.
    pub runs: Option<u32>,
    pub form: Form,
    /// A quarter of the rounds.
    pub is_quick: bool,
}

/// What a row should stay below, or above.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Nanoseconds a run.
    Below(f64),
    /// Megabytes (10^6 bytes) a second; a run reads so many bytes.
    Above {
        speed: f64,
        bytes: usize,
    },
    None,
}

impl Bench {
    /// Whether a row of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.word)
    }

    /// How many of these rounds are to be gone.
    pub fn rounds(&self, rounds: usize) -> usize {
        if self.is_quick {
            rounds / 4 + 1
        } else {
            rounds
        }
    }

    /// Begins a table of rows.
    pub fn title(&self, title: &str) {
        Table::begin(self.form, (title, WIDTH), COLUMNS);
    }

    /// Times what `run` does. `parts` is what the allocations are divided by: events of a stream, or 1.
    pub fn row<T>(&self, name: &str, goal: Goal, parts: usize, mut run: impl FnMut() -> T) {
        if !self.wants(name) {
            return;
        }
        black_box(run()); // tables are built at the first use
        if let Some(runs) = self.runs {
            (0..runs).for_each(|_| drop(black_box(run())));
            return;
        }
        let before = allocations::count();
        drop(black_box(run()));
        let allocations = (allocations::count() - before) as f64 / parts as f64;
        let nanos = time(run);
        let (median, low, high) = (nanos[nanos.len() / 2], nanos[0], nanos[nanos.len() - 1]);
        let (median, range, goal, is_met) = match goal {
            Goal::Above { speed, bytes } => {
                let speed_of = |nanos: f64| bytes as f64 * 1e3 / nanos;
                (
                    format!("{:.0} MB/s", speed_of(median)),
                    format!("{:.0} – {:.0}", speed_of(high), speed_of(low)),
                    format!("> {speed:.0}"),
                    speed_of(median) > speed,
                )
            }
            goal => (
                format!("{median:.0} ns"),
                format!("{low:.0} – {high:.0}"),
                match goal {
                    Goal::Below(nanos) => format!("< {nanos:.0}"),
                    _ => String::new(),
                },
                !matches!(goal, Goal::Below(nanos) if median >= nanos),
            ),
        };
        let cells = [median, range, goal, format!("{allocations:.2}")];
        Table::go_on(self.form, WIDTH, COLUMNS).row(name, &cells, verdict(is_met));
    }
}

/// Nanoseconds a run, of each batch, the fastest first.
fn time<T>(mut run: impl FnMut() -> T) -> Vec<f64> {
    let mut batch = |runs: u32| {
        let start = Instant::now();
        for _ in 0..runs {
            black_box(run());
        }
        start.elapsed()
    };
    let runs = batch_size(BATCH, &mut batch);
    let mut nanos: Vec<_> = (0..BATCHES)
        .map(|_| batch(runs).as_nanos() as f64 / f64::from(runs))
        .collect();
    nanos.sort_by(f64::total_cmp);
    nanos
}

const WIDTH: usize = 44;
const COLUMNS: &[(&str, usize)] = &[
    ("median", 12),
    ("range", 22),
    ("goal", 12),
    ("allocations", 14),
];
const BATCHES: usize = 101;
/// Long enough for the clock, short enough to fall between two turns of the scheduler.
const BATCH: Duration = Duration::from_millis(2);

/// A runtime with a clock, which some layers look for where they are made.
pub fn runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.map_err(|error| error.to_string())
}
