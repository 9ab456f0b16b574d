//! A crowd that waits, on real time.
//!
//! Goals: no more than 0.2 % late, nobody overtaken, nobody woken more than twice, and no more than 20 ms of processor
//! time with 1,000 callers and 100 ms with 10,000, beside that of one task that sleeps as often: to sleep and be woken has its
//! price, which no limiter saves.

use std::{
    future::Future,
    num::NonZeroU32,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use governor::Quota as Governed;
use http::Request;
use tokio::runtime::Runtime;
use tower::{ServiceExt, buffer::Buffer};
use tower_service::Service;
use tower_upstream::Limit;

use super::peers::{WaitingGovernor, limited, ours, resilience_bucket, tower};
use crate::{
    harness::Bench,
    process,
    table::{Table, verdict},
};

pub fn run(bench: &Bench, runtime: &Runtime) {
    // Each crowd waits for ten seconds before each row.
    let crowds = [(10_000, 1_000), (1_000, 100)];
    for (callers, rate) in crowds.into_iter().take(if bench.is_quick { 1 } else { 2 }) {
        let title = format!("{callers} callers, {rate}/s, burst {BURST}");
        let table = &Table::begin(bench.form, (&title, 36), COLUMNS);
        let crowd = Crowd {
            callers,
            rate,
            burst: BURST,
        };
        let alone = row(bench, table, ALONE, crowd, Duration::ZERO, || {
            runtime.block_on(crowd.sleep())
        });

        let bucket = Limit::requests(u64::from(rate)).per_second();
        let bucket = limited(bucket.burst(u64::from(BURST))).max_wait(None);
        row(bench, table, "one bucket", crowd, alone, || {
            runtime.block_on(crowd.wait(ours(bucket)))
        });

        let governed = Governed::per_second(number(rate)).allow_burst(number(BURST));
        row(bench, table, "governor", crowd, alone, || {
            runtime.block_on(crowd.wait(WaitingGovernor::new(governed)))
        });

        let every = Duration::from_secs(1) / rate;
        row(
            bench,
            table,
            "tower-resilience, token bucket",
            crowd,
            alone,
            || runtime.block_on(crowd.wait(resilience_bucket(every, BURST))),
        );

        // It has no bucket; one at a time keeps the rate.
        let crowd = Crowd { burst: 1, ..crowd };
        row(
            bench,
            table,
            "tower, Buffer over RateLimit",
            crowd,
            alone,
            || {
                runtime.block_on(async {
                    crowd
                        .wait(Buffer::new(tower(1, every), callers as usize))
                        .await
                })
            },
        );
    }
}

/// What repeats, in a crowd that waits for half a second.
///
/// # Errors
///
/// When somebody was overtaken, or woken more than twice.
pub fn order(bench: &Bench, runtime: &Runtime) -> Result<(), String> {
    let crowd = Crowd {
        callers: 1_000,
        rate: 2_000,
        burst: BURST,
    };
    let bucket = Limit::requests(u64::from(crowd.rate)).per_second();
    let bucket = limited(bucket.burst(u64::from(BURST))).max_wait(None);
    let fared = runtime.block_on(crowd.wait(ours(bucket)));
    let (inversions, wakes) = (inversions(&fared.order), fared.wakes());
    let most = wakes.iter().max().copied().unwrap_or_default();
    let columns = [("inversions", 12), ("wakes", 10), ("most", 7)];
    let table = Table::begin(bench.form, ("1000 callers, 2000/s, burst 10", 36), &columns);
    let mean = f64::from(wakes.iter().sum::<u32>()) / f64::from(crowd.callers);
    let cells = [
        inversions.to_string(),
        format!("{mean:.2}"),
        most.to_string(),
    ];
    let is_met = inversions == 0 && most <= 2;
    table.row("one bucket", &cells, verdict(is_met));
    match is_met {
        true => Ok(()),
        false => Err("who waits is not served in order, or woken too often".to_owned()),
    }
}

#[derive(Clone, Copy)]
struct Crowd {
    callers: u32,
    rate: u32,
    burst: u32,
}

/// How a crowd fared.
struct Fared {
    took: Duration,
    processor: Duration,
    /// Who was let through, in this order.
    order: Vec<u32>,
    /// How often each was polled.
    polls: Vec<u32>,
}

impl Fared {
    /// How often each was woken.
    fn wakes(&self) -> Vec<u32> {
        self.polls.iter().map(|polls| polls - 1).collect()
    }
}

impl Crowd {
    fn ideal(self) -> f64 {
        f64::from(self.callers - self.burst) / f64::from(self.rate)
    }

    /// Nobody but one who sleeps as often as a perfect limiter would: what the runtime and the system take for it.
    async fn sleep(self) -> Fared {
        let (processor, start) = (process::processor_time(), Instant::now());
        for number in 1..=self.callers - self.burst {
            let at = Duration::from_secs(1) * number / self.rate;
            tokio::time::sleep_until((start + at).into()).await;
        }
        Fared {
            took: start.elapsed(),
            processor: process::processor_time() - processor,
            order: Vec::new(),
            polls: Vec::new(),
        }
    }

    /// Everybody calls at once.
    async fn wait<S>(self, service: S) -> Fared
    where
        S: Service<Request<()>, Error: Send, Response: Send, Future: Send> + Clone + Send + 'static,
    {
        let order = Arc::new(Mutex::new(Vec::with_capacity(self.callers as usize)));
        let (processor, start) = (process::processor_time(), Instant::now());
        let callers: Vec<_> = (0..self.callers)
            .map(|number| {
                let (call, order) = (service.clone().oneshot(Request::new(())), order.clone());
                tokio::spawn(async move {
                    let mut polls = 0;
                    let result = Polled(pin!(call), &mut polls).await;
                    assert!(result.is_ok(), "a caller was refused");
                    let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
                    order.push(number);
                    polls
                })
            })
            .collect();
        let mut polls = Vec::with_capacity(callers.len());
        for caller in callers {
            polls.push(caller.await.expect("a caller panicked"));
        }
        let took = start.elapsed();
        let processor = process::processor_time() - processor;
        let order = std::mem::take(&mut *order.lock().unwrap_or_else(PoisonError::into_inner));
        Fared {
            took,
            processor,
            order,
            polls,
        }
    }
}

/// Returns the processor time; `alone` is that of one sleeper, which no limiter can save.
fn row(
    bench: &Bench,
    table: &Table<'_>,
    name: &str,
    crowd: Crowd,
    alone: Duration,
    wait: impl FnOnce() -> Fared,
) -> Duration {
    if name != ALONE && !bench.wants(name) {
        return Duration::ZERO;
    }
    let fared = wait();
    let late = fared.took.as_secs_f64() / crowd.ideal() - 1.0;
    let inversions = inversions(&fared.order);
    let wakes = fared.wakes();
    let most = wakes.iter().max().copied().unwrap_or_default();
    let processor = fared.processor.as_secs_f64() * 1e3;
    let mut missed = Vec::new();
    // The goals are those of the crate, not of its peers.
    if name == "one bucket" {
        missed.extend((late.abs() > 0.002).then_some("late by more than 0.2 %"));
        missed.extend((inversions > 0).then_some("inversions"));
        missed.extend((most > 2).then_some("more than 2 wakes"));
        let most = Duration::from_millis(if crowd.callers == 1_000 { 20 } else { 100 });
        let is_slow = fared.processor > alone + most;
        missed.extend(is_slow.then_some("too much processor time beside one sleeper"));
    }
    let cells = [
        format!("{:.3}", fared.took.as_secs_f64()),
        format!("{:+.2} %", late * 100.0),
        inversions.to_string(),
        format!(
            "{:.2}",
            f64::from(wakes.iter().sum::<u32>()) / f64::from(crowd.callers)
        ),
        most.to_string(),
        format!("{processor:.1} ms"),
    ];
    let remark = format!("{} {}", verdict(missed.is_empty()), missed.join(", "));
    table.row(name, &cells, remark.trim());
    fared.processor
}

/// Pairs of callers of whom the later went first.
fn inversions(order: &[u32]) -> usize {
    let overtaken = |(at, number): (usize, &u32)| {
        let after = order[at..].iter();
        after.filter(|other| *other < number).count()
    };
    order.iter().enumerate().map(overtaken).sum()
}

/// Counts how often a future is polled.
struct Polled<'a, F>(Pin<&'a mut F>, &'a mut u32);

impl<F: Future> Future for Polled<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        *self.1 += 1;
        self.0.as_mut().poll(context)
    }
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

const ALONE: &str = "one sleeper, no limiter";
const COLUMNS: &[(&str, usize)] = &[
    ("s", 9),
    ("late", 10),
    ("inversions", 12),
    ("wakes", 10),
    ("most", 7),
    ("CPU", 12),
];
const BURST: u32 = 10;
