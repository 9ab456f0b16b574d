//! A count that is set to nothing at midnight, or at each full hour or minute.

use std::time::Duration;

use super::{Count, Ticket};
use crate::steps::Steps;

/// All that is taken in one period of the calendar counts together.
#[derive(Debug)]
pub(super) struct Calendar {
    amount: u64,
    period: Duration,
    now: Duration,
    began: Duration,
    ends: Duration,
    /// How many periods have ended.
    ended: u64,
    used: u64,
    steps: Steps,
}

impl Calendar {
    /// `phase` is how much of the day had passed in UTC when the simulation began.
    pub(super) fn new(
        amount: u64,
        period: Duration,
        phase: Duration,
        utc_offset_minutes: i32,
    ) -> Self {
        // Three days on, no offset takes the time of day below zero, and a day is a whole number of periods.
        let local = phase.as_nanos() as i128
            + 3 * NANOS_A_DAY
            + i128::from(utc_offset_minutes) * 60_000_000_000;
        let passed = local % period.as_nanos() as i128;
        Self {
            amount,
            period,
            now: Duration::ZERO,
            began: Duration::ZERO,
            ends: period - Duration::from_nanos(passed as u64),
            ended: 0,
            used: 0,
            steps: Steps::default(),
        }
    }
}

impl Count for Calendar {
    fn move_to(&mut self, now: Duration) {
        self.now = now;
        while self.ends <= now {
            self.steps.push(self.began, self.used, self.amount);
            (self.began, self.ends) = (self.ends, self.ends + self.period);
            self.used = 0;
            self.ended += 1;
        }
    }

    fn has_room(&self, amount: u64) -> bool {
        self.used + amount <= self.amount
    }

    fn used(&self) -> u64 {
        self.used
    }

    fn take(&mut self, amount: u64) -> Ticket {
        self.used += amount;
        Ticket(self.ended)
    }

    fn correct(&mut self, Ticket(period): Ticket, counted: u64, really: u64) {
        if period == self.ended {
            self.used = self.used - counted + really;
        }
    }

    fn fits_at(&self, amount: u64) -> Duration {
        match self.has_room(amount) {
            true => self.now,
            false => self.ends,
        }
    }

    fn renewed_at(&self) -> Duration {
        self.ends
    }

    fn finish(&mut self) -> Steps {
        self.steps.push(self.began, self.used, self.amount);
        std::mem::take(&mut self.steps)
    }
}

const NANOS_A_DAY: i128 = 86_400_000_000_000;
