//! A bucket that refills steadily, kept as the time at which it will be full.

use std::time::Duration;

use super::{Count, Ticket};
use crate::steps::Steps;

/// Refills by `amount` in each period, up to `burst`.
///
/// The generic cell rate algorithm (ITU-T I.371, annex A): the theoretical time of arrival is when the bucket will be
/// full. It is kept in nanoseconds times `amount`, in which one unit is `period`, so that nothing is ever rounded.
#[derive(Debug)]
pub(super) struct Bucket {
    amount: i128,
    period: i128,
    burst: i128,
    now: i128,
    full_at: i128,
    steps: Steps,
}

impl Bucket {
    pub(super) fn new(amount: u64, period: Duration, burst: u64) -> Self {
        Self {
            amount: amount.into(),
            period: nanos(period),
            burst: burst.into(),
            now: 0,
            full_at: 0,
            steps: Steps::default(),
        }
    }

    /// What is missing, in units times `period`.
    fn missing(&self) -> i128 {
        (self.full_at - self.now).max(0)
    }

    /// The first nanosecond at which no more than this is missing.
    fn refilled_to(&self, missing: i128) -> Duration {
        let at = ceil(self.full_at - missing, self.amount).max(0);
        Duration::from_nanos(at as u64)
    }

    /// Notes for how long the bucket has been full, which is what it lost.
    fn note_loss(&mut self) {
        if self.full_at < self.now || self.steps.is_empty() {
            self.steps.push(self.refilled_to(0), 0, 1);
        }
    }

    fn time(&self) -> Duration {
        Duration::from_nanos((self.now / self.amount) as u64)
    }
}

impl Count for Bucket {
    fn move_to(&mut self, now: Duration) {
        self.now = nanos(now) * self.amount;
    }

    fn has_room(&self, amount: u64) -> bool {
        self.missing() + i128::from(amount) * self.period <= self.burst * self.period
    }

    fn used(&self) -> u64 {
        ceil(self.missing(), self.period) as u64
    }

    fn take(&mut self, amount: u64) -> Ticket {
        self.note_loss();
        self.full_at = self.full_at.max(self.now) + i128::from(amount) * self.period;
        self.steps.push(self.time(), 1, 1);
        Ticket(0)
    }

    fn correct(&mut self, _: Ticket, counted: u64, really: u64) {
        self.note_loss();
        let more = (i128::from(really) - i128::from(counted)) * self.period;
        self.full_at = (self.full_at.max(self.now) + more).max(self.now);
        self.steps.push(self.time(), 1, 1);
    }

    fn fits_at(&self, amount: u64) -> Duration {
        self.refilled_to((self.burst - i128::from(amount)) * self.period)
    }

    fn renewed_at(&self) -> Duration {
        self.refilled_to(0)
    }

    /// A bucket is used while it refills: what it would get while it is full is lost.
    fn finish(&mut self) -> Steps {
        self.note_loss();
        std::mem::take(&mut self.steps)
    }
}

fn nanos(duration: Duration) -> i128 {
    duration.as_nanos() as i128
}

fn ceil(dividend: i128, divisor: i128) -> i128 {
    dividend.div_euclid(divisor) + i128::from(dividend.rem_euclid(divisor) > 0)
}
