//! What a breaker is set to.

use std::sync::Arc;

use super::{config::CircuitBreakerPolicy, judge::Judge};
use crate::{
    clock::{Clock, TokioClock},
    observe::Events,
    request::Scope,
};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) policy: CircuitBreakerPolicy,
    pub(super) scope: Scope,
    pub(super) max_keys: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) judge: Option<Judge>,
}

impl Settings {
    pub(super) fn new(policy: CircuitBreakerPolicy) -> Self {
        Self {
            policy,
            scope: Scope::Host,
            max_keys: 1_000_000,
            clock: Arc::new(TokioClock),
            events: Events::default(),
            judge: None,
        }
    }

    /// Whether a response with a good head is a success, however long it took.
    pub(super) fn is_plain(&self) -> bool {
        self.judge.is_none() && !self.policy.asks_how_long()
    }
}
