//! What is printed: one JSON object.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tower_upstream::{Priority, error::RefusalReason};

use crate::{
    ledger::{Ending, Ledger},
    run::Played,
    scenario::Scenario,
    steps::{Stretch, highest_on_average},
};

/// What came of a scenario, in numbers.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Requests that callers made.
    pub(crate) offered: usize,
    /// Requests that the limiter let through.
    pub(crate) admitted: usize,
    /// Requests that were answered to the end.
    pub(crate) answered: usize,
    /// Requests that the limiter refused, by reason.
    pub(crate) refused: [(&'static str, usize); 3],
    /// Callers that went away, before or after their request was sent.
    pub(crate) cancelled: usize,
    /// Requests that were waiting or under way when the simulation ended.
    pub(crate) unfinished: usize,
    /// Requests that an upstream answered with a 429.
    pub(crate) too_many_requests: usize,
    /// How much of the true quota was used while somebody waited, from 0 to 1; `None` where nobody ever did.
    pub(crate) quota_used: Option<f64>,
    /// How long somebody waited, added up over the upstreams.
    pub(crate) demand: Duration,
    /// Requests sent after one that had come later, to the same upstream in the same priority.
    pub(crate) order_inversions: usize,
    /// By how much an upstream's count was above its limit at most, in the units of that limit.
    pub(crate) largest_overrun: u64,
    /// How often a request was woken until it was admitted, on average over those that waited.
    pub(crate) wakeups_per_admission: f64,
    wakeups: u64,
    waits: Map<String, Value>,
    upstreams: Vec<Value>,
    simulated: Duration,
}

impl Report {
    pub(crate) fn new(scenario: &Scenario, played: &Played) -> Self {
        let ledger = &played.ledger;
        let count = |wanted: &dyn Fn(Option<Ending>) -> bool| {
            let records = ledger.records().iter();
            records.filter(|record| wanted(record.ending)).count()
        };
        let refused = REASONS.map(|(name, reason)| {
            (
                name,
                count(&|ending| ending == Some(Ending::Refused(reason))),
            )
        });
        let mut report = Self {
            offered: ledger.records().len(),
            admitted: ledger.admitted(),
            answered: count(&|ending| ending == Some(Ending::Answered)),
            refused,
            cancelled: count(&|ending| ending == Some(Ending::Cancelled)),
            unfinished: count(&|ending| ending.is_none()),
            too_many_requests: count(&|ending| ending == Some(Ending::TooManyRequests)),
            quota_used: None,
            demand: Duration::ZERO,
            order_inversions: ledger.order_inversions(),
            largest_overrun: 0,
            wakeups_per_admission: ledger.wakeups_per_admission(),
            wakeups: ledger.wakeups(),
            waits: waits(ledger),
            upstreams: Vec::new(),
            simulated: scenario.duration,
        };
        report.add_upstreams(scenario, played);
        report
    }

    fn add_upstreams(&mut self, scenario: &Scenario, played: &Played) {
        let mut used = 0.0;
        for (index, findings) in played.findings.iter().enumerate() {
            let settings = &scenario.upstreams[index];
            let waited = played.ledger.demand(index, scenario.duration);
            let demand: Duration = waited
                .iter()
                .map(|stretch| stretch.end - stretch.start)
                .sum();
            let shifted: Vec<Stretch> = waited
                .iter()
                .map(|stretch| stretch.start + settings.way..stretch.end + settings.way)
                .collect();
            let share = highest_on_average(&findings.usage, &shifted);
            used += share.unwrap_or_default() * demand.as_secs_f64();
            self.demand += demand;
            let limits = findings.limits.iter().map(|(limit, overrun, refused)| {
                json!({ "limit": limit, "largest_overrun": overrun, "refused": refused })
            });
            let overruns = findings.limits.iter().map(|(_, overrun, _)| *overrun);
            self.largest_overrun = overruns.fold(self.largest_overrun, u64::max);
            self.upstreams.push(json!({
                "name": settings.name(),
                "quota_used": share.map(rounded),
                "demand_seconds": rounded(demand.as_secs_f64()),
                "limits": limits.collect::<Vec<_>>(),
            }));
        }
        let demand = self.demand.as_secs_f64();
        self.quota_used = (demand > 0.0).then(|| used / demand);
    }

    /// The JSON object; `real` is how long the simulation took.
    pub(crate) fn to_json(&self, real: Duration) -> Value {
        let reasons = self
            .refused
            .map(|(name, count)| (name.to_owned(), json!(count)));
        json!({
            "offered": self.offered,
            "admitted": self.admitted,
            "answered": self.answered,
            "refused_by_us": self.refused.iter().map(|(_, count)| count).sum::<usize>(),
            "refusals": Map::from_iter(reasons),
            "cancelled": self.cancelled,
            "unfinished": self.unfinished,
            "too_many_requests": self.too_many_requests,
            "quota_used": self.quota_used.map(rounded),
            "demand_seconds": rounded(self.demand.as_secs_f64()),
            "waits": self.waits,
            "order_inversions": self.order_inversions,
            "largest_overrun": self.largest_overrun,
            "wakeups_per_admission": rounded(self.wakeups_per_admission),
            "wakeups": self.wakeups,
            "upstreams": self.upstreams,
            "simulated_seconds": rounded(self.simulated.as_secs_f64()),
            "real_seconds": rounded(real.as_secs_f64()),
        })
    }
}

/// How long the admitted requests of each priority waited.
fn waits(ledger: &Ledger) -> Map<String, Value> {
    let waits = PRIORITIES.map(|(name, priority)| {
        let records = ledger.records().iter();
        let records = records.filter(|record| record.priority == priority);
        let mut waits: Vec<_> = records.filter_map(|record| record.wait()).collect();
        waits.sort_unstable();
        let value = json!({
            "admitted": waits.len(),
            "p50_ms": millis(quantile(&waits, 0.5)),
            "p99_ms": millis(quantile(&waits, 0.99)),
            "max_ms": millis(quantile(&waits, 1.0)),
        });
        (name.to_owned(), value)
    });
    Map::from_iter(waits)
}

/// The smallest of the sorted values that at least this share of them does not exceed.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let value = sorted.get(rank.saturating_sub(1));
    value.copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1_000.0)
}

fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

const PRIORITIES: [(&str, Priority); 3] = [
    ("high", Priority::High),
    ("normal", Priority::Normal),
    ("low", Priority::Low),
];

const REASONS: [(&str, RefusalReason); 3] = [
    ("too_large", RefusalReason::TooLarge),
    ("wait_too_long", RefusalReason::WaitTooLong),
    ("queue_full", RefusalReason::QueueFull),
];
