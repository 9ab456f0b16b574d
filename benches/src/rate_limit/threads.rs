//! Two threads at once.
//!
//! The ratio is that of all calls, the service inside included, so no limiter has more than the bare service. The last column is
//! the ratio of what is added to it.

use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use http::Request;
use tower_resilience_ratelimiter::WindowType;
use tower_service::Service;
use tower_upstream::Limit;

use super::{
    peers::{KeyedGovernor, PLENTY, by_tenant, governed, governor, limited, ours, resilience},
    requests::{Inner, Requests},
    rounds::{Spread, verdict},
};
use crate::harness::Bench;

pub fn run(bench: &Bench) {
    let unkeyed = |_| Requests::plain();
    let window = ours(limited(Limit::requests(PLENTY).per_minute()));
    let peer = resilience(WindowType::Fixed, PLENTY);
    compare(
        bench,
        "two threads, one limit",
        vec![
            Row::new(BARE, Inner, unkeyed),
            Row::new(PEER, peer, unkeyed),
            Row::new("governor", governor(Inner), unkeyed),
            Row::new("one window", window, unkeyed).goal(6.0),
        ],
    );

    let same = |_| Requests::of_tenant(0);
    let keyed = || {
        let limit = limited(Limit::requests(PLENTY).per_minute());
        ours(limit.scope(by_tenant()))
    };
    let governor = || KeyedGovernor::new(governed(PLENTY));
    let peer = resilience(WindowType::Fixed, PLENTY);
    compare(
        bench,
        "two threads, the same key",
        vec![
            Row::new(BARE, Inner, same),
            Row::new(PEER, peer, same),
            Row::new("governor, keyed", governor(), same),
            Row::new("one window, keyed", keyed(), same).goal(6.0),
        ],
    );

    let peer = resilience(WindowType::Fixed, PLENTY);
    compare(
        bench,
        "two threads, different keys",
        vec![
            Row::new(BARE, Inner, Requests::of_tenant),
            Row::new(PEER, peer, Requests::of_tenant),
            Row::new("governor, keyed", governor(), Requests::of_tenant),
            Row::new("one window, keyed", keyed(), Requests::of_tenant),
        ],
    );
}

/// What the others are held against.
const PEER: &str = "tower-resilience, one for all";

struct Row {
    name: &'static str,
    /// How many times the peer's calls.
    goal: Option<f64>,
    /// A batch of calls of the thread with this number. Made on that thread, whose memory is apart from the other's.
    batch: Box<dyn Fn(usize) -> Batch + Sync>,
}

type Batch = Box<dyn FnMut()>;

impl Row {
    fn new<S>(name: &'static str, service: S, requests: fn(usize) -> Requests) -> Self
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

    fn goal(mut self, goal: f64) -> Self {
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

fn compare(bench: &Bench, title: &str, mut rows: Vec<Row>) {
    rows.retain(|row| [BARE, PEER].contains(&row.name) || bench.wants(row.name));
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
    let [bare, peer] = [BARE, PEER].map(|name| {
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

const BARE: &str = "bare service";
const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(5);
/// Between two looks at the time.
const CALLS: u32 = 500;
