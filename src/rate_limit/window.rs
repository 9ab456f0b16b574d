//! How much of one limit is taken, and when more of it is free. Fixed memory, whole numbers only.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use super::config::{Counting, Limit};

/// Nanoseconds since the state that the window belongs to was made: some 584 years of them.
pub(super) type Nanos = u64;

/// The count of one limit.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Sliding(Sliding),
    Bucket(Bucket),
    Calendar(Calendar),
}

impl Window {
    /// An empty window; `wall` is the time of day at the origin of the state.
    pub(super) fn new(limit: &Limit, wall: SystemTime) -> Self {
        let period = Nanos::try_from(limit.per.as_nanos()).unwrap_or(Nanos::MAX);
        match limit.counting {
            Counting::Sliding => Self::Sliding(Sliding::new(limit.amount, period)),
            Counting::Bucket { burst } => Self::Bucket(Bucket::new(limit.amount, period, burst)),
            Counting::Calendar { utc_offset_minutes } => {
                let passed = since_period_began(period, utc_offset_minutes, wall);
                Self::Calendar(Calendar::new(limit.amount, period, passed))
            }
        }
    }

    /// The first moment, not before `now`, at which so much fits if nothing else is taken. More than the limit's capacity
    /// never fits; it is given the moment at which everything is free.
    pub(super) fn earliest(&mut self, amount: u64, now: Nanos) -> Nanos {
        match self {
            Self::Sliding(window) => window.earliest(amount, now),
            Self::Bucket(bucket) => bucket.earliest(amount, now),
            Self::Calendar(calendar) => calendar.earliest(amount, now),
        }
    }

    /// Takes so much, whether it fits or not.
    pub(super) fn take(&mut self, amount: u64, now: Nanos) {
        match self {
            Self::Sliding(window) => window.take(amount, now),
            Self::Bucket(bucket) => bucket.take(amount, now),
            Self::Calendar(calendar) => calendar.take(amount, now),
        }
    }

    /// Corrects what was taken at the moment `at` from `reserved` to `used`.
    pub(super) fn settle(&mut self, at: Nanos, reserved: u64, used: u64, now: Nanos) {
        match self {
            Self::Sliding(window) => window.settle(at, reserved, used, now),
            Self::Bucket(bucket) => bucket.settle(reserved, used, now),
            Self::Calendar(calendar) => calendar.settle(at, reserved, used, now),
        }
    }

    /// Goes over to a limit that counts in the same way over the same period: what is taken stays taken.
    pub(super) fn resize(&mut self, limit: &Limit) {
        match (self, limit.counting) {
            (Self::Bucket(bucket), Counting::Bucket { burst }) => {
                bucket.resize(limit.amount, burst);
            }
            (Self::Sliding(window), _) => window.amount = limit.amount,
            (Self::Calendar(calendar), _) => calendar.amount = limit.amount,
            (Self::Bucket(_), _) => {}
        }
    }

    /// How much is taken, which after a settlement can be more than the limit.
    pub(super) fn used(&mut self, now: Nanos) -> u64 {
        match self {
            Self::Sliding(window) => window.used(now),
            Self::Bucket(bucket) => bucket.used(now),
            Self::Calendar(calendar) => calendar.used(now),
        }
    }
}

/// A window that slides: no period of its length, wherever it begins, holds more than the amount.
///
/// What was taken stands in slots. While there are few, each taking has a slot of its own and leaves the window exactly
/// one period later. Beyond [`EXACT`] slots, takings within 1/128 of the period share one and leave with its last, so
/// the window is late by less than 0.8 % of its period, never early, and holds at most `EXACT` + 129 slots.
#[derive(Clone, Debug)]
pub(super) struct Sliding {
    amount: u64,
    period: Nanos,
    slots: VecDeque<Slot>,
    used: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: Nanos,
    last: Nanos,
    amount: u64,
}

const EXACT: usize = 128;

impl Sliding {
    fn new(amount: u64, period: Nanos) -> Self {
        Self {
            amount,
            period,
            slots: VecDeque::new(),
            used: 0,
        }
    }

    fn earliest(&mut self, amount: u64, now: Nanos) -> Nanos {
        self.move_to(now);
        let most = self.amount.saturating_sub(amount);
        if amount == 0 || self.used <= most {
            return now;
        }
        let mut left = self.used;
        let leaves = self.slots.iter().find(|slot| {
            left = left.saturating_sub(slot.amount);
            left <= most
        });
        leaves.map_or(now, |slot| slot.last.saturating_add(self.period))
    }

    fn take(&mut self, amount: u64, now: Nanos) {
        self.move_to(now);
        if amount == 0 {
            return;
        }
        self.used = self.used.saturating_add(amount);
        let (many, grain) = (self.slots.len() >= EXACT, self.period / 128);
        match self.slots.back_mut() {
            Some(slot) if slot.last == now || (many && now - slot.first < grain) => {
                slot.last = now;
                slot.amount = slot.amount.saturating_add(amount);
            }
            _ => self.slots.push_back(Slot {
                first: now,
                last: now,
                amount,
            }),
        }
    }

    /// Books to the slot in which it was taken. What has left the window stays gone: the next one owes nothing for it.
    fn settle(&mut self, at: Nanos, reserved: u64, used: u64, now: Nanos) {
        self.move_to(now);
        let index = self.slots.partition_point(|slot| slot.last < at);
        if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.first <= at) {
            slot.amount = slot.amount.saturating_sub(reserved).saturating_add(used);
            self.used = self.used.saturating_sub(reserved).saturating_add(used);
        } else if used > 0 && reserved == 0 && at.saturating_add(self.period) > now {
            // Nothing was reserved, so there is no slot; the window it belongs to is still open.
            self.take(used, now);
        }
    }

    fn used(&mut self, now: Nanos) -> u64 {
        self.move_to(now);
        self.used
    }

    fn move_to(&mut self, now: Nanos) {
        while let Some(slot) = self.slots.front() {
            if slot.last.saturating_add(self.period) > now {
                break;
            }
            self.used = self.used.saturating_sub(slot.amount);
            self.slots.pop_front();
        }
    }
}

/// A bucket that refills at the limit's rate, up to its burst.
///
/// Levels are in tokens times nanoseconds of the period, so that refilling needs no division and loses nothing.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    amount: u64,
    period: Nanos,
    burst: i128,
    /// Below zero when a settlement took more than there was.
    level: i128,
    at: Nanos,
}

impl Bucket {
    fn new(amount: u64, period: Nanos, burst: u64) -> Self {
        let burst = i128::from(burst).saturating_mul(i128::from(period));
        Self {
            amount,
            period,
            burst,
            level: burst,
            at: 0,
        }
    }

    fn resize(&mut self, amount: u64, burst: u64) {
        let burst = self.scaled(burst);
        let taken = self.burst.saturating_sub(self.level);
        (self.amount, self.burst, self.level) = (amount, burst, burst.saturating_sub(taken));
    }

    fn earliest(&mut self, amount: u64, now: Nanos) -> Nanos {
        self.move_to(now);
        let missing = self
            .scaled(amount)
            .min(self.burst)
            .saturating_sub(self.level)
            .max(0);
        if amount == 0 || missing == 0 {
            return now;
        }
        let rate = i128::from(self.amount);
        let wait = missing / rate + i128::from(missing % rate > 0);
        now.saturating_add(Nanos::try_from(wait).unwrap_or(Nanos::MAX))
    }

    fn take(&mut self, amount: u64, now: Nanos) {
        self.move_to(now);
        self.level = self.level.saturating_sub(self.scaled(amount));
    }

    fn settle(&mut self, reserved: u64, used: u64, now: Nanos) {
        self.move_to(now);
        let back = self.scaled(reserved).saturating_sub(self.scaled(used));
        self.level = self.level.saturating_add(back).min(self.burst);
    }

    fn used(&mut self, now: Nanos) -> u64 {
        self.move_to(now);
        let period = i128::from(self.period);
        let taken = self.burst.saturating_sub(self.level).max(0);
        u64::try_from(taken / period + i128::from(taken % period > 0)).unwrap_or(u64::MAX)
    }

    fn move_to(&mut self, now: Nanos) {
        let passed = i128::from(now.saturating_sub(self.at));
        let refill = passed.saturating_mul(i128::from(self.amount));
        self.level = self.level.saturating_add(refill).min(self.burst);
        self.at = self.at.max(now);
    }

    // The longest period that a limit may have is below 2^59 ns, so what saturates here is no real amount.
    fn scaled(&self, amount: u64) -> i128 {
        i128::from(amount).saturating_mul(i128::from(self.period))
    }
}

/// A count that begins anew with each calendar period.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    amount: u64,
    period: Nanos,
    /// How much of a period had passed at the origin.
    phase: Nanos,
    /// The number of the period that is counted.
    number: Nanos,
    used: u64,
}

impl Calendar {
    fn new(amount: u64, period: Nanos, phase: Nanos) -> Self {
        Self {
            amount,
            period,
            phase,
            number: 0,
            used: 0,
        }
    }

    fn earliest(&mut self, amount: u64, now: Nanos) -> Nanos {
        self.move_to(now);
        if amount == 0 || self.used.saturating_add(amount) <= self.amount {
            return now;
        }
        let next = (self.number + 1).saturating_mul(self.period);
        next.saturating_sub(self.phase)
    }

    fn take(&mut self, amount: u64, now: Nanos) {
        self.move_to(now);
        self.used = self.used.saturating_add(amount);
    }

    fn settle(&mut self, at: Nanos, reserved: u64, used: u64, now: Nanos) {
        self.move_to(now);
        if self.number_at(at) == self.number {
            self.used = self.used.saturating_sub(reserved).saturating_add(used);
        }
    }

    fn used(&mut self, now: Nanos) -> u64 {
        self.move_to(now);
        self.used
    }

    fn move_to(&mut self, now: Nanos) {
        let number = self.number_at(now);
        if number > self.number {
            (self.number, self.used) = (number, 0);
        }
    }

    fn number_at(&self, now: Nanos) -> Nanos {
        now.saturating_add(self.phase) / self.period
    }
}

/// How much of the calendar period that `wall` lies in has passed by then.
fn since_period_began(period: Nanos, utc_offset_minutes: i32, wall: SystemTime) -> Nanos {
    let since_epoch = match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(0),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(0),
    };
    let local = since_epoch + i128::from(utc_offset_minutes) * 60_000_000_000;
    Nanos::try_from(local.rem_euclid(i128::from(period))).unwrap_or(0)
}

#[cfg(test)]
#[path = "window/tests.rs"]
mod tests;
