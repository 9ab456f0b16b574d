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
    harness::Bench,
    requests::Requests,
    rounds::{Spread, verdict},
};

pub struct Row {
    name: &'static str,
    /// At least so many times the peer's calls.
    goal: Option<f64>,
    /// A batch of calls of the thread with this number. Made on that thread, whose memory is apart from the other's.
    batch: Box<dyn Fn(usize) -> Batch + Sync>,
}

type Batch = Box<dyn FnMut()>;

impl Row {
    pub fn new<S>(name: &'static str, service: S, requests: fn(usize) -> Requests) -> Self
    where
        S: Service<Request<()>> + Clone + Sync + 'static,
    {
        Self {
            name,
            goal: None,
            batch: Box::new(move |number| {
                let (mut service, mut requests) = (service.clone(), requests(number));
                Box::new(move || (0..CALLS).for_each(|_| requests.send(&mut service)))
            }),
        }
    }

    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Million calls a second of so many threads together.
    fn speed(&self, threads: usize) -> f64 {
        let (absent, ended) = (AtomicUsize::new(threads), AtomicBool::new(false));
        let run = |number| {
            let mut batch = (self.batch)(number);
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
}

/// Holds rows against `peer`, which is one of them, as the bare service is.
pub fn compare(bench: &Bench, title: &str, peer: &str, mut rows: Vec<Row>) {
    let names = [BARE, peer];
    rows.retain(|row| names.contains(&row.name) || bench.wants(row.name));
    let mut speeds = vec![Vec::new(); rows.len()];
    let mut alone = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for (at, row) in rows.iter().enumerate() {
            speeds[at].push(row.speed(2));
            alone[at].push(row.speed(1));
        }
    }
    println!(
        "\n{title:<36}{:>12}{:>18}{:>12}{:>8}{:>16}{:>8}{:>12}",
        "M calls/s", "8 of 10", "one thread", "ratio", "8 of 10", "goal", "less bare"
    );
    let median = |speeds: &[f64]| Spread::of(speeds.iter().copied()).median;
    let [bare, peer] = names.map(|name| {
        let at = rows.iter().position(|row| row.name == name);
        &speeds[at.unwrap_or_default()]
    });
    let added = |speeds: &[f64]| 1.0 / median(speeds) - 1.0 / median(bare);
    for (row, (speeds, alone)) in rows.iter().zip(speeds.iter().zip(alone)) {
        let speed = Spread::of(speeds.iter().copied());
        let ratio = Spread::of(speeds.iter().zip(peer).map(|(speed, peer)| speed / peer));
        println!(
            "{:<36}{:>12.2}{:>18}{:>12.2}{:>8.2}{:>16}{:>8}{:>12}{}",
            row.name,
            speed.median,
            format!("{:.2} – {:.2}", speed.low, speed.high),
            median(&alone),
            ratio.median,
            format!("{:.2} – {:.2}", ratio.low, ratio.high),
            row.goal.map_or(String::new(), |goal| format!("≥ {goal}")),
            match row.name {
                BARE => String::new(),
                _ => format!("{:.2}", added(peer) / added(speeds)),
            },
            verdict(row.goal.is_none_or(|goal| ratio.median >= goal)),
        );
    }
}

/// The name of the row of the bare service.
pub const BARE: &str = "bare service";
const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(5);
/// Between two looks at the time.
const CALLS: u32 = 500;
