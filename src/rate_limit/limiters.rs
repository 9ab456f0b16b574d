//! The limiters of one layer.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{handle::RateLimiter, state::State};
use crate::{
    clock::Clock,
    cost::Price,
    keys::{Locked, Spot},
    upstream::Upstream,
};

/// The limiters that a request must pass all at once, in the order in which they are locked.
#[derive(Clone, Debug)]
pub(super) struct Limiters {
    all: Arc<[RateLimiter]>,
    /// Which of them heeds what answers say: the first that goes by upstreams, else the first.
    learner: usize,
}

/// The states that a request falls under, one of each limiter.
pub(super) type States<'a> = SmallVec<[Locked<'a, State>; 1]>;

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

    pub(super) fn iter(&self) -> std::slice::Iter<'_, RateLimiter> {
        self.all.iter()
    }

    pub(super) fn learner(&self) -> usize {
        self.learner
    }

    /// The states at these spots, all locked at once.
    pub(super) fn lock(&self, spots: impl IntoIterator<Item = Spot>) -> States<'_> {
        let limiters = self.iter().zip(spots);
        limiters.map(|(limiter, spot)| limiter.lock(spot)).collect()
    }

    /// They all go by the first one's clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.all[0].settings().clock
    }

    /// What tokens cost at this upstream, as far as that is known.
    pub(super) fn price<'a>(&'a self, upstream: Option<&'a Upstream>) -> Option<&'a Price> {
        let own = upstream.and_then(Upstream::own_price);
        let first = || {
            self.iter()
                .find_map(|limiter| limiter.settings().price.as_ref())
        };
        own.or_else(first)
    }
}

impl std::ops::Index<usize> for Limiters {
    type Output = RateLimiter;

    fn index(&self, index: usize) -> &RateLimiter {
        &self.all[index]
    }
}

impl Default for Limiters {
    fn default() -> Self {
        Self::one(RateLimiter::default())
    }
}
