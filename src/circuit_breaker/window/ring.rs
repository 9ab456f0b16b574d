//! The last calls, two bits each.

use crate::circuit_breaker::tally::Tally;

#[derive(Clone, Debug)]
pub(crate) struct Ring {
    failed: Box<[u64]>,
    slow: Box<[u64]>,
    capacity: u32,
    next: u32,
    tally: Tally,
}

impl Ring {
    pub(super) fn new(capacity: u32) -> Self {
        let bits = vec![0; capacity.div_ceil(64) as usize];
        Self {
            failed: bits.clone().into(),
            slow: bits.into(),
            capacity,
            next: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn record(&mut self, has_failed: bool, is_slow: bool) {
        let (word, bit) = ((self.next / 64) as usize, 1 << (self.next % 64));
        // The bits of places that no call has taken are not set, so that nothing is taken off for them.
        self.tally.calls = (self.tally.calls + 1).min(self.capacity);
        let Tally { failures, slow, .. } = &mut self.tally;
        set(&mut self.failed[word], bit, has_failed, failures);
        set(&mut self.slow[word], bit, is_slow, slow);
        self.next = (self.next + 1) % self.capacity;
    }

    pub(super) fn add_good(&mut self, calls: u32) {
        if calls >= self.capacity {
            self.clear();
        }
        let is_clean = self.tally.failures == 0 && self.tally.slow == 0;
        if is_clean {
            // Where no bit is set, it is all one which place is the next.
            self.tally.calls = self.tally.calls.saturating_add(calls).min(self.capacity);
            return;
        }
        (0..calls).for_each(|_| self.record(false, false));
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn clear(&mut self) {
        self.failed.fill(0);
        self.slow.fill(0);
        (self.next, self.tally) = (0, Tally::default());
    }
}

/// Sets a bit, and counts the change.
fn set(word: &mut u64, bit: u64, value: bool, count: &mut u32) {
    *count -= u32::from(*word & bit != 0);
    *count += u32::from(value);
    *word = if value { *word | bit } else { *word & !bit };
}
