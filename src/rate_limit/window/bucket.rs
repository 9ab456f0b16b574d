//! A bucket that refills.

use crate::rate_limit::{
    epoch::{Anchor, Nanos},
    limit::Limit,
    saved::Taking,
};

/// A bucket that refills at the limit's rate, up to its burst.
///
/// With a margin, a full bucket does not begin to refill before it has passed, so that an upstream where the first of a
/// burst comes late and the last early has refilled no less.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    level: Level,
    at: Nanos,
    /// What was taken before is not in it.
    since: Nanos,
}

/// In units times nanoseconds of the period, so that refilling needs no division and loses nothing. Below zero when a
/// settlement took more than there was. Packed, for a million of them.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(8))]
struct Level(i128);

impl Bucket {
    pub(super) fn new(limit: &Limit, burst: u64, now: Nanos) -> Self {
        Self {
            level: Level(scaled(limit, burst)),
            at: now,
            since: now,
        }
    }

    pub(super) fn resize(&mut self, from: &Limit, old: u64, new: u64) {
        let more = scaled(from, new).saturating_sub(scaled(from, old));
        self.level = Level(self.level.0.saturating_add(more));
    }

    /// Whether so much is in it without what has been refilled since it was last taken from.
    #[inline(always)]
    pub(super) fn has_room(&self, limit: &Limit, amount: u64) -> bool {
        self.level.0 >= scaled(limit, amount)
    }

    pub(super) fn earliest(&self, limit: &Limit, burst: u64, amount: u64, now: Nanos) -> Nanos {
        let wanted = scaled(limit, amount).min(scaled(limit, burst));
        let missing = wanted.saturating_sub(self.level_at(limit, burst, now));
        if missing <= 0 {
            return now;
        }
        let rate = i128::from(limit.amount);
        let wait = missing / rate + i128::from(missing % rate > 0);
        now.saturating_add(Nanos::try_from(wait).unwrap_or(Nanos::MAX))
    }

    pub(super) fn take(&mut self, limit: &Limit, burst: u64, amount: u64, now: Nanos) {
        self.move_to(limit, burst, now);
        let margin = product(limit.margin(), limit.amount);
        let level = self
            .level
            .0
            .min(scaled(limit, burst).saturating_sub(margin));
        self.level = Level(level.saturating_sub(scaled(limit, amount)));
    }

    pub(super) fn settle(
        &mut self,
        limit: &Limit,
        burst: u64,
        (at, reserved, used): (Nanos, u64, u64),
        now: Nanos,
    ) {
        if at < self.since {
            return;
        }
        self.move_to(limit, burst, now);
        let back = scaled(limit, reserved).saturating_sub(scaled(limit, used));
        let level = self.level.0.saturating_add(back);
        self.level = Level(level.min(scaled(limit, burst)));
    }

    pub(super) fn used(&self, limit: &Limit, burst: u64, now: Nanos) -> u64 {
        let period = i128::from(limit.period()).max(1);
        let taken = scaled(limit, burst).saturating_sub(self.level_at(limit, burst, now));
        let taken = taken.max(0);
        u64::try_from(taken / period + i128::from(taken % period > 0)).unwrap_or(u64::MAX)
    }

    /// What is missing of the burst.
    pub(super) fn save(
        &self,
        limit: &Limit,
        burst: u64,
        anchor: Anchor,
        now: Nanos,
    ) -> Option<Taking> {
        let missing = scaled(limit, burst).saturating_sub(self.level_at(limit, burst, now));
        let (period, at) = (i128::from(limit.period()).max(1), anchor.wall_of(now));
        (missing > 0).then(|| Taking {
            from: at,
            at,
            amount: u64::try_from(missing / period).unwrap_or(u64::MAX),
            part: (missing % period) as u64,
        })
    }

    /// Adds what was missing, less what has been refilled since, to what is missing now.
    pub(super) fn restore(
        &mut self,
        limit: &Limit,
        burst: u64,
        taking: Taking,
        anchor: Anchor,
        now: Nanos,
    ) {
        let missing = scaled(limit, taking.amount).saturating_add(taking.part.into());
        let passed = now.saturating_sub(anchor.past(taking.at));
        let refilled = i128::from(passed).saturating_mul(limit.amount.into());
        let missing = missing.saturating_sub(refilled).max(0);
        self.move_to(limit, burst, now);
        self.level = Level(self.level.0.saturating_sub(missing));
    }

    fn move_to(&mut self, limit: &Limit, burst: u64, now: Nanos) {
        self.level = Level(self.level_at(limit, burst, now));
        self.at = self.at.max(now);
    }

    fn level_at(&self, limit: &Limit, burst: u64, now: Nanos) -> i128 {
        let refill = product(now.saturating_sub(self.at), limit.amount);
        self.level
            .0
            .saturating_add(refill)
            .min(scaled(limit, burst))
    }
}

// The longest period that a limit may have is below 2^59 ns, so what saturates here is no real amount.
fn scaled(limit: &Limit, amount: u64) -> i128 {
    product(amount, limit.period())
}

// One multiplication; that of two `i128` that saturates is a dozen.
fn product(one: u64, other: u64) -> i128 {
    i128::try_from(u128::from(one) * u128::from(other)).unwrap_or(i128::MAX)
}
