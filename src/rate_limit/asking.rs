//! A request as the limiters see it.

use std::time::Instant;

use super::{decision::Asked, epoch::Epoch, limiters::Limiters};
use crate::{
    request::{AttemptDeadline, Cost, Deadline, Priority, RequestHead},
    upstream::Upstream,
};

/// A request that has asked.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) cost: Cost,
    /// Where its tokens have a price.
    pub(super) upstream: Option<Upstream>,
    priority: Priority,
    pub(super) at: Instant,
    /// The latest time at which being admitted is still of use.
    pub(super) patience_ends: Option<Instant>,
}

impl Asking {
    pub(super) fn read(head: &RequestHead<'_>, limiters: &Limiters, now: Instant) -> Self {
        let extensions = head.extensions;
        let mut cost: Cost = extensions.get().copied().unwrap_or_default();
        let upstream = head.upstream();
        if cost.money == Default::default()
            && let Some(price) = limiters.price(upstream)
        {
            cost = cost.with_money(price.of(cost));
        }
        let longest = limiters
            .iter()
            .filter_map(|limiter| limiter.settings().patience_ends(now));
        let deadline = extensions.get().map(|Deadline(at)| *at);
        let attempt_ends = extensions.get().map(|AttemptDeadline(at)| *at);
        Self {
            cost,
            upstream: upstream
                .filter(|upstream| upstream.own_price().is_some())
                .cloned(),
            priority: extensions.get().copied().unwrap_or_default(),
            at: now,
            patience_ends: longest.chain(deadline).chain(attempt_ends).min(),
        }
    }

    /// How it asks a limiter of this epoch.
    pub(super) fn of(&self, epoch: Epoch) -> Asked {
        Asked {
            cost: self.cost,
            priority: self.priority,
            at: epoch.nanos(self.at),
        }
    }

    pub(super) fn is_out_of_patience(&self, until: Instant) -> bool {
        self.patience_ends.is_some_and(|latest| until > latest)
    }
}
