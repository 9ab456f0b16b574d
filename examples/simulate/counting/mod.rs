//! How an upstream counts one of its limits: the judge of what the limiter lets through.
//!
//! Written from the providers' side, and without a line of the crate's own windows. Pure: told the time, as the
//! duration since the simulation began, which never goes back.

mod bucket;
mod calendar;
mod first_use;
mod sliding;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::{bucket::Bucket, calendar::Calendar, first_use::FirstUse, sliding::Sliding};
use crate::{limit::Way, steps::Steps};

/// The count of one limit.
#[derive(Debug)]
pub(crate) struct Counter {
    count: Box<dyn Count>,
    capacity: u64,
    overrun: u64,
}

/// By which what was counted can be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A way of counting.
trait Count: std::fmt::Debug {
    /// Sets the time that everything else is about.
    fn move_to(&mut self, now: Duration);

    fn has_room(&self, amount: u64) -> bool;

    fn used(&self) -> u64;

    fn take(&mut self, amount: u64) -> Ticket;

    /// Makes `really` of what was `counted`.
    fn correct(&mut self, ticket: Ticket, counted: u64, really: u64);

    /// When so much fits, if nothing else is taken.
    fn fits_at(&self, amount: u64) -> Duration;

    /// When nothing is taken any more.
    fn renewed_at(&self) -> Duration;

    /// The simulation ends now: how much of the limit was used, at each moment.
    fn finish(&mut self) -> Steps;
}

impl Counter {
    /// An empty count; `phase` is how much of the day had passed, in UTC, when the simulation began.
    pub(crate) fn new(amount: u64, period: Duration, way: Way, phase: Duration) -> Self {
        let capacity = match way {
            Way::Bucket { burst } => burst,
            Way::Sliding | Way::FirstUse | Way::Calendar { .. } => amount,
        };
        let count: Box<dyn Count> = match way {
            Way::Sliding => Box::new(Sliding::new(amount, period)),
            Way::FirstUse => Box::new(FirstUse::new(amount, period)),
            Way::Calendar { utc_offset_minutes } => {
                Box::new(Calendar::new(amount, period, phase, utc_offset_minutes))
            }
            Way::Bucket { burst } => Box::new(Bucket::new(amount, period, burst)),
        };
        Self {
            count,
            capacity,
            overrun: 0,
        }
    }

    pub(crate) fn has_room(&mut self, amount: u64, now: Duration) -> bool {
        self.count.move_to(now);
        self.count.has_room(amount)
    }

    /// How much is left.
    pub(crate) fn remaining(&mut self, now: Duration) -> u64 {
        self.count.move_to(now);
        self.capacity.saturating_sub(self.count.used())
    }

    /// Counts, whether there is room or not.
    pub(crate) fn take(&mut self, amount: u64, now: Duration) -> Ticket {
        self.count.move_to(now);
        let ticket = self.count.take(amount);
        self.note_overrun();
        ticket
    }

    pub(crate) fn correct(&mut self, ticket: Ticket, counted: u64, really: u64, now: Duration) {
        self.count.move_to(now);
        self.count.correct(ticket, counted, really);
        self.note_overrun();
    }

    pub(crate) fn fits_at(&mut self, amount: u64, now: Duration) -> Duration {
        self.count.move_to(now);
        self.count.fits_at(amount).max(now)
    }

    pub(crate) fn renewed_at(&mut self, now: Duration) -> Duration {
        self.count.move_to(now);
        self.count.renewed_at().max(now)
    }

    /// By how much the count has been above its limit at most: what is corrected upwards, or counted late, takes it there.
    pub(crate) fn overrun(&self) -> u64 {
        self.overrun
    }

    pub(crate) fn finish(&mut self, now: Duration) -> Steps {
        self.count.move_to(now);
        self.count.finish()
    }

    fn note_overrun(&mut self) {
        let above = self.count.used().saturating_sub(self.capacity);
        self.overrun = self.overrun.max(above);
    }
}
