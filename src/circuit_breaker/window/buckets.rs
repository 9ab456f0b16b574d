//! The calls of the last while in ten buckets: none counts for longer than the window, each for at least nine tenths of it.

use std::time::{Duration, Instant};

use crate::{circuit_breaker::tally::Tally, instant::after};

#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    buckets: [Tally; BUCKETS],
    width: Duration,
    /// When the newest bucket began; unset until the first call.
    began: Option<Instant>,
    newest: usize,
    tally: Tally,
}

/// As in Polly and Linkerd.
const BUCKETS: usize = 10;

impl Buckets {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            buckets: [Tally::default(); BUCKETS],
            width: (window / BUCKETS as u32).max(Duration::from_nanos(1)),
            began: None,
            newest: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn record(&mut self, has_failed: bool, is_slow: bool, now: Instant) {
        self.move_to(now);
        self.add(Tally {
            calls: 1,
            failures: u32::from(has_failed),
            slow: u32::from(is_slow),
        });
    }

    pub(super) fn add_good(&mut self, calls: u32) {
        let none = Tally::default();
        self.add(Tally { calls, ..none });
    }

    fn add(&mut self, added: Tally) {
        for tally in [&mut self.buckets[self.newest], &mut self.tally] {
            tally.calls = tally.calls.saturating_add(added.calls);
            tally.failures = tally.failures.saturating_add(added.failures);
            tally.slow = tally.slow.saturating_add(added.slow);
        }
    }

    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        if self.began.is_some() {
            self.move_to(now);
        }
        self.tally
    }

    pub(super) fn latest_tally(&self) -> Tally {
        self.tally
    }

    /// When the newest bucket ends.
    pub(super) fn end(&self) -> Option<Instant> {
        self.began.map(|began| after(began, self.width))
    }

    pub(super) fn clear(&mut self) {
        (self.buckets, self.tally) = Default::default();
        self.began = None;
    }

    /// Empties the buckets that have aged out: at most all ten, whatever the jump.
    fn move_to(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_nanos() / self.width.as_nanos();
        if passed >= BUCKETS as u128 {
            self.clear();
            self.began = Some(now);
            return;
        }
        for _ in 0..passed {
            self.newest = (self.newest + 1) % BUCKETS;
            let old = std::mem::take(&mut self.buckets[self.newest]);
            self.tally.calls = self.tally.calls.saturating_sub(old.calls);
            self.tally.failures = self.tally.failures.saturating_sub(old.failures);
            self.tally.slow = self.tally.slow.saturating_sub(old.slow);
            self.began = self.end();
        }
    }
}
