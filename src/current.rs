//! What the services of a layer share, and how it is replaced while they run.

use std::{
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::Ordering::{Acquire, Release},
    },
};

use crate::sync::{AtomicUsize, Mutex, MutexGuard};

/// What the services of a layer share at present.
#[derive(Debug)]
pub(crate) struct Current<T> {
    /// Grows with each replacement, so that who holds what was there before sees it without a lock.
    version: AtomicUsize,
    shared: Mutex<Arc<T>>,
}

/// What one service holds of it, and gives to each of its calls.
#[derive(Debug)]
pub(crate) struct Held<T, S> {
    current: Arc<Current<T>>,
    version: usize,
    kit: Arc<Kit<T, S>>,
}

/// What a call holds on to for as long as it runs, behind one count. To count what is in it one by one, as a clone of a service
/// and of all services inside of it does, takes longer than most calls have to do.
pub(crate) struct Kit<T, S> {
    pub(crate) shared: Arc<T>,
    /// Was never made ready: its clones make the attempts after the first. One for all versions.
    spare: Arc<Mutex<S>>,
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

impl<T, S: Clone> Held<T, S> {
    /// For a service over this one.
    pub(crate) fn of(current: Arc<Current<T>>, inner: &S) -> Self {
        Self::with(current, Arc::new(Mutex::new(inner.clone())))
    }

    fn with(current: Arc<Current<T>>, spare: Arc<Mutex<S>>) -> Self {
        let version = current.version.load(Acquire);
        let kit = Kit {
            shared: current.shared(),
            spare,
        };
        Self {
            kit: Arc::new(kit),
            version,
            current,
        }
    }

    /// What holds for a call that begins now.
    #[inline(always)]
    pub(crate) fn latest(&mut self) -> &Arc<Kit<T, S>> {
        if self.version != self.current.version.load(Acquire) {
            self.renew();
        }
        &self.kit
    }

    #[cold]
    fn renew(&mut self) {
        *self = Self::with(self.current.clone(), self.kit.spare.clone());
    }
}

impl<T, S: Clone> Kit<T, S> {
    /// A service that is not ready yet.
    pub(crate) fn service(&self) -> S {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.clone()
    }
}

impl<T, S> Clone for Held<T, S> {
    fn clone(&self) -> Self {
        Self {
            current: self.current.clone(),
            version: self.version,
            kit: self.kit.clone(),
        }
    }
}

impl<T: fmt::Debug, S> fmt::Debug for Kit<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_sees_the_latest_and_who_replaces_it_is_told() {
        let current = Arc::new(Current::new(1));
        let mut held = Held::of(current.clone(), &"service");
        let mut copy = held.clone();
        assert_eq!(current.replace(|old| (old + 1, "told")), "told");
        assert_eq!((*held.latest().shared, *copy.latest().shared), (2, 2));
        assert_eq!(held.latest().service(), "service");
        assert_eq!(*current.shared(), 2);
    }

    #[test]
    fn a_service_is_copied_for_an_attempt_and_not_for_a_change() {
        struct Counted(Arc<AtomicUsize>);
        impl Clone for Counted {
            fn clone(&self) -> Self {
                self.0.fetch_add(1, Acquire);
                Self(self.0.clone())
            }
        }
        let copies = Arc::new(AtomicUsize::new(0));
        let current = Arc::new(Current::new(1));
        let held = Held::of(current.clone(), &Counted(copies.clone()));
        current.replace(|old| (old + 1, ()));
        (0..9).for_each(|_| assert_eq!(*held.clone().latest().shared, 2));
        assert_eq!(copies.load(Acquire), 1, "the spare");
        drop(held.kit.service());
        assert_eq!(copies.load(Acquire), 2);
    }
}
