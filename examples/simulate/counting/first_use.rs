//! A window that opens with the first request after the last one has closed.

use std::time::Duration;

use super::{Count, Ticket};
use crate::steps::Steps;

/// All that is taken from the first use on, for one period, counts together.
#[derive(Debug)]
pub(super) struct FirstUse {
    amount: u64,
    period: Duration,
    now: Duration,
    began: Option<Duration>,
    /// How many windows have closed.
    closed: u64,
    used: u64,
    steps: Steps,
}

impl FirstUse {
    pub(super) fn new(amount: u64, period: Duration) -> Self {
        Self {
            amount,
            period,
            now: Duration::ZERO,
            began: None,
            closed: 0,
            used: 0,
            steps: Steps::default(),
        }
    }
}

impl Count for FirstUse {
    fn move_to(&mut self, now: Duration) {
        self.now = now;
        let ended = self.began.map(|began| (began, began + self.period));
        if let Some((began, end)) = ended.filter(|(_, end)| *end <= now) {
            self.steps.push(began, self.used, self.amount);
            self.steps.push(end, 0, self.amount);
            (self.began, self.used) = (None, 0);
            self.closed += 1;
        }
    }

    fn has_room(&self, amount: u64) -> bool {
        self.used + amount <= self.amount
    }

    fn used(&self) -> u64 {
        self.used
    }

    fn take(&mut self, amount: u64) -> Ticket {
        self.began.get_or_insert(self.now);
        self.used += amount;
        Ticket(self.closed)
    }

    fn correct(&mut self, Ticket(window): Ticket, counted: u64, really: u64) {
        if window == self.closed {
            self.used = self.used - counted + really;
        }
    }

    fn fits_at(&self, amount: u64) -> Duration {
        match self.has_room(amount) {
            true => self.now,
            false => self.renewed_at(),
        }
    }

    fn renewed_at(&self) -> Duration {
        self.began.map_or(self.now, |began| began + self.period)
    }

    fn finish(&mut self) -> Steps {
        if let Some(began) = self.began {
            self.steps.push(began, self.used, self.amount);
        }
        std::mem::take(&mut self.steps)
    }
}
