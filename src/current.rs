//! What the services of a layer share, and how it is replaced while they run.

use std::sync::{
    Arc, PoisonError,
    atomic::Ordering::{Acquire, Release},
};

use crate::sync::{AtomicUsize, Mutex, MutexGuard};

/// What the services of a layer share at present.
#[derive(Debug)]
pub(crate) struct Current<T> {
    /// Grows with each replacement, so that who holds what was there before sees it without a lock.
    version: AtomicUsize,
    shared: Mutex<Arc<T>>,
}

/// What one service holds of it.
#[derive(Debug)]
pub(crate) struct Held<T> {
    current: Arc<Current<T>>,
    version: usize,
    shared: Arc<T>,
}

impl<T> Current<T> {
    pub(crate) fn new(shared: T) -> Self {
        Self {
            version: AtomicUsize::new(0),
            shared: Mutex::new(Arc::new(shared)),
        }
    }

    pub(crate) fn shared(&self) -> Arc<T> {
        self.lock().clone()
    }

    /// Puts another in its place, and gives back what was told while it was made.
    pub(crate) fn replace<R>(&self, make: impl FnOnce(&T) -> (T, R)) -> R {
        let mut shared = self.lock();
        let (made, told) = make(&shared);
        let replaced = std::mem::replace(&mut *shared, Arc::new(made));
        // While it is locked: who sees the number finds what it stands for.
        self.version.fetch_add(1, Release);
        drop(shared);
        // A user's rule may be in it, and need the lock where it is dropped.
        drop(replaced);
        told
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Held<T> {
    pub(crate) fn of(current: Arc<Current<T>>) -> Self {
        let version = current.version.load(Acquire);
        Self {
            shared: current.shared(),
            version,
            current,
        }
    }

    /// What holds for a call that begins now.
    #[inline]
    pub(crate) fn latest(&mut self) -> &Arc<T> {
        if self.version != self.current.version.load(Acquire) {
            *self = Self::of(self.current.clone());
        }
        &self.shared
    }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self {
            current: self.current.clone(),
            version: self.version,
            shared: self.shared.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_sees_the_latest_and_who_replaces_it_is_told() {
        let current = Arc::new(Current::new(1));
        let mut held = Held::of(current.clone());
        let mut copy = held.clone();
        assert_eq!(current.replace(|old| (old + 1, "told")), "told");
        assert_eq!((**held.latest(), **copy.latest()), (2, 2));
        assert_eq!(*current.shared(), 2);
    }
}
