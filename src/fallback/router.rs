//! [`Router`]: the handle on a chain that is in use.

use std::{fmt, sync::Arc, time::Duration};

use http::Request;

use super::{config::Chain, handle::Cooldowns, plan::Plan, shared::Shared};
use crate::{
    config_error::ConfigError,
    cost::Cost,
    current::{Current, Held},
    forecast::{Consulted, Prospect},
    request::RequestHead,
    upstream::Upstream,
};

/// The handle on the chain of a [`FallbackLayer`](super::FallbackLayer): changes it while it is in use, tells how its
/// upstreams stand, and gives advice. Cheap to clone; clones share the chain.
///
/// A change holds for requests that come after it. Those under way go on along the chain that they began with.
///
/// ```
/// use tower_upstream::{Chain, Cost, FallbackLayer, Order, Provider};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let openai = Provider::openai();
/// let layer = FallbackLayer::new(Chain::new([openai.model("gpt-4o").weight(99)]).order(Order::Weighted))?;
/// let router = layer.router();
/// // One request in a hundred tries the new model; later, one in two.
/// router.add(openai.model("gpt-5").weight(1))?;
/// assert!(router.set_weight("openai/gpt-5", 99));
/// let best = router.choose_best(Cost::tokens(1_000, 200), &[]).expect("somebody is free");
/// assert_eq!(best.upstream.id(), "openai/gpt-4o");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Router {
    current: Arc<Current<Shared>>,
    cooldowns: Cooldowns,
    /// Whom every chain consults.
    always: Consulted,
}

/// The upstream that would answer a request soonest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Choice {
    /// The upstream.
    pub upstream: Upstream,
    /// How long the request would wait before it is sent there: in line, or until the cooldown has ended.
    pub wait: Duration,
}

/// How an upstream of a chain stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Standing {
    /// The upstream, with its weight, price and quota.
    pub upstream: Upstream,
    /// How long it is still left alone; `None` where it is not.
    pub cooling: Option<Duration>,
    /// The moving average of the time until its answers began, where [`Order::Fastest`](super::Order::Fastest) or
    /// [`Order::Learned`](super::Order::Learned) has measured it.
    pub time_to_answer: Option<Duration>,
    /// The share of its calls of late that were answered, 0.0 to 1.0, measured likewise; 1.0 where nothing is known.
    pub success_rate: f64,
}

impl Router {
    pub(super) fn new(chain: Chain, always: Consulted) -> Result<Self, ConfigError> {
        let chain = chain.consult_all(&always);
        chain.check()?;
        Ok(Self::assemble(
            Plan::new(chain),
            Cooldowns::default(),
            always,
        ))
    }

    pub(super) fn with_cooldowns(self, cooldowns: Cooldowns) -> Self {
        Self::assemble(Plan::new(self.chain()), cooldowns, self.always)
    }

    /// The chain as it is now.
    pub fn chain(&self) -> Chain {
        self.current.shared().plan.chain.clone()
    }

    /// Puts another chain in its place, with all its settings: order, cooldown, cap on attempts and whom it consults. The limiters
    /// and the breaker of a [`Stack`](crate::Stack) are consulted by any chain. What has been learned of the upstreams that stay
    /// is kept. For another key there is [`set_key`](Self::set_key).
    ///
    /// # Errors
    ///
    /// When a setting of the chain cannot work; the old one then stays.
    pub fn set_chain(&self, chain: Chain) -> Result<(), ConfigError> {
        let chain = chain.consult_all(&self.always);
        chain.check()?;
        self.change(|standing| *standing = chain);
        Ok(())
    }

    /// Adds an upstream at the end of the chain, or in the place of the one with the same id. The quota of its
    /// [account](crate::Provider::quota) is heeded where a limiter by providers stands inside: a [`Stack`](crate::Stack) has one that
    /// was built with an upstream of such an account, or with that limiter.
    ///
    /// # Errors
    ///
    /// When its provider has the name of another in the chain, or another key than it; nothing changes then. For another key
    /// there is [`set_key`](Self::set_key).
    pub fn add(&self, upstream: Upstream) -> Result<(), ConfigError> {
        self.change(|chain| {
            let mut changed = chain.clone();
            match changed.upstreams.iter_mut().find(|it| **it == upstream) {
                Some(standing) => *standing = upstream,
                None => changed.upstreams.push(upstream),
            }
            changed.check()?;
            *chain = changed;
            Ok(())
        })
    }

    /// Takes the upstream with this id out of the chain. Says whether it was there.
    ///
    /// # Errors
    ///
    /// When it is the last one: a chain needs one.
    pub fn remove(&self, id: &str) -> Result<bool, ConfigError> {
        self.change(|chain| {
            let Some(index) = chain.index(id) else {
                return Ok(false);
            };
            let mut changed = chain.clone();
            changed.upstreams.remove(index);
            changed.check()?;
            *chain = changed;
            Ok(true)
        })
    }

    /// Sets the [key](crate::Provider::key) of the provider with this name, for all its upstreams in the chain at once. Says
    /// whether there is one.
    ///
    /// Nothing else changes: limits, circuits, cooldowns and what was learned go by names. Requests under way end with the old
    /// key, retries and streams and all, so let it be valid for as long as those may last.
    ///
    /// # Errors
    ///
    /// When the key is empty or has characters that a header cannot carry; the error does not repeat it, and the old key stays.
    pub fn set_key(&self, provider: &str, key: &str) -> Result<bool, ConfigError> {
        self.change(|chain| {
            let mut changed = chain.clone();
            let its = |it: &&mut Upstream| it.provider().name() == provider;
            let mut is_there = false;
            for upstream in changed.upstreams.iter_mut().filter(its) {
                *upstream = upstream.clone().with_key(key)?;
                is_there = true;
            }
            *chain = changed;
            Ok(is_there)
        })
    }

    /// Sets the [weight](Upstream::weight) of the upstream with this id. Says whether there is one.
    pub fn set_weight(&self, id: &str, weight: u32) -> bool {
        self.change(|chain| {
            let index = chain.index(id);
            if let Some(upstream) = index.map(|index| &mut chain.upstreams[index]) {
                *upstream = upstream.clone().weight(weight);
            }
            index.is_some()
        })
    }

    /// The upstream that would answer a request of this cost soonest, among those with these ids or all where none is named;
    /// of equals the one that stands first. `None` where none of them ever would, or nobody knows when.
    ///
    /// It goes by cooldowns and by those that the chain [consults](Chain::consult).
    pub fn choose_best(&self, cost: Cost, preferred: &[&str]) -> Option<Choice> {
        let (shared, now) = (self.current.shared(), self.cooldowns().time().now());
        let plan = &shared.plan;
        let mut request = Request::new(());
        request.extensions_mut().insert(cost);
        let head = RequestHead::of(&request);
        let wait = |upstream: &Upstream| {
            let cooling = self
                .cooldowns()
                .entry(upstream, now)
                .map(|entry| entry.until);
            let cooling = cooling.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
            let (wait, is_open_ended) = match plan.chain.consulted.prospect(upstream, &head) {
                Prospect::Pass { .. } => (Duration::ZERO, false),
                Prospect::Queue { wait } => (wait, false),
                Prospect::Full { at_least } => (at_least, true),
                Prospect::Refuse { retry_after, .. } => (retry_after?, false),
                Prospect::TooLarge => return None,
            };
            Some((wait.max(cooling), is_open_ended))
        };
        let named =
            |upstream: &&Upstream| preferred.is_empty() || preferred.contains(&upstream.id());
        let upstreams = plan.chain.upstreams.iter().filter(named);
        let waits = upstreams.filter_map(|upstream| Some((wait(upstream)?, upstream)));
        let ((wait, _), upstream) = waits.min_by_key(|(wait, _)| *wait)?;
        Some(Choice {
            upstream: upstream.clone(),
            wait,
        })
    }

    /// How the upstreams of the chain stand, as they are listed.
    pub fn upstreams(&self) -> Vec<Standing> {
        let (shared, now) = (self.current.shared(), self.cooldowns().time().now());
        let plan = &shared.plan;
        let upstreams = plan.chain.upstreams.iter().enumerate();
        upstreams
            .map(|(index, upstream)| {
                let performance = plan.performance(index);
                Standing {
                    upstream: upstream.clone(),
                    cooling: self.cooldowns().remaining(upstream),
                    time_to_answer: performance.time_to_answer(),
                    success_rate: performance.success_rate(now),
                }
            })
            .collect()
    }

    /// The cooldowns that it keeps.
    pub fn cooldowns(&self) -> &Cooldowns {
        &self.cooldowns
    }

    /// What the calls of a service over this one hold.
    pub(super) fn held<S: Clone>(&self, inner: &S) -> Held<Shared, S> {
        Held::of(self.current.clone(), inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Chain) -> R) -> R {
        self.current.replace(|Shared { plan, cooldowns }| {
            let mut chain = plan.chain.clone();
            let result = change(&mut chain);
            let changed = Shared {
                plan: plan.changed(chain),
                cooldowns: cooldowns.clone(),
            };
            (changed, result)
        })
    }

    fn assemble(plan: Plan, cooldowns: Cooldowns, always: Consulted) -> Self {
        let shared = Shared {
            plan,
            cooldowns: cooldowns.clone(),
        };
        Self {
            current: Arc::new(Current::new(shared)),
            cooldowns,
            always,
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("chain", &self.chain())
            .field("cooldowns", self.cooldowns())
            .finish()
    }
}
