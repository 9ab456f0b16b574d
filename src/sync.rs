//! The locks and atomics of what threads share.
//!
//! They are the standard library's; under `--cfg shuttle` those of [shuttle](https://docs.rs/shuttle), which decides at each of
//! them which thread goes on, so that the models in the tests play many orders through.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic::AtomicUsize};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicUsize};
