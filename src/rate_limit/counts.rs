//! What is taken of a quota: all its windows, and the spacing, at once.

use super::{
    config::{Limit, Quota},
    window::{Nanos, Window},
};
use crate::{outcome::Dimension, request::Cost};

/// What is taken of a quota.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// In the order of the quota's limits.
    windows: Vec<Window>,
    /// When the minimum interval since the last admission has passed.
    spaced: Nanos,
}

impl Counts {
    pub(super) fn new(quota: &Quota) -> Self {
        Self {
            windows: quota.limits.iter().map(Window::new).collect(),
            spaced: 0,
        }
    }

    /// The first moment, not before `from`, at which the cost fits every limit.
    pub(super) fn earliest(&mut self, quota: &Quota, cost: Cost, from: Nanos) -> Nanos {
        let from = from.max(self.spaced);
        let limits = quota.limits.iter().zip(&mut self.windows);
        let fits = limits.map(|(limit, window)| window.earliest(amount(limit, cost), from));
        fits.fold(from, Nanos::max)
    }

    pub(super) fn take(&mut self, quota: &Quota, cost: Cost, now: Nanos) {
        for (limit, window) in quota.limits.iter().zip(&mut self.windows) {
            window.take(amount(limit, cost), now);
        }
        let interval = Nanos::try_from(quota.min_interval.as_nanos()).unwrap_or(Nanos::MAX);
        self.spaced = now.saturating_add(interval);
    }

    /// Corrects what was taken at the moment `at` from `reserved` to `used`.
    pub(super) fn settle(
        &mut self,
        quota: &Quota,
        at: Nanos,
        reserved: Cost,
        used: Cost,
        now: Nanos,
    ) {
        for (limit, window) in quota.limits.iter().zip(&mut self.windows) {
            window.settle(at, amount(limit, reserved), amount(limit, used), now);
        }
    }

    /// Gives back all that was taken at the moment `at`.
    pub(super) fn give_back(&mut self, quota: &Quota, at: Nanos, reserved: Cost, now: Nanos) {
        for (limit, window) in quota.limits.iter().zip(&mut self.windows) {
            window.settle(at, amount(limit, reserved), 0, now);
        }
    }

    /// Keeps the windows of limits that both quotas have, and begins the others empty.
    pub(super) fn change_quota(&mut self, from: &Quota, to: &Quota) {
        let windows = to.limits.iter().map(|limit| {
            match from.limits.iter().position(|other| other == limit) {
                Some(index) => self.windows[index].clone(),
                None => Window::new(limit),
            }
        });
        self.windows = windows.collect();
    }

    /// How much of the limit with this index is taken, and when so much of it as `capacity` will be free.
    pub(super) fn usage(&mut self, limit: usize, capacity: u64, now: Nanos) -> (u64, Nanos) {
        let window = &mut self.windows[limit];
        (window.used(now), window.earliest(capacity, now))
    }

    pub(super) fn is_empty(&mut self, now: Nanos) -> bool {
        self.spaced <= now && self.windows.iter_mut().all(|window| window.used(now) == 0)
    }
}

/// A cost that is above a limit, whatever is free of it.
pub(super) struct TooLarge {
    /// The index of the limit; `None` for the limit of a single request.
    pub(super) limit: Option<usize>,
}

pub(super) fn too_large(quota: &Quota, cost: Cost) -> Option<TooLarge> {
    if quota
        .max_tokens_per_request
        .is_some_and(|most| cost.total_tokens() > most)
    {
        return Some(TooLarge { limit: None });
    }
    let index = quota
        .limits
        .iter()
        .position(|limit| amount(limit, cost) > limit.capacity())?;
    Some(TooLarge { limit: Some(index) })
}

fn amount(limit: &Limit, cost: Cost) -> u64 {
    match limit.dimension {
        Dimension::Requests => 1,
        Dimension::Tokens => cost.total_tokens(),
        Dimension::InputTokens => cost.input_tokens,
        Dimension::OutputTokens => cost.output_tokens,
        _ => 0,
    }
}
