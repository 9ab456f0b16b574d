//! The limiters of one layer.

use std::sync::Arc;

use super::handle::RateLimiter;
use crate::{clock::Clock, cost::Price, upstream::Upstream};

/// The limiters that a request must pass all at once, in the order in which they are locked. A small handle, for every permit
/// holds a clone.
#[derive(Clone, Debug)]
pub(super) struct Limiters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    all: Box<[RateLimiter]>,
    /// Which of them heeds what answers say: the first that goes by upstreams, else the first.
    learner: usize,
    /// What tokens cost where an upstream has no price of its own.
    price: Option<Price>,
}

impl Limiters {
    pub(super) fn one(limiter: RateLimiter) -> Self {
        Self::new([limiter].into(), 0)
    }

    fn new(all: Box<[RateLimiter]>, learner: usize) -> Self {
        let price = all.iter().find_map(|limiter| limiter.settings().price);
        Self {
            shared: Arc::new(Shared {
                all,
                learner,
                price,
            }),
        }
    }

    /// One more; a limiter that is there already counts once.
    pub(super) fn and(&self, limiter: RateLimiter) -> Self {
        let (all, learner) = (self.all(), self.learner());
        let place = limiter.lock_order();
        let Err(index) = all.binary_search_by_key(&place, RateLimiter::lock_order) else {
            return self.clone();
        };
        let is_of_upstreams = |limiter: &RateLimiter| limiter.settings().scope.is_of_upstreams();
        let learner = match is_of_upstreams(&limiter) && !is_of_upstreams(&all[learner]) {
            true => index,
            false => learner + usize::from(index <= learner),
        };
        let mut all = all.to_vec();
        all.insert(index, limiter);
        Self::new(all.into(), learner)
    }

    pub(super) fn all(&self) -> &[RateLimiter] {
        &self.shared.all
    }

    pub(super) fn learner(&self) -> usize {
        self.shared.learner
    }

    /// They all go by the first one's clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.all()[0].settings().clock
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
