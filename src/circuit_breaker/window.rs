//! How many of the last calls failed, or were slow, in fixed memory.

mod buckets;
mod ring;

use std::time::Instant;

use super::{config::Over, tally::Tally};
use buckets::Buckets;
use ring::Ring;

/// The calls that the rates look back over.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Calls(Ring),
    Time(Buckets),
}

impl Window {
    pub(super) fn new(over: Over) -> Self {
        match over {
            Over::Calls(calls) => Self::Calls(Ring::new(calls)),
            Over::Time(time) => Self::Time(Buckets::new(time)),
        }
    }

    /// Adds one call.
    pub(super) fn record(&mut self, has_failed: bool, is_slow: bool, now: Instant) {
        match self {
            Self::Calls(ring) => ring.record(has_failed, is_slow),
            Self::Time(buckets) => buckets.record(has_failed, is_slow, now),
        }
    }

    /// Adds so many good calls, which ended before [`until`](Self::until).
    pub(super) fn add_good(&mut self, calls: u32) {
        match self {
            Self::Calls(ring) => ring.add_good(calls),
            Self::Time(buckets) => buckets.add_good(calls),
        }
    }

    /// Until when good calls may be added later, all at once; `None` before the first call, and no end where it does not matter
    /// when they ended.
    pub(super) fn until(&self) -> Option<Until> {
        match self {
            Self::Calls(_) => Some(Until::Ever),
            Self::Time(buckets) => buckets.end().map(Until::Time),
        }
    }

    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        match self {
            Self::Calls(ring) => ring.tally(),
            Self::Time(buckets) => buckets.tally(now),
        }
    }

    /// The tally as of the time that the window was last told.
    pub(super) fn latest_tally(&self) -> Tally {
        match self {
            Self::Calls(ring) => ring.tally(),
            Self::Time(buckets) => buckets.latest_tally(),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Calls(ring) => ring.clear(),
            Self::Time(buckets) => buckets.clear(),
        }
    }
}

/// How long something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Time(Instant),
    Ever,
}

#[cfg(test)]
mod tests;
