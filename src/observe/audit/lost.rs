//! How many lines were lost, and how many of them the file does not tell of yet.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many lines were lost.
#[derive(Debug, Default)]
pub(super) struct Lost {
    all: AtomicU64,
    /// Those that the file does not tell of yet.
    untold: AtomicU64,
}

impl Lost {
    pub(super) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, lines: u64) {
        self.all.fetch_add(lines, Ordering::Relaxed);
        self.untold.fetch_add(lines, Ordering::Relaxed);
    }

    /// Those that are to be told of now.
    pub(super) fn take_untold(&self) -> u64 {
        self.untold.swap(0, Ordering::Relaxed)
    }

    /// They could not be told of after all.
    pub(super) fn give_back(&self, lines: u64) {
        self.untold.fetch_add(lines, Ordering::Relaxed);
    }
}
