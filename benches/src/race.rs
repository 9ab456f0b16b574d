//! Rows that two threads run at once.
//!
//! The ratio is that of all calls, the service inside included, so no row has more than the bare service. The last column is
//! the ratio of what is added to it.

use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use http::Request;
use tower_service::Service;

use crate::{
    exchange,
    harness::Bench,
    requests::Requests,
    rounds::Spread,
    table::{Table, verdict},
};

pub struct Row {
    name: &'static str,
    /// At least so many times the peer's calls.
    goal: Option<f64>,
    /// Million calls a second of so many threads together.
    speed: Box<dyn Fn(usize) -> f64>,
}

type Batch = Box<dyn FnMut()>;

impl Row {
    /// Sends requests without a body.
    pub fn new<S>(name: &'static str, service: S, requests: fn(usize) -> Requests) -> Self
    where
        S: Service<Request<()>> + Clone + Sync + 'static,
    {
        Self::of(name, move |number| {
            let (mut service, mut requests) = (service.clone(), requests(number));
            Box::new(move || (0..CALLS).for_each(|_| requests.send(&mut service)))
        })
    }

    /// Sends light requests.
    pub fn light<S>(name: &'static str, service: S) -> Self
    where
        S: Service<Request<exchange::Body>> + Clone + Sync + 'static,
    {
        Self::of(name, move |_| {
            let mut call = exchange::sends(service.clone(), exchange::light());
            Box::new(move || (0..CALLS).for_each(|_| call()))
        })
    }

    /// A batch of calls of the thread with this number is made on that thread, whose memory is apart from the other's.
    fn of(name: &'static str, batch: impl Fn(usize) -> Batch + Sync + 'static) -> Self {
        Self::measured(name, move |threads| speed(&batch, threads))
    }

    /// Measures in a way of its own.
    pub fn measured(name: &'static str, speed: impl Fn(usize) -> f64 + 'static) -> Self {
        Self {
            name,
            goal: None,
            speed: Box::new(speed),
        }
    }

    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }
}

fn speed(batch: &(impl Fn(usize) -> Batch + Sync), threads: usize) -> f64 {
    let (absent, ended) = (AtomicUsize::new(threads), AtomicBool::new(false));
    let run = |number| {
        let mut batch = batch(number);
        // To be woken from a sleep would take longer than the calls.
        absent.fetch_sub(1, Ordering::AcqRel);
        while absent.load(Ordering::Acquire) > 0 {
            hint::spin_loop();
        }
        let (start, mut batches) = (Instant::now(), 0.0);
        while !ended.load(Ordering::Relaxed) && start.elapsed() < ROUND {
            batch();
            batches += 1.0;
        }
        // Whoever goes on alone meets nobody.
        ended.store(true, Ordering::Relaxed);
        batches * f64::from(CALLS) / start.elapsed().as_secs_f64() / 1e6
    };
    thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        let speeds = handles.into_iter().map(|handle| handle.join());
        speeds.map(|speed| speed.expect("a call panicked")).sum()
    })
}

/// Holds rows against `peer`, which is one of them, as the bare service is.
pub fn compare(bench: &Bench, title: &str, peer: &str, mut rows: Vec<Row>) {
    let names = [BARE, peer];
    rows.retain(|row| names.contains(&row.name) || bench.wants(row.name));
    let mut speeds = vec![Vec::new(); rows.len()];
    let mut alone = vec![Vec::new(); rows.len()];
    for _ in 0..bench.rounds(ROUNDS) {
        for (at, row) in rows.iter().enumerate() {
            speeds[at].push((row.speed)(2));
            alone[at].push((row.speed)(1));
        }
    }
    let table = Table::begin(bench.form, (title, 36), COLUMNS);
    let median = |speeds: &[f64]| Spread::of(speeds.iter().copied()).median;
    let [bare, peer] = names.map(|name| {
        let at = rows.iter().position(|row| row.name == name);
        &speeds[at.unwrap_or_default()]
    });
    let added = |speeds: &[f64]| 1.0 / median(speeds) - 1.0 / median(bare);
    for (row, (speeds, alone)) in rows.iter().zip(speeds.iter().zip(alone)) {
        let speed = Spread::of(speeds.iter().copied());
        let ratio = Spread::of(speeds.iter().zip(peer).map(|(speed, peer)| speed / peer));
        let cells = [
            format!("{:.2}", speed.median),
            format!("{:.2} – {:.2}", speed.low, speed.high),
            format!("{:.2}", median(&alone)),
            format!("{:.2}", ratio.median),
            format!("{:.2} – {:.2}", ratio.low, ratio.high),
            row.goal.map_or(String::new(), |goal| format!("≥ {goal}")),
            match row.name {
                BARE => String::new(),
                _ => format!("{:.2}", added(peer) / added(speeds)),
            },
        ];
        let is_met = row.goal.is_none_or(|goal| ratio.median >= goal);
        table.row(row.name, &cells, verdict(is_met));
    }
}

/// The name of the row of the bare service.
pub const BARE: &str = "bare service";
const COLUMNS: &[(&str, usize)] = &[
    ("M calls/s", 12),
    ("8 of 10", 18),
    ("one thread", 12),
    ("ratio", 8),
    ("8 of 10", 16),
    ("goal", 8),
    ("less bare", 12),
];
const ROUNDS: usize = 41;
pub const ROUND: Duration = Duration::from_millis(5);
/// Between two looks at the time.
const CALLS: u32 = 500;
