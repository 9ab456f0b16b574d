//! A log of what was taken in the last period.

use std::{collections::VecDeque, time::Duration};

use super::{Count, Ticket};
use crate::steps::Steps;

/// Each taking counts for exactly one period.
#[derive(Debug)]
pub(super) struct Sliding {
    amount: u64,
    period: Duration,
    now: Duration,
    used: u64,
    log: VecDeque<(Duration, u64)>,
    /// How many takings have left the log.
    left: u64,
    steps: Steps,
}

impl Sliding {
    pub(super) fn new(amount: u64, period: Duration) -> Self {
        Self {
            amount,
            period,
            now: Duration::ZERO,
            used: 0,
            log: VecDeque::new(),
            left: 0,
            steps: Steps::default(),
        }
    }
}

impl Count for Sliding {
    fn move_to(&mut self, now: Duration) {
        self.now = now;
        while let Some((at, amount)) = self.log.front().copied() {
            let leaves = at + self.period;
            if leaves > now {
                break;
            }
            self.log.pop_front();
            self.left += 1;
            self.used -= amount;
            self.steps.push(leaves, self.used, self.amount);
        }
    }

    fn has_room(&self, amount: u64) -> bool {
        self.used + amount <= self.amount
    }

    fn used(&self) -> u64 {
        self.used
    }

    fn take(&mut self, amount: u64) -> Ticket {
        let ticket = Ticket(self.left + self.log.len() as u64);
        self.log.push_back((self.now, amount));
        self.used += amount;
        self.steps.push(self.now, self.used, self.amount);
        ticket
    }

    fn correct(&mut self, Ticket(number): Ticket, counted: u64, really: u64) {
        let index = number.checked_sub(self.left).map(|index| index as usize);
        if let Some((_, amount)) = index.and_then(|index| self.log.get_mut(index)) {
            *amount = *amount - counted + really;
            self.used = self.used - counted + really;
            self.steps.push(self.now, self.used, self.amount);
        }
    }

    fn fits_at(&self, amount: u64) -> Duration {
        let mut used = self.used;
        for (at, leaving) in &self.log {
            if used + amount <= self.amount {
                break;
            }
            used -= leaving;
            if used + amount <= self.amount {
                return *at + self.period;
            }
        }
        self.now
    }

    fn renewed_at(&self) -> Duration {
        let last = self.log.back();
        last.map_or(self.now, |(at, _)| *at + self.period)
    }

    fn finish(&mut self) -> Steps {
        std::mem::take(&mut self.steps)
    }
}
