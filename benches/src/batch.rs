//! How many runs make a batch.

use std::time::Duration;

/// How many runs take so long. A turn that another process had in between makes it too few, so the most of three is believed.
pub fn batch_size(long_enough: Duration, mut batch: impl FnMut(u32) -> Duration) -> u32 {
    let mut size = || {
        let mut runs = 1;
        while batch(runs) < long_enough && runs < u32::MAX / 2 {
            runs *= 2;
        }
        runs
    };
    size().max(size()).max(size())
}
