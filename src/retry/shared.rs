//! What the calls of one layer share.

use std::sync::{Arc, Mutex};

use super::{config::RetryPolicy, key::Keys};
use crate::{clock::Clock, forecast::Consulted, observe::Events};

/// What the calls of one layer share, for as long as its policy is not replaced.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) policy: RetryPolicy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) consulted: Consulted,
    /// The most that any schedule of the policy allows.
    pub(super) most_attempts: u32,
    /// Whether the policy neither writes into requests nor limits their time nor has a rule of the user's: then a call begins
    /// with next to nothing.
    pub(super) is_plain: bool,
    pub(super) keys: Keys,
    pub(super) random: Mutex<fastrand::Rng>,
}

impl Shared {
    pub(super) fn new(
        policy: RetryPolicy,
        clock: Arc<dyn Clock>,
        events: Events,
        consulted: Consulted,
    ) -> Self {
        let random = policy
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self {
            most_attempts: policy.most_attempts(),
            is_plain: policy.is_plain(),
            policy,
            clock,
            events,
            consulted,
            keys: Keys::default(),
            random: Mutex::new(random),
        }
    }
}
