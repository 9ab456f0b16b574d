//! How often each entry is held, where a hold can end without the lock of its shard.

use std::sync::{OnceLock, atomic::Ordering};

use super::spot::{SHARDS, Spot};
use crate::sync::AtomicU32;

/// For each spot, how many of the holds that were ever [begun](Begun) have ended, modulo 2^31.
///
/// Only the ends are written without the lock, so only they are kept here: who begins a hold need not touch what others end.
/// What stands here never moves, for who ends a hold must find it while the entries beside it come and go: it grows by blocks,
/// each twice the last.
#[derive(Debug)]
pub(super) struct Holds {
    blocks: [OnceLock<Box<[Line]>>; BLOCKS],
}

/// The ends of entries that follow one another in a shard. Shards share no cache line, nor the pair of them that processors
/// fetch at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([Ends; LINE]);

/// How many holds of one entry were ever begun, doubled as [`Ends`] are. It stands with the entry, under the lock.
#[derive(Debug)]
pub(crate) struct Begun(u32);

/// How many holds of one entry have ended: twice the count, and the lowest bit says that somebody [watches](Self::watch).
#[derive(Debug, Default)]
pub(crate) struct Ends(AtomicU32);

const LINE: usize = 32;

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
    pub(super) fn reach(&self, spot: Spot) -> &Ends {
        let (block, line, at) = place(spot);
        let block = self.blocks[block].get_or_init(|| {
            let lines = SHARDS << block;
            (0..lines).map(|_| Line::default()).collect()
        });
        &block[line].0[at]
    }

    #[inline]
    pub(super) fn of(&self, spot: Spot) -> &Ends {
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

impl Begun {
    /// For an entry that nobody holds yet, at a spot where these have ended.
    pub(super) fn none(ends: &Ends) -> Self {
        Self(ends.0.load(Ordering::Acquire) & !WATCHED)
    }

    /// One hold more.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.0 = self.0.wrapping_add(ONE);
    }

    /// How many holds have not ended. Some may end meanwhile, unless somebody watches.
    #[inline]
    pub(crate) fn less(&self, ends: &Ends) -> u32 {
        let ended = ends.0.load(Ordering::Acquire) & !WATCHED;
        self.0.wrapping_sub(ended) / ONE
    }
}

impl Ends {
    /// Ends a hold, unless somebody watches; returns whether it did.
    #[inline]
    pub(super) fn try_end(&self) -> bool {
        let is_alone = |ended: u32| (ended & WATCHED == 0).then(|| ended.wrapping_add(ONE));
        self.0
            .fetch_update(Ordering::Release, Ordering::Relaxed, is_alone)
            .is_ok()
    }

    /// Ends a hold, whoever watches; under the lock, so that he can be told.
    pub(crate) fn end(&self) {
        self.0.fetch_add(ONE, Ordering::Release);
    }

    /// From now on no hold ends but under the lock.
    pub(crate) fn watch(&self) {
        self.0.fetch_or(WATCHED, Ordering::Acquire);
    }

    pub(crate) fn unwatch(&self) {
        self.0.fetch_and(!WATCHED, Ordering::Relaxed);
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
        let ends = Ends(AtomicU32::new(u32::MAX - 1));
        let mut begun = Begun::none(&ends);
        begun.begin();
        assert_eq!(begun.less(&ends), 1);
        ends.watch();
        assert!(!ends.try_end());
        assert_eq!(begun.less(&ends), 1);
        ends.end();
        ends.unwatch();
        assert_eq!(begun.less(&ends), 0);
        begun.begin();
        assert!(ends.try_end());
        assert_eq!(begun.less(&ends), 0);
    }
}
