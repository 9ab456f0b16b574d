//! A request as the limiters see it.

use std::time::Instant;

use super::{decision::Asked, epoch::Nanos, handle::RateLimiter, limiters::Limiters};
use crate::{
    cost::Cost,
    error::Patience,
    money::Money,
    request::{Deadline, Priority, RequestHead},
    upstream::Upstream,
};

/// A request that has asked.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) cost: Cost,
    /// Where its tokens have a price.
    pub(super) upstream: Option<Upstream>,
    /// Whether what it comes to in money was reckoned from its tokens.
    is_reckoned: bool,
    priority: Priority,
    pub(super) asked: Instant,
}

impl Asking {
    #[inline]
    pub(super) fn read(head: &RequestHead<'_>, limiters: &Limiters, now: Instant) -> Self {
        let plain = Self {
            cost: Cost::default(),
            upstream: None,
            is_reckoned: false,
            priority: Priority::Normal,
            asked: now,
        };
        match head.extensions.is_empty() {
            true => plain,
            false => plain.with_extensions(head, limiters),
        }
    }

    fn with_extensions(mut self, head: &RequestHead<'_>, limiters: &Limiters) -> Self {
        self.cost = head.extensions.get().copied().unwrap_or_default();
        let upstream = head.upstream();
        let price = limiters.price(upstream);
        if let Some(price) = price.filter(|_| self.cost.money == Money::default()) {
            self.cost = self.cost.with_money(price.of(self.cost));
            self.upstream = upstream.cloned();
            self.is_reckoned = true;
        }
        self
    }

    /// Reads how soon it wants to go, which only matters where it may have to wait.
    pub(super) fn read_priority(&mut self, head: &RequestHead<'_>) {
        if !head.extensions.is_empty() {
            self.priority = head.extensions.get().copied().unwrap_or_default();
        }
    }

    /// What it will cost is better known than it was.
    pub(super) fn expect(&mut self, cost: Cost, limiters: &Limiters) {
        self.cost = cost;
        if let Some(price) = limiters
            .price(self.upstream.as_ref())
            .filter(|_| self.is_reckoned)
        {
            self.cost = cost.with_money(price.of(cost));
        }
    }

    /// How it asks a limiter by whose time it came at this moment.
    #[inline]
    pub(super) fn at(&self, at: Nanos) -> Asked {
        Asked {
            cost: self.cost,
            priority: self.priority,
            at,
        }
    }
}

/// How long being admitted is still of use to a request that asks now, and who says so.
pub(super) fn patience(
    head: &RequestHead<'_>,
    limiters: &[RateLimiter],
    now: Instant,
) -> Option<Patience> {
    let of_limiters = limiters
        .iter()
        .filter_map(|limiter| limiter.settings().max_wait);
    let longest = of_limiters.min().map(Patience::MaxWait);
    if head.extensions.is_empty() {
        return longest;
    }
    let deadline = head.extensions.get().map(|Deadline(at)| *at);
    let left = deadline.map(|ends| Patience::Deadline(ends.saturating_duration_since(now)));
    let both = longest.into_iter().chain(left);
    both.min_by_key(|patience| patience.time())
}
