//! A policy, and what its calls draw from.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::config::RetryPolicy;

/// A policy, and what its calls draw from.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) policy: RetryPolicy,
    /// The most that any schedule of the policy allows.
    pub(super) most_attempts: u32,
    /// Whether the policy neither writes into requests nor limits their time nor has a rule of the user's: then a call begins
    /// with next to nothing.
    pub(super) is_plain: bool,
    random: Mutex<fastrand::Rng>,
}

impl Rules {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        let random = policy
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self {
            most_attempts: policy.most_attempts(),
            is_plain: policy.is_plain(),
            policy,
            random: Mutex::new(random),
        }
    }

    pub(super) fn random(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
