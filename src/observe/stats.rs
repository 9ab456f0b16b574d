//! [`Stats`]: what has happened so far, in figures.

mod advice;
mod count;
mod figures;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hashbrown::HashMap;

pub use self::{
    advice::{Insight, InsightKind},
    figures::{KeyStats, LastFailure, Latency, PeakUse, Snapshot, UpstreamStats},
};
use super::{
    events::Event,
    names::OTHERS,
    observer::Observer,
    receipt::{End, Receipt},
};
use crate::clock::{Clock, TokioClock};

/// An observer that keeps count of what happens, by upstream and by key.
///
/// A cheap handle: clones share the figures. Give one clone to all layers and keep another to ask. What an upstream is asked
/// and answers is counted by the [`ProviderLayer`](crate::ProviderLayer)'s receipts: without that layer there are only the
/// decisions of the others.
///
/// Memory is bounded: so many [upstreams](Self::most_upstreams) and [keys](Self::most_keys) have figures of their own, a row
/// of up to 14 KiB each, and those beyond share the row `(others)`.
///
/// ```
/// use tower_upstream::{Cooldowns, RateLimiter, observe::Stats};
///
/// let stats = Stats::new();
/// let limiter = RateLimiter::default().observe(stats.clone());
/// let cooldowns = Cooldowns::new().observe(stats.clone());
/// // ... and to the layers of retry, circuit breaker and provider; then, at any time:
/// for (id, upstream) in &stats.snapshot().upstreams {
///     println!("{id}: {} requests, {} in {:?} (p99)", upstream.requests, upstream.money, upstream.took.p99);
/// }
/// for insight in stats.insights() {
///     println!("{insight}");
/// }
/// # let _ = (limiter, cooldowns);
/// ```
#[derive(Clone)]
pub struct Stats {
    shared: Arc<Shared>,
}

struct Shared {
    most_upstreams: usize,
    most_keys: usize,
    clock: Arc<dyn Clock>,
    all: Mutex<All>,
}

/// Everything that is counted.
struct All {
    upstreams: Rows<count::Upstream>,
    keys: Rows<count::Key>,
    exhausted: u64,
    deadlines_exceeded: BTreeMap<&'static str, u64>,
}

/// Rows by name, and one for all names beyond the bound.
struct Rows<T> {
    most: usize,
    rows: HashMap<Arc<str>, T>,
}

impl Stats {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::of(MOST_UPSTREAMS, MOST_KEYS, Arc::new(TokioClock))
    }

    /// Nothing counted yet, and figures for at most so many upstreams, at least 1. Default: 1,000.
    #[must_use]
    pub fn most_upstreams(self, upstreams: usize) -> Self {
        Self::of(upstreams, self.shared.most_keys, self.shared.clock.clone())
    }

    /// Nothing counted yet, and figures for at most so many keys of limiters and breakers, at least 1. Default: 1,000.
    #[must_use]
    pub fn most_keys(self, keys: usize) -> Self {
        Self::of(self.shared.most_upstreams, keys, self.shared.clock.clone())
    }

    /// Nothing counted yet, and this clock, which tells how long ago the last failure was. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        let Shared {
            most_upstreams,
            most_keys,
            ..
        } = *self.shared;
        Self::of(most_upstreams, most_keys, Arc::new(clock))
    }

    /// The figures as they stand.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.clock.now();
        let all = self.lock();
        let upstreams = all.upstreams.rows.iter();
        let keys = all.keys.rows.iter();
        Snapshot {
            upstreams: upstreams
                .map(|(id, row)| (id.clone(), row.figures(now)))
                .collect(),
            keys: keys
                .map(|(key, row)| (key.clone(), row.figures()))
                .collect(),
            exhausted: all.exhausted,
            deadlines_exceeded: all.deadlines_exceeded.clone(),
        }
    }

    /// Begins anew.
    pub fn reset(&self) {
        *self.lock() = All::new(self.shared.most_upstreams, self.shared.most_keys);
    }

    /// What could be better, in plain words and with the figure that says so, the most pressing first. Nothing is said of
    /// what has been seen less than 20 times.
    pub fn insights(&self) -> Vec<Insight> {
        advice::insights(&self.snapshot())
    }

    fn of(most_upstreams: usize, most_keys: usize, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            most_upstreams,
            most_keys,
            clock,
            all: Mutex::new(All::new(most_upstreams, most_keys)),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        let all = self.shared.all.lock();
        all.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Stats {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::Settled { .. } => {}
            Event::Ended(receipt) if matches!(receipt.end, End::Failed(_) | End::Broken) => {
                let now = self.shared.clock.now();
                let mut all = self.lock();
                all.count(event);
                let row = all.upstreams.of(receipt.upstream);
                row.failed_at(receipt.end, now);
            }
            _ => self.lock().count(event),
        }
    }

    fn wants_settled(&self) -> bool {
        // Told of every request, and counted by its receipt.
        false
    }
}

impl All {
    fn new(most_upstreams: usize, most_keys: usize) -> Self {
        Self {
            upstreams: Rows::new(most_upstreams),
            keys: Rows::new(most_keys),
            exhausted: 0,
            deadlines_exceeded: BTreeMap::new(),
        }
    }

    fn count(&mut self, event: &Event<'_>) {
        match *event {
            Event::Admitted { key, .. }
            | Event::Queued { key, .. }
            | Event::Left { key, .. }
            | Event::Refused { key, .. }
            | Event::Shadowed { key, .. }
            | Event::Settled { key, .. }
            | Event::Learned { key, .. }
            | Event::Paused { key, .. }
            | Event::Opened { key, .. }
            | Event::HalfOpened { key, .. }
            | Event::Closed { key, .. }
            | Event::Disabled { key } => self.keys.of(key).count(event),
            Event::Retrying { upstream, .. }
            | Event::GaveUp { upstream, .. }
            | Event::CoolingDown { upstream, .. }
            | Event::Ended(&Receipt { upstream, .. }) => self.upstreams.of(upstream).count(event),
            Event::Switched { from, to, .. } => {
                self.upstreams.of(from).count(event);
                self.upstreams.of(to).switched_to();
            }
            Event::Exhausted { .. } => self.exhausted += 1,
            Event::DeadlineExceeded { layer, .. } => {
                *self.deadlines_exceeded.entry(layer).or_default() += 1;
            }
        }
    }
}

impl<T: Default> Rows<T> {
    fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            rows: HashMap::new(),
        }
    }

    fn of(&mut self, name: &str) -> &mut T {
        let has_room = self.rows.len() < self.most || self.rows.contains_key(name);
        let name = if has_room { name } else { OTHERS };
        self.rows.entry_ref(name).or_default()
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.lock();
        f.debug_struct("Stats")
            .field("upstreams", &all.upstreams.rows.len())
            .field("keys", &all.keys.rows.len())
            .finish_non_exhaustive()
    }
}

const MOST_UPSTREAMS: usize = 1_000;

const MOST_KEYS: usize = 1_000;

#[cfg(test)]
#[path = "stats/tests.rs"]
mod tests;
