//! [`Stack`]: the layers, and the handles of their state.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    explain::{Parts, explain},
    layer::StackLayer,
};
use crate::{
    circuit_breaker::CircuitBreaker,
    clock::Clock,
    fallback::{Cooldowns, Router},
    observe::Stats,
    rate_limit::RateLimiter,
    retry::{RetryBudget, RetryLayer},
    upstream::Upstream,
};

/// All six layers, and the state that they share. Cheap to clone; clones share it. See the [module docs](super).
#[derive(Clone)]
pub struct Stack {
    pub(super) layer: StackLayer,
    /// In the order of the chain.
    pub(super) upstreams: Arc<[Upstream]>,
    /// One of them goes by upstreams.
    pub(super) limiters: Arc<[RateLimiter]>,
    pub(super) router: Option<Router>,
    pub(super) breaker: CircuitBreaker,
    pub(super) cooldowns: Cooldowns,
    pub(super) stats: Stats,
    pub(super) clock: Arc<dyn Clock>,
    /// The variables that the keys of providers were read from.
    pub(super) keys: Arc<BTreeMap<Arc<str>, String>>,
}

impl Stack {
    /// One [`Layer`](tower_layer::Layer) for all six: intake, fallback, retry, circuit breaker, rate limit, provider. It goes
    /// around any client over `http::Request<Full<Bytes>>`, and takes requests with any body.
    ///
    /// Every layer of a stack, and every service that they make, has the same state.
    pub fn layer(&self) -> StackLayer {
        self.layer.clone()
    }

    /// The upstreams that it was built with, in the order in which they were listed.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The limiter that has each upstream's windows, under the upstream's id: the first that goes by upstreams or hosts.
    pub fn limiter(&self) -> &RateLimiter {
        let own = self.limiters.iter().find(|it| it.goes_by_upstreams());
        own.expect("the builder sees to it that there is one")
    }

    /// All limiters, in the order in which they were added. Before them stand those that the stack has made by itself: one by
    /// upstreams, and one by accounts; see [`StackBuilder::limiter`](super::StackBuilder::limiter).
    pub fn limiters(&self) -> &[RateLimiter] {
        &self.limiters
    }

    /// The chain in use: to change it, and to ask it for advice. `None` where there are no upstreams.
    pub fn router(&self) -> Option<&Router> {
        self.router.as_ref()
    }

    /// The circuits.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Who is left alone, until when and why.
    pub fn cooldowns(&self) -> &Cooldowns {
        &self.cooldowns
    }

    /// The retries: to read their policy, and to [replace](RetryLayer::set_policy) it while the services run.
    pub fn retry(&self) -> &RetryLayer {
        &self.layer.retry
    }

    /// What retries may still be made; `None` where the policy has no budget.
    pub fn budget(&self) -> Option<RetryBudget> {
        self.retry().policy().shared_budget().cloned()
    }

    /// What has been counted, for each upstream and key, and advice from it. Handles that you made and gave to the builder have
    /// observers of their own, and tell it nothing.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Lets requests through to the upstream with this id again, whatever keeps it from being asked but its circuit: its cooldown
    /// ends, that of its account, and what pauses its limits. False where there is no such upstream.
    ///
    /// ```
    /// use tower_upstream::{Provider, Stack};
    ///
    /// # fn main() -> Result<(), tower_upstream::ConfigError> {
    /// let stack = Stack::builder().upstream(Provider::ollama().model("llama3.2")).build()?;
    /// assert!(stack.release("ollama/llama3.2"));
    /// # Ok(()) }
    /// ```
    pub fn release(&self, id: &str) -> bool {
        let chain = self.router.as_ref().map(Router::chain);
        let mut upstreams = chain.iter().flat_map(|chain| chain.listed());
        let Some(upstream) = upstreams.find(|it| it.id() == id) else {
            return false;
        };
        for key in [id, upstream.provider().name()] {
            self.cooldowns.clear(key);
            self.limiters.iter().for_each(|it| it.resume(key));
        }
        true
    }

    /// What was understood, and holds now, in plain words: the upstreams in their order with quota, price, context and where their
    /// keys come from, the policies, and the quotas that were set for single keys. No API key is in it.
    pub fn explain(&self) -> String {
        let chain = self.router.as_ref().map(Router::chain);
        explain(&Parts {
            chain: chain.as_ref(),
            retry: self.retry(),
            breaker: &self.breaker,
            limiters: &self.limiters,
            keys: &self.keys,
            built: &self.upstreams,
        })
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("upstreams", &self.upstreams)
            .field("limiters", &self.limiters)
            .field("breaker", &self.breaker)
            .field("cooldowns", &self.cooldowns)
            .field("budget", &self.budget())
            .finish_non_exhaustive()
    }
}
