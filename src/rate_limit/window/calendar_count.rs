//! A count that begins anew with each period of the calendar.

use crate::rate_limit::{
    calendar::Span,
    epoch::{Nanos, WallNanos},
    limit::Limit,
};

/// A count that begins anew with each period of the calendar. Which one that is, is asked once a period.
#[derive(Clone, Debug)]
pub(crate) struct CalendarCount {
    used: u64,
    begins: Nanos,
    ends: Nanos,
    /// The time of day at the origin of the limiter.
    wall: WallNanos,
}

impl CalendarCount {
    pub(super) fn new(now: Nanos, wall: WallNanos) -> Self {
        Self {
            used: 0,
            begins: now,
            ends: now,
            wall,
        }
    }

    pub(super) fn earliest(&self, limit: &Limit, amount: u64, now: Nanos) -> Nanos {
        // What is sent at the very end may arrive in the next period, and would be counted there.
        let is_late = limit.margin() > 0 && now.saturating_add(limit.margin()) >= self.ends;
        let fits = self.used(now).saturating_add(amount) <= limit.amount;
        if fits && !(is_late && now < self.ends) {
            return now;
        }
        self.ends.max(now)
    }

    pub(super) fn take(&mut self, amount: u64, now: Nanos, span: impl Fn(WallNanos) -> Span) {
        if now >= self.ends {
            let span = span(self.wall.saturating_add_unsigned(now));
            let since_origin = |at: WallNanos| {
                Nanos::try_from(i128::from(at) - i128::from(self.wall)).unwrap_or(0)
            };
            // A period that began before this count did holds nothing of what was taken before.
            self.begins = since_origin(span.begins).max(self.begins);
            (self.ends, self.used) = (since_origin(span.ends), 0);
        }
        self.used = self.used.saturating_add(amount);
    }

    pub(super) fn settle(&mut self, at: Nanos, reserved: u64, used: u64) {
        if (self.begins..self.ends).contains(&at) {
            self.used = self.used.saturating_sub(reserved).saturating_add(used);
        }
    }

    pub(super) fn used(&self, now: Nanos) -> u64 {
        if now < self.ends { self.used } else { 0 }
    }
}
