//! The limiters of one layer.

use std::sync::Arc;

use super::{handle::RateLimiter, state::State};
use crate::{
    clock::Clock,
    cost::Price,
    keys::{Locked, Spot},
    observe::Events,
    request::Scope,
    upstream::Upstream,
};

/// The limiters that a request must pass all at once, in the order in which they are locked. A small handle, for every permit
/// holds a clone.
#[derive(Clone, Debug)]
pub(super) struct Limiters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// In the order in which they are locked.
    all: Box<[RateLimiter]>,
    named: Vec<RateLimiter>,
    /// That of the one that was named first: all go by it.
    clock: Arc<dyn Clock>,
    /// Which of them heeds what answers say: of those that heed any, the first that goes by upstreams or hosts, else the first
    /// that goes by providers, else the first.
    learner: usize,
    /// What tokens cost where an upstream has no price of its own: by the first that has one.
    price: Option<Price>,
}

impl Limiters {
    pub(super) fn one(limiter: RateLimiter) -> Self {
        Self::of(vec![limiter])
    }

    /// One more; a limiter that is there already counts once.
    pub(super) fn and(self, limiter: RateLimiter) -> Self {
        let mut named = self.shared.named.clone();
        if named
            .iter()
            .all(|other| other.lock_order() != limiter.lock_order())
        {
            named.push(limiter);
        }
        Self::of(named)
    }

    /// These limiters, in the order in which they were named.
    fn of(named: Vec<RateLimiter>) -> Self {
        let knows = |limiter: &RateLimiter| match limiter.settings().scope {
            Scope::Upstream | Scope::Host => 2,
            Scope::Provider => 1,
            Scope::All | Scope::By(_) => 0,
        };
        let learner = named
            .iter()
            .rev()
            .max_by_key(|limiter| (limiter.settings().heeds_answers, knows(limiter)));
        let learner = learner.map(RateLimiter::lock_order);
        let first = named.first().expect("a layer has a limiter");
        let clock = first.settings().clock.clone();
        let price = named.iter().find_map(|limiter| limiter.settings().price);
        let mut all = named.clone();
        all.sort_by_key(RateLimiter::lock_order);
        let learner = all.iter().position(|it| Some(it.lock_order()) == learner);
        Self {
            shared: Arc::new(Shared {
                all: all.into(),
                named,
                clock,
                learner: learner.unwrap_or_default(),
                price,
            }),
        }
    }

    pub(super) fn all(&self) -> &[RateLimiter] {
        &self.shared.all
    }

    /// The states at these spots, all locked at once.
    pub(super) fn lock(&self, spots: &[Spot]) -> Vec<Locked<'_, State>> {
        let limiters = self.all().iter().zip(spots);
        limiters
            .map(|(limiter, spot)| limiter.lock(*spot))
            .collect()
    }

    pub(super) fn learner(&self) -> usize {
        self.shared.learner
    }

    /// They all go by the first one's clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// Those of the one that was named first: where is told what is no single one's business.
    pub(super) fn events(&self) -> &Events {
        &self.shared.named[0].settings().events
    }

    /// What tokens cost at this upstream, as far as that is known.
    pub(super) fn price<'a>(&'a self, upstream: Option<&'a Upstream>) -> Option<&'a Price> {
        let own = upstream.and_then(Upstream::own_price);
        own.or(self.shared.price.as_ref())
    }
}

impl Default for Limiters {
    fn default() -> Self {
        Self::one(RateLimiter::default())
    }
}
