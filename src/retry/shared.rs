//! What the calls of one layer share.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{config::RetryPolicy, key::Keys};
use crate::{
    clock::Clock,
    forecast::{Forecast, Prospect},
    observe::Events,
    request::RequestHead,
    upstream::Upstream,
};

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

/// Who inside is asked whether a request would be refused.
#[derive(Clone, Default)]
pub(super) struct Consulted(Vec<Arc<dyn Forecast>>);

impl Consulted {
    pub(super) fn and(mut self, forecast: impl Forecast + 'static) -> Self {
        self.0.push(Arc::new(forecast));
        self
    }

    /// For how long this request would be refused at this upstream; none where it would not.
    pub(super) fn refuse(&self, upstream: &Upstream, head: RequestHead<'_>) -> Option<Duration> {
        let head = head.toward(upstream);
        let prospects = self.0.iter().map(|it| it.forecast(upstream, &head));
        match prospects.fold(Prospect::FREE, Prospect::and) {
            Prospect::Refuse { retry_after } => Some(retry_after.unwrap_or(Duration::MAX)),
            Prospect::TooLarge => Some(Duration::MAX),
            Prospect::Pass { .. } | Prospect::Queue { .. } => None,
        }
    }
}

impl fmt::Debug for Consulted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consulted({})", self.0.len())
    }
}
