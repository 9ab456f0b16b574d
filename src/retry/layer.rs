//! The layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::{config::RetryPolicy, course::Shared, service::Retry};
use crate::{
    clock::{Clock, TokioClock},
    config_error::ConfigError,
    observe::{Events, Observer},
};

/// Sends a request again when that can help. See the [module docs](super).
///
/// Every service that it makes shares the policy's budget.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    shared: Arc<Shared>,
}

impl RetryLayer {
    /// A layer with this policy.
    ///
    /// # Errors
    ///
    /// When a setting of the policy or of its budget cannot work; the error names it.
    pub fn new(policy: RetryPolicy) -> Result<Self, ConfigError> {
        policy.check()?;
        Ok(Self::assemble(
            policy,
            Arc::new(TokioClock),
            Events::default(),
        ))
    }

    /// A layer with the same policy and budget, and this clock. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        let shared = &self.shared;
        Self::assemble(
            shared.policy.clone(),
            Arc::new(clock),
            shared.events.clone(),
        )
    }

    /// A layer with the same policy and budget, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        let shared = &self.shared;
        Self::assemble(
            shared.policy.clone(),
            shared.clock.clone(),
            Events::to(observer),
        )
    }

    fn assemble(policy: RetryPolicy, clock: Arc<dyn Clock>, events: Events) -> Self {
        Self {
            shared: Arc::new(Shared::new(policy, clock, events)),
        }
    }
}

/// The default policy: see [`RetryPolicy`].
impl Default for RetryLayer {
    fn default() -> Self {
        Self::assemble(
            RetryPolicy::default(),
            Arc::new(TokioClock),
            Events::default(),
        )
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.shared.clone())
    }
}
