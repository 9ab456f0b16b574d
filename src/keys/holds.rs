//! How often each entry is held, where a hold can end without the lock of its shard.

use std::sync::{OnceLock, atomic::Ordering};

use super::spot::{SHARDS, Spot};
use crate::sync::AtomicU32;

/// For each spot, how often it was ever held, and how many of those holds have ended, both modulo 2^31.
///
/// Only the ends are written without the lock. What stands here never moves, for who ends a hold must find it while the entries
/// beside it come and go: it grows by blocks, each twice the last.
#[derive(Debug)]
pub(super) struct Holds {
    blocks: [OnceLock<Box<[Line]>>; BLOCKS],
}

/// The holds of entries that follow one another in a shard. Shards share no cache line, nor the pair of them that processors
/// fetch at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([Hold; LINE]);

/// How often one entry is held.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Twice the count. Written under the lock.
    begun: AtomicU32,
    /// Twice the count, and the lowest bit says that somebody [watches](Self::watch).
    ended: AtomicU32,
}

const LINE: usize = 16;

/// All together hold some four billion.
const BLOCKS: usize = 24;

const ONE: u32 = 2;
const WATCHED: u32 = 1;

impl Holds {
    pub(super) fn new() -> Self {
        Self {
            blocks: [const { OnceLock::new() }; BLOCKS],
        }
    }

    /// Makes room for a spot.
    pub(super) fn reach(&self, spot: Spot) {
        let (block, _, _) = place(spot);
        self.blocks[block].get_or_init(|| {
            let lines = SHARDS << block;
            (0..lines).map(|_| Line::default()).collect()
        });
    }

    #[inline]
    pub(super) fn of(&self, spot: Spot) -> &Hold {
        let (block, line, at) = place(spot);
        let block = self.blocks[block].get().expect("a spot that was reached");
        &block[line].0[at]
    }
}

/// The block, the line in it, and the place in the line.
#[inline]
fn place(spot: Spot) -> (usize, usize, usize) {
    let entry = spot.entry() as usize;
    let row = entry / LINE + 1;
    let block = row.ilog2() as usize;
    let line = (row - (1 << block)) * SHARDS + spot.shard();
    (block, line, entry % LINE)
}

impl Hold {
    /// One hold more; under the lock.
    #[inline]
    pub(crate) fn begin(&self) {
        let begun = self.begun.load(Ordering::Relaxed);
        self.begun.store(begun.wrapping_add(ONE), Ordering::Relaxed);
    }

    /// Ends a hold, unless somebody watches; returns whether it did.
    #[inline]
    pub(super) fn try_end(&self) -> bool {
        let is_alone = |ended: u32| (ended & WATCHED == 0).then(|| ended.wrapping_add(ONE));
        self.ended
            .fetch_update(Ordering::Release, Ordering::Relaxed, is_alone)
            .is_ok()
    }

    /// Ends a hold, whoever watches; under the lock, so that he can be told.
    pub(crate) fn end(&self) {
        self.ended.fetch_add(ONE, Ordering::Release);
    }

    /// From now on no hold ends but under the lock.
    pub(crate) fn watch(&self) {
        self.ended.fetch_or(WATCHED, Ordering::Acquire);
    }

    pub(crate) fn unwatch(&self) {
        self.ended.fetch_and(!WATCHED, Ordering::Relaxed);
    }

    /// How many holds have not ended; under the lock. Some may end meanwhile, unless somebody watches.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        let (begun, ended) = (&self.begun, &self.ended);
        let ended = ended.load(Ordering::Acquire) & !WATCHED;
        begun.load(Ordering::Relaxed).wrapping_sub(ended) / ONE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_spot_has_a_place_of_its_own_and_the_blocks_have_no_gaps() {
        let entries = LINE as u32 * 20;
        let mut places = HashSet::new();
        for shard in 0..SHARDS {
            for entry in 0..entries {
                let (block, line, at) = place(Spot::new(shard, entry));
                assert!(line < SHARDS << block && at < LINE);
                assert!(places.insert((block, line, at)));
            }
        }
        assert_eq!(places.len(), SHARDS * entries as usize);
    }

    #[test]
    fn a_count_goes_over_the_end_of_its_range() {
        let hold = Hold::default();
        hold.begun.store(u32::MAX - 1, Ordering::Relaxed);
        hold.ended.store(u32::MAX - 1, Ordering::Relaxed);
        hold.begin();
        assert_eq!(hold.count(), 1);
        hold.watch();
        assert!(!hold.try_end());
        assert_eq!(hold.count(), 1);
        hold.end();
        hold.unwatch();
        assert_eq!(hold.count(), 0);
        hold.begin();
        assert!(hold.try_end());
        assert_eq!(hold.count(), 0);
    }
}
