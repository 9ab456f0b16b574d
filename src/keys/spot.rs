//! Where the state of a key stands.

/// Where the state of a key stands. In one number, for it is carried along with every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u32);

/// So many that threads seldom meet in one, so few that an empty limiter is small. In models they are to meet.
pub(super) const SHARDS: usize = if cfg!(all(test, shuttle)) { 2 } else { 32 };

impl Spot {
    pub(super) fn new(shard: usize, entry: u32) -> Self {
        Self(entry * SHARDS as u32 + shard as u32)
    }

    pub(super) fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }

    pub(super) fn entry(self) -> u32 {
        self.0 / SHARDS as u32
    }
}
