//! The layer.

use std::{collections::HashMap, sync::Arc};

use tower_layer::Layer;

use super::{config::RetryPolicy, rules::Rules, service::Retry, shared::Shared};
use crate::{
    clock::{Clock, TokioClock},
    config_error::ConfigError,
    current::Current,
    forecast::{Consulted, Forecast},
    observe::{Events, Observer},
    upstream::Upstream,
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
        Ok(Self::plain(policy))
    }

    /// A layer of its own with the same policy and budget, and this clock. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|shared| shared.clock = Arc::new(clock))
    }

    /// A layer of its own with the same policy and budget, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        self.with(|shared| shared.events = Events::to(observer))
    }

    /// A layer of its own with the same policy and budget, which asks this breaker or limiter inside as well, before each wait that
    /// begins while a fallback has others to turn to: where it would still refuse the request after the wait, the failure is passed
    /// on at once. For the circuit that a failure has just opened. Default: nobody is asked.
    ///
    /// ```
    /// use tower::ServiceBuilder;
    /// use tower_upstream::{Chain, CircuitBreaker, CircuitBreakerLayer, FallbackLayer, Provider, RetryLayer};
    ///
    /// # fn main() -> Result<(), tower_upstream::ConfigError> {
    /// # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
    /// #     .build_http::<http_body_util::Full<bytes::Bytes>>();
    /// let breaker = CircuitBreaker::default();
    /// let chain = Chain::new([Provider::groq().model("openai/gpt-oss-20b"), Provider::openai().model("gpt-4o-mini")]);
    /// let service = ServiceBuilder::new()
    ///     .layer(FallbackLayer::new(chain.consult(breaker.clone()))?)
    ///     .layer(RetryLayer::default().consult(breaker.clone()))
    ///     .layer(CircuitBreakerLayer::new(breaker))
    ///     .service(client);
    /// # let _ = service;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn consult(self, forecast: impl Forecast + 'static) -> Self {
        self.with(|shared| shared.consulted = shared.consulted.clone().and(forecast))
    }

    /// The policy that holds for calls that begin now, but for upstreams that have one of their own. It shares its budget with the
    /// layer's.
    pub fn policy(&self) -> RetryPolicy {
        self.current.shared().rules.policy.clone()
    }

    /// That of an upstream, where it is not the layer's.
    pub(crate) fn own_policy(&self, upstream: &Upstream) -> Option<RetryPolicy> {
        let shared = self.current.shared();
        shared.own_of(upstream).map(|rules| rules.policy.clone())
    }

    /// Another policy for all calls that begin from now on, in every service of this layer and its clones. Calls under way go on
    /// with theirs, and upstreams keep their own. The budget is the new policy's: one that is made from [`policy`](Self::policy)
    /// keeps it.
    ///
    /// # Errors
    ///
    /// When a setting of the policy or of its budget cannot work; the old one stays.
    pub fn set_policy(&self, policy: RetryPolicy) -> Result<(), ConfigError> {
        policy.check()?;
        self.replace(|shared| shared.rules = Arc::new(Rules::new(policy)));
        Ok(())
    }

    /// As [`set_policy`](Self::set_policy), for the upstream with this id alone, or for all of the provider with this name, in place
    /// of the layer's policy: such as a longer [`attempt_timeout`](RetryPolicy::attempt_timeout) for a model on a machine of your
    /// own. Default: none has its own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_upstream::{RetryLayer, RetryPolicy};
    ///
    /// # fn main() -> Result<(), tower_upstream::ConfigError> {
    /// let retry = RetryLayer::new(RetryPolicy::llm().attempt_timeout(Duration::from_secs(20)))?;
    /// retry.set_policy_for("ollama", retry.policy().attempt_timeout(Duration::from_secs(300)))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When a setting of the policy or of its budget cannot work; the old one stays.
    pub fn set_policy_for(
        &self,
        key: impl Into<Arc<str>>,
        policy: RetryPolicy,
    ) -> Result<(), ConfigError> {
        policy.check()?;
        self.replace(|shared| {
            shared.own.insert(key.into(), Arc::new(Rules::new(policy)));
        });
        Ok(())
    }

    fn plain(policy: RetryPolicy) -> Self {
        Self::of(Shared {
            rules: Arc::new(Rules::new(policy)),
            own: HashMap::new(),
            clock: Arc::new(TokioClock),
            events: Events::default(),
            consulted: Consulted::default(),
            keys: Arc::default(),
        })
    }

    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = (*self.current.shared()).clone();
        change(&mut shared);
        Self::of(shared)
    }

    fn replace(&self, change: impl FnOnce(&mut Shared)) {
        self.current.replace(|shared| {
            let mut shared = shared.clone();
            change(&mut shared);
            (shared, ())
        });
    }

    fn of(shared: Shared) -> Self {
        Self {
            current: Arc::new(Current::new(shared)),
        }
    }
}

/// The default policy: see [`RetryPolicy`].
impl Default for RetryLayer {
    fn default() -> Self {
        Self::plain(RetryPolicy::default())
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.current.clone())
    }
}
