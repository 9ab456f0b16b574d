//! The layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::{config::RetryPolicy, service::Retry, shared::Shared};
use crate::{
    clock::{Clock, TokioClock},
    config_error::ConfigError,
    current::Current,
    observe::{Events, Observer},
};

/// Sends a request again when that can help. See the [module docs](super).
///
/// Every service that it makes shares the policy, and its budget. Clones share them too: keep one to replace the policy while the
/// services run.
///
/// ```
/// use tower_upstream::{RetryLayer, RetryPolicy};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let layer = RetryLayer::new(RetryPolicy::default())?;
/// let handle = layer.clone();
/// // Later, while services that `layer` has made are in use:
/// handle.set_policy(handle.policy().max_attempts(5))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer {
    current: Arc<Current<Shared>>,
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

    /// A layer of its own with the same policy and budget, and this clock. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        let shared = self.current.shared();
        Self::assemble(
            shared.policy.clone(),
            Arc::new(clock),
            shared.events.clone(),
        )
    }

    /// A layer of its own with the same policy and budget, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        let shared = self.current.shared();
        Self::assemble(
            shared.policy.clone(),
            shared.clock.clone(),
            Events::to(observer),
        )
    }

    /// The policy that holds for calls that begin now. It shares its budget with the layer's.
    pub fn policy(&self) -> RetryPolicy {
        self.current.shared().policy.clone()
    }

    /// Another policy for all calls that begin from now on, in every service of this layer and its clones. Calls under way go on
    /// with theirs. The budget is the new policy's: one that is made from [`policy`](Self::policy) keeps it.
    ///
    /// # Errors
    ///
    /// When a setting of the policy or of its budget cannot work; the old one stays.
    pub fn set_policy(&self, policy: RetryPolicy) -> Result<(), ConfigError> {
        policy.check()?;
        self.current.replace(|shared| {
            let (clock, events) = (shared.clock.clone(), shared.events.clone());
            (Shared::new(policy, clock, events), ())
        });
        Ok(())
    }

    fn assemble(policy: RetryPolicy, clock: Arc<dyn Clock>, events: Events) -> Self {
        Self {
            current: Arc::new(Current::new(Shared::new(policy, clock, events))),
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

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.current.clone())
    }
}
