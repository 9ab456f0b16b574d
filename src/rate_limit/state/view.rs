//! What a state tells of itself.

use super::State;
use crate::{
    binding::BindingLimit,
    cost::Cost,
    rate_limit::{
        counts::{Shadow, Usage},
        epoch::Nanos,
        limit::Limit,
        size::amount,
    },
};

impl State {
    pub(crate) fn queued(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.line.len())
    }

    /// Whether those under way and those in line will be as many as may be under way: nobody knows how long one who comes behind
    /// them would wait.
    pub(crate) fn is_spoken_for(&self) -> bool {
        let most = self.quota.max_concurrent;
        let ahead = self.queued().saturating_add(self.in_flight as usize);
        most.is_some_and(|most| ahead >= most as usize)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The share of the tightest limit that would be taken after a request of this cost.
    pub(crate) fn risk(&mut self, cost: Cost, now: Nanos) -> f64 {
        let now = self.move_to(now);
        let usage = self.counts.usage(&self.quota, now);
        let binding = usage.filter(|Usage { limit, .. }| !limit.is_shadow && !limit.is_spacing);
        let shares = binding.map(|Usage { limit, used, .. }| {
            let used = used.saturating_add(amount(limit, cost));
            used as f64 / limit.capacity() as f64
        });
        let most = self.quota.max_concurrent;
        let of_slots = most.map(|most| (f64::from(self.in_flight) + 1.0) / f64::from(most));
        shares.chain(of_slots).fold(0.0, f64::max)
    }

    /// How each limit is used.
    pub(crate) fn usage(&mut self, now: Nanos) -> impl Iterator<Item = Usage<'_>> {
        let now = self.move_to(now);
        let usage = self.counts.usage(&self.quota, now);
        usage.filter(|usage| !usage.limit.is_spacing)
    }

    /// The limit that a request is too large for.
    pub(crate) fn too_small(&self, limit: Option<usize>) -> Option<BindingLimit> {
        match limit {
            Some(index) => self.quota.limits.get(index).map(Limit::binding),
            None => {
                let most = self.quota.max_tokens_per_request;
                most.map(BindingLimit::MaxTokensPerRequest)
            }
        }
    }

    /// What holds a request of this cost back the longest; where that is only those who wait ahead, what holds back the first
    /// of them.
    #[inline(never)]
    pub(crate) fn binding(&self, cost: Cost) -> Option<BindingLimit> {
        // Nearly always there is one limit, and nothing else that could hold anybody back.
        if let [only] = &*self.quota.limits
            && self.rare.is_none()
            && self.quota.max_concurrent.is_none()
            && self.counts.is_plain()
        {
            return Some(only.binding());
        }
        let first = || self.rare.as_ref()?.line.first_cost();
        self.binding_alone(cost)
            .or_else(|| self.binding_alone(first()?))
    }

    fn binding_alone(&self, cost: Cost) -> Option<BindingLimit> {
        let now = self.latest;
        let (until, binding) = self.counts.binding(&self.quota, cost, now);
        let most = self.quota.max_concurrent;
        match binding {
            _ if self.paused() > until => Some(BindingLimit::Pause),
            None if self.is_full() => most.map(BindingLimit::MaxConcurrent),
            binding => binding,
        }
    }

    /// The limit of a shadow.
    pub(crate) fn shadowed(&self, shadow: Shadow) -> Option<&Limit> {
        let mut usage = self.counts.usage(&self.quota, self.latest);
        usage.nth(shadow.limit).map(|usage| usage.limit)
    }
}
