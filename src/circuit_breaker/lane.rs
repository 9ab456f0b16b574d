//! A thread's own way through a closed circuit, or to the sign on an open one, on which it meets nobody.

use std::sync::atomic::Ordering;

use super::decision::{REASONS, Ticket};
use crate::sync::AtomicU64;

/// While a circuit is closed and nothing speaks against it, good calls pass here without a lock, and are only counted; while it
/// is open until a known time, calls are refused here, and counted as well. Whatever is to be decided shuts the lane first, and
/// takes over the count.
///
/// The word holds the epoch, what the lane is for, and the count, so that a call counts in the epoch that admitted it or not at
/// all: whoever opens and shuts the lane holds the circuit's lock, and who passes changes the word only if it is still the one
/// that he has seen.
#[derive(Debug)]
pub(super) struct Lane {
    word: AtomicU64,
    /// When calls must ask the circuit again, in nanoseconds since the breaker was made, or [`EVER`].
    until: AtomicU64,
}

/// What has passed by a lane since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) good: u32,
    pub(super) refused: u32,
}

/// A refusal by a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turned {
    pub(super) reason: &'static str,
    /// For how many nanoseconds still, or [`EVER`].
    pub(super) wait: u64,
}

/// Neither a lane that lets pass nor one that refuses, for there are not so many reasons.
const SHUT: u64 = u64::MAX;

/// The bits of the count, and above them those of what the lane is for: zero where calls pass, else the number of the reason for
/// which they are refused, from one. The epoch stands above both.
const COUNT: u64 = 0xFFFF;
const PURPOSE: u64 = 0xFFFF_0000;

/// The time does not matter.
pub(super) const EVER: u64 = u64::MAX;

/// After so many calls the circuit takes them over. In models that is to happen.
const MOST: u64 = if cfg!(all(test, shuttle)) { 3 } else { COUNT };

impl Lane {
    pub(super) fn shut() -> Self {
        Self {
            word: AtomicU64::new(SHUT),
            until: AtomicU64::new(0),
        }
    }

    /// The right to make a call, where calls pass.
    #[inline(always)]
    pub(super) fn enter(&self) -> Option<Ticket> {
        let word = self.word.load(Ordering::Acquire);
        let epoch = (word >> 32) as u32;
        (word & PURPOSE == 0).then_some(Ticket { epoch, round: 0 })
    }

    /// Counts a good call that ends now; the clock is not asked where the time does not matter. False where it is to be told to
    /// the circuit.
    #[inline(always)]
    pub(super) fn count(&self, ticket: Ticket, now: impl FnOnce() -> u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        let is_open = word & !COUNT == u64::from(ticket.epoch) << 32;
        is_open && self.add(word, now).is_some()
    }

    /// Whether calls are refused.
    #[inline(always)]
    pub(super) fn is_barred(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word != SHUT && word & PURPOSE != 0
    }

    /// Refuses a call now, where calls are refused.
    #[inline]
    pub(super) fn refuse(&self, now: impl FnOnce() -> u64) -> Option<Turned> {
        let word = self.word.load(Ordering::Acquire);
        let number = ((word & PURPOSE) >> 16) as usize;
        let reason = REASONS.get(number.checked_sub(1)?)?;
        let wait = self.add(word, now)?;
        Some(Turned { reason, wait })
    }

    /// Adds one to the count of a word that was seen, if the lane is still for the same. Returns for how long it is, if it still
    /// is.
    #[inline(always)]
    fn add(&self, mut word: u64, now: impl FnOnce() -> u64) -> Option<u64> {
        // Who opens the lane again for the same makes this time no shorter.
        let until = self.until.load(Ordering::Relaxed);
        let left = match until {
            EVER => EVER,
            until => until.checked_sub(now())?,
        };
        let purpose = word & !COUNT;
        loop {
            if left == 0 || word & COUNT >= MOST || word & !COUNT != purpose {
                return None;
            }
            let counted = self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match counted {
                Ok(_) => return Some(left),
                Err(other) => word = other,
            }
        }
    }

    /// Nobody passes any more, nor is refused here.
    pub(super) fn close(&self) -> Passed {
        let word = self.word.swap(SHUT, Ordering::AcqRel);
        let count = (word & COUNT) as u32;
        let (good, refused) = match word {
            SHUT => (0, 0),
            word if word & PURPOSE == 0 => (count, 0),
            _ => (0, count),
        };
        Passed { good, refused }
    }

    /// Lets calls of this epoch pass. The lane is shut.
    pub(super) fn open(&self, epoch: u32, until: u64) {
        self.set(epoch, 0, until);
    }

    /// Refuses calls for this reason, which the circuit has in this epoch. The lane is shut.
    pub(super) fn bar(&self, epoch: u32, reason: &str, until: u64) {
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.set(epoch, at as u64 + 1, until);
        }
    }

    fn set(&self, epoch: u32, purpose: u64, until: u64) {
        self.until.store(until, Ordering::Relaxed);
        let word = u64::from(epoch) << 32 | purpose << 16;
        self.word.store(word, Ordering::Release);
    }
}

impl Passed {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_add(other.good),
            refused: self.refused.saturating_add(other.refused),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
#[path = "lane/tests.rs"]
mod tests;
