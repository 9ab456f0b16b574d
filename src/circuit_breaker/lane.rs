//! A thread's own way through a closed circuit, on which it meets nobody.

use std::sync::atomic::Ordering;

use super::decision::Ticket;
use crate::sync::AtomicU64;

/// While a circuit is closed and nothing speaks against it, good calls pass here without a lock, and are only counted. Whatever
/// is to be decided shuts the lane first, and takes over the count.
///
/// The word holds the epoch and the count, so that a call counts in the epoch that admitted it or not at all: whoever opens and
/// shuts the lane holds the circuit's lock, and who passes changes the word only if it is still the one that he has seen.
#[derive(Debug)]
pub(super) struct Lane {
    word: AtomicU64,
    /// When good calls must be told to the circuit, in nanoseconds since the breaker was made.
    until: AtomicU64,
}

/// No epoch has that many calls.
const SHUT: u64 = u64::MAX;

/// After so many calls the circuit takes them over. In models that is to happen.
const MOST: u64 = if cfg!(all(test, shuttle)) { 3 } else { 65_535 };

impl Lane {
    pub(super) fn shut() -> Self {
        Self {
            word: AtomicU64::new(SHUT),
            until: AtomicU64::new(0),
        }
    }

    /// The right to make a call, where the lane is open.
    #[inline(always)]
    pub(super) fn enter(&self) -> Option<Ticket> {
        let word = self.word.load(Ordering::Acquire);
        let epoch = (word >> 32) as u32;
        (word != SHUT).then_some(Ticket { epoch, round: 0 })
    }

    /// Counts a good call that ended at this time. False where it is to be told to the circuit.
    #[inline(always)]
    pub(super) fn count(&self, ticket: Ticket, now: u64) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let is_open = word != SHUT && (word >> 32) as u32 == ticket.epoch;
            let has_room = word & u64::from(u32::MAX) < MOST;
            if !is_open || !has_room || now >= self.until.load(Ordering::Relaxed) {
                return false;
            }
            let counted = self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match counted {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
    }

    /// Nobody passes any more. Returns how many have, since it was opened.
    pub(super) fn close(&self) -> u32 {
        match self.word.swap(SHUT, Ordering::AcqRel) {
            SHUT => 0,
            word => word as u32,
        }
    }

    /// Lets calls of this epoch pass. The lane is shut.
    pub(super) fn open(&self, epoch: u32, until: u64) {
        self.until.store(until, Ordering::Relaxed);
        self.word.store(u64::from(epoch) << 32, Ordering::Release);
    }
}

#[cfg(all(test, not(shuttle)))]
#[path = "lane/tests.rs"]
mod tests;
