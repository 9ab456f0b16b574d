//! What a layer and its services share, and how it is replaced while they run.

use std::sync::{
    Arc, PoisonError,
    atomic::Ordering::{Acquire, Release},
};

use super::shared::Shared;
use crate::sync::{AtomicUsize, Mutex};

/// What the calls of a layer share at present.
#[derive(Debug)]
pub(super) struct Current {
    /// Grows with each replacement, so that who holds what was there before sees it without a lock.
    version: AtomicUsize,
    shared: Mutex<Arc<Shared>>,
}

/// What one service holds of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    current: Arc<Current>,
    version: usize,
    shared: Arc<Shared>,
}

impl Current {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            version: AtomicUsize::new(0),
            shared: Mutex::new(Arc::new(shared)),
        }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        let shared = self.shared.lock();
        shared.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, make: impl FnOnce(&Shared) -> Shared) {
        let shared = self.shared.lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        let made = Arc::new(make(&shared));
        let replaced = std::mem::replace(&mut *shared, made);
        // While it is locked: who sees the number finds what it stands for.
        self.version.fetch_add(1, Release);
        drop(shared);
        // A user's rule may be in it, and need the lock where it is dropped.
        drop(replaced);
    }
}

impl Held {
    pub(super) fn of(current: Arc<Current>) -> Self {
        let version = current.version.load(Acquire);
        Self {
            shared: current.shared(),
            version,
            current,
        }
    }

    /// What holds for a call that begins now.
    #[inline]
    pub(super) fn latest(&mut self) -> &Arc<Shared> {
        if self.version != self.current.version.load(Acquire) {
            *self = Self::of(self.current.clone());
        }
        &self.shared
    }
}
