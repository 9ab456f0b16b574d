//! A count that begins anew with each period of the calendar.

use crate::rate_limit::{
    calendar::Span,
    epoch::{Anchor, Nanos, WallNanos},
    limit::Limit,
    saved::Taking,
};

/// A count that begins anew with each period of the calendar. Which one that is, is asked once a period.
#[derive(Clone, Debug)]
pub(crate) struct CalendarCount {
    used: u64,
    begins: Nanos,
    ends: Nanos,
    /// The time of day at the limiter's nanosecond zero.
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

    /// Whether so much fits into the period that is counted, which has not ended.
    #[inline]
    pub(super) fn has_room(&self, limit: &Limit, amount: u64, now: Nanos) -> bool {
        let used = self.used.checked_add(amount);
        let fits = used.is_some_and(|used| used <= limit.amount);
        fits && now < self.ends && limit.margin() == 0
    }

    pub(super) fn earliest(
        &self,
        limit: &Limit,
        amount: u64,
        now: Nanos,
        span: impl Fn(WallNanos) -> Span,
    ) -> Nanos {
        // What is sent at the very end may arrive in the next period, and would be counted there. Where the margin is as long
        // as a period, every moment is too late, and one must do.
        let margin = limit.margin();
        if (1..limit.period()).contains(&margin) {
            let ends = match now < self.ends {
                true => self.ends,
                false => self.nanos(span(self.wall.saturating_add_unsigned(now)).ends),
            };
            if now.saturating_add(margin) >= ends {
                return ends.max(now);
            }
        }
        match self.used(now).saturating_add(amount) <= limit.amount {
            true => now,
            false => self.ends.max(now),
        }
    }

    pub(super) fn take(&mut self, amount: u64, now: Nanos, span: impl Fn(WallNanos) -> Span) {
        if now >= self.ends {
            let span = span(self.wall.saturating_add_unsigned(now));
            // A period that began before this count did holds nothing of what was taken before.
            self.begins = self.nanos(span.begins).max(self.begins);
            // Where a zone's clock is put back, a period of some hours would begin anew before it has ended.
            (self.ends, self.used) = (self.nanos(span.ends).max(self.ends), 0);
        }
        self.used = self.used.saturating_add(amount);
    }

    pub(super) fn settle(&mut self, at: Nanos, reserved: u64, used: u64) {
        if (self.begins..self.ends).contains(&at) {
            self.used = self.used.saturating_sub(reserved).saturating_add(used);
        }
    }

    /// What is taken of the period, with a moment that lies in it: now, or, where the time of day has been set back since,
    /// its beginning.
    pub(super) fn save(&self, anchor: Anchor, now: Nanos) -> Option<Taking> {
        let begins = self.wall.saturating_add_unsigned(self.begins);
        let at = anchor.wall_of(now).max(begins);
        let amount = self.used(now);
        (amount > 0).then_some(Taking {
            from: at,
            at,
            amount,
            part: 0,
        })
    }

    /// Adds what was taken of a period, if that is not over. One that has not begun by the clock that goes now may have
    /// begun for the upstream, so its count stands until the next has ended.
    pub(super) fn restore(&mut self, taking: Taking, now: Nanos, span: impl Fn(WallNanos) -> Span) {
        let today = self.wall.saturating_add_unsigned(now);
        let (current, taken) = (span(today), span(taking.at));
        let ends = match taken.begins > today {
            true => span(current.ends).ends,
            false => taken.ends,
        };
        let ends = self.nanos(ends);
        if ends <= now {
            return;
        }
        if now >= self.ends {
            (self.begins, self.ends, self.used) = (now, ends, 0);
        }
        self.ends = self.ends.max(ends);
        self.used = self.used.saturating_add(taking.amount);
    }

    pub(super) fn used(&self, now: Nanos) -> u64 {
        if now < self.ends { self.used } else { 0 }
    }

    fn nanos(&self, wall: WallNanos) -> Nanos {
        Nanos::try_from(i128::from(wall) - i128::from(self.wall)).unwrap_or(0)
    }
}
