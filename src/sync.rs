//! The locks and atomics of what threads share.
//!
//! They are the standard library's; in tests under `--cfg shuttle` those of [shuttle](https://docs.rs/shuttle), which decides at
//! each of them which thread goes on, so that the models play many orders through. A user's own models have the cfg as well,
//! and not these tests.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicUsize},
};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicUsize},
};
