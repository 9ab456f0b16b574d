//! What a state tells of itself.

use std::sync::Arc;

use super::State;
use crate::{
    cost::Cost,
    rate_limit::{counts::Shadow, epoch::Nanos, learned::amount, limit::Limit},
};

impl State {
    pub(crate) fn queued(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.line.len())
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The share of the tightest limit that would be taken after a request of this cost.
    pub(crate) fn risk(&mut self, cost: Cost, now: Nanos) -> f64 {
        let now = self.move_to(now);
        let usage = self.counts.usage(&self.quota, now);
        let binding = usage.filter(|(limit, ..)| !limit.is_shadow && !limit.is_spacing);
        let shares = binding.map(|(limit, used, _)| {
            let used = used.saturating_add(amount(limit, cost));
            used as f64 / limit.capacity() as f64
        });
        let most = self.quota.max_concurrent;
        let of_slots = most.map(|most| (f64::from(self.in_flight) + 1.0) / f64::from(most));
        shares.chain(of_slots).fold(0.0, f64::max)
    }

    /// Each limit, how much of it is taken, and when all of it will be free again.
    pub(crate) fn usage(&mut self, now: Nanos) -> impl Iterator<Item = (&Limit, u64, Nanos)> {
        let now = self.move_to(now);
        let usage = self.counts.usage(&self.quota, now);
        usage.filter(|(limit, ..)| !limit.is_spacing)
    }

    /// The limit that holds a request of this cost back the longest, in words; `None` where it is none of them.
    pub(crate) fn held_back_by(&mut self, cost: Cost, now: Nanos) -> Option<Box<str>> {
        let now = self.move_to(now);
        let limit = self.counts.longest(&self.quota, cost, now)?;
        Some(limit.to_string().into())
    }

    /// The limit that a request is too large for, in words.
    pub(crate) fn in_words(&self, limit: Option<usize>) -> Arc<str> {
        match limit {
            Some(index) => self.quota.limits[index].to_string().into(),
            None => "max_tokens_per_request".into(),
        }
    }

    /// The limit of a shadow.
    pub(crate) fn shadowed(&self, shadow: Shadow) -> Option<&Limit> {
        let mut usage = self.counts.usage(&self.quota, self.latest);
        usage.nth(shadow.limit).map(|(limit, ..)| limit)
    }
}
