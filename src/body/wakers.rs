//! Wakes all readers of one source.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// The readers that wait for a source. A source keeps only the waker that it was polled with last, and its reader may be gone
/// by then: so it gets this one, which wakes all.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    waiting: Mutex<Vec<(u64, Waker)>>,
}

impl Wakers {
    /// This reader waits; what it waited with before is forgotten.
    pub(super) fn wait(&self, reader: u64, waker: &Waker) {
        let mut waiting = self.lock();
        match waiting.iter_mut().find(|(other, _)| *other == reader) {
            Some((_, own)) => own.clone_from(waker),
            None => waiting.push((reader, waker.clone())),
        }
    }

    pub(super) fn forget(&self, reader: u64) {
        self.lock().retain(|(other, _)| *other != reader);
    }

    pub(super) fn wake_all(&self) {
        let mut waiting = self.lock();
        if waiting.is_empty() {
            return; // and keeps its room
        }
        let woken = mem::take(&mut *waiting);
        drop(waiting);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
