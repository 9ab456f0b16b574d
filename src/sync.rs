//! The locks and atomics of what threads share.
//!
//! They are the standard library's; in tests under `--cfg shuttle` those of [shuttle](https://docs.rs/shuttle), which decides at
//! each of them which thread goes on, so that the models play many orders through. A user's own models have the cfg as well,
//! and not these tests.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize},
};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize},
};

/// The number of this thread, for what each thread has of its own: those that are made one after the other have different
/// ones.
#[cfg(not(all(test, shuttle)))]
#[inline(always)]
pub(crate) fn thread_number() -> usize {
    use std::{cell::Cell, sync::atomic::Ordering};

    thread_local! {
        // Zero until the thread is first asked.
        static NUMBER: Cell<usize> = const { Cell::new(0) };
    }
    #[cold]
    fn number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(number);
        number
    }
    match NUMBER.get() {
        0 => number(),
        number => number,
    }
}

/// In models each run numbers its threads anew.
#[cfg(all(test, shuttle))]
pub(crate) fn thread_number() -> usize {
    shuttle::thread::current().id().into()
}
