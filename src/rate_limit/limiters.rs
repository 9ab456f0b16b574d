//! The limiters of one layer.

use std::sync::Arc;

use super::handle::RateLimiter;
use crate::{clock::Clock, cost::Price, upstream::Upstream};

/// The limiters that a request must pass all at once, in the order in which they are locked.
#[derive(Clone, Debug)]
pub(super) struct Limiters {
    all: Arc<[RateLimiter]>,
    /// Which of them heeds what answers say: the first that goes by upstreams, else the first.
    learner: usize,
}

impl Limiters {
    pub(super) fn one(limiter: RateLimiter) -> Self {
        Self {
            all: [limiter].into(),
            learner: 0,
        }
    }

    /// One more; a limiter that is there already counts once.
    pub(super) fn and(&self, limiter: RateLimiter) -> Self {
        let place = limiter.lock_order();
        let Err(index) = self
            .all
            .binary_search_by_key(&place, RateLimiter::lock_order)
        else {
            return self.clone();
        };
        let is_of_upstreams = |limiter: &RateLimiter| limiter.settings().scope.is_of_upstreams();
        let learns = is_of_upstreams(&limiter) && !is_of_upstreams(&self.all[self.learner]);
        let learner = match learns {
            true => index,
            false => self.learner + usize::from(index <= self.learner),
        };
        let mut all = self.all.to_vec();
        all.insert(index, limiter);
        Self {
            all: all.into(),
            learner,
        }
    }

    pub(super) fn all(&self) -> &[RateLimiter] {
        &self.all
    }

    pub(super) fn learner(&self) -> usize {
        self.learner
    }

    /// They all go by the first one's clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.all[0].settings().clock
    }

    /// What tokens cost at this upstream, as far as that is known.
    pub(super) fn price<'a>(&'a self, upstream: Option<&'a Upstream>) -> Option<&'a Price> {
        let own = upstream.and_then(Upstream::own_price);
        let first = || {
            self.all
                .iter()
                .find_map(|limiter| limiter.settings().price.as_ref())
        };
        own.or_else(first)
    }
}

impl Default for Limiters {
    fn default() -> Self {
        Self::one(RateLimiter::default())
    }
}
