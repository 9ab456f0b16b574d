//! What a limiter is set to.

use std::{sync::Arc, time::Duration};

use tracing::Level;

use super::config::Quota;
use crate::{
    clock::{Clock, TokioClock},
    cost::Price,
    error::{BindingLimit, Error, Patience, RateLimited, RefusalReason},
    observe::{Event, Events},
    request::Scope,
    upstream::Upstream,
};

/// What a limiter is set to.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) quota: Arc<Quota>,
    pub(super) scope: Scope,
    pub(super) max_wait: Option<Duration>,
    pub(super) queue_capacity: usize,
    pub(super) max_keys: usize,
    pub(super) price: Option<Price>,
    pub(super) heeds_answers: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
}

impl Settings {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota: Arc::new(quota),
            scope: Scope::Upstream,
            max_wait: Some(MAX_WAIT),
            queue_capacity: usize::MAX,
            max_keys: MAX_KEYS,
            price: None,
            heeds_answers: true,
            clock: Arc::new(TokioClock),
            events: Events::default(),
        }
    }

    /// The quota that this upstream brings, where the scope goes by that.
    #[inline]
    pub(super) fn grants<'a>(&self, upstream: &'a Upstream) -> Option<&'a Arc<Quota>> {
        match self.scope {
            Scope::Upstream | Scope::Host => upstream.own_quota(),
            Scope::Provider => upstream.provider().own_quota(),
            Scope::All | Scope::By(_) => None,
        }
    }

    /// The error of a refusal, told.
    pub(super) fn refuse(
        &self,
        key: Option<Arc<str>>,
        reason: RefusalReason,
        wait: Option<Duration>,
        limit: Option<BindingLimit>,
        patience: Option<Patience>,
    ) -> Error {
        if self.events.are_heard(Level::INFO) {
            let key = key.as_deref().unwrap_or_default();
            let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
            self.events.tell(&Event::Refused {
                key,
                reason,
                limit: &limit,
                wait,
                patience,
            });
        }
        Error::RateLimited(RateLimited {
            key,
            scope: self.scope.as_str(),
            reason,
            wait,
            limit,
        })
    }
}

// Half as long again as the commonest window, so that who waits for one to free is not refused in that very moment.
const MAX_WAIT: Duration = Duration::from_secs(90);

const MAX_KEYS: usize = 1_000_000;
