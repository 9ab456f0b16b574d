//! What is taken of a limit beyond what went through here.

use std::time::Duration;

use super::{
    epoch::{Anchor, Nanos},
    limit::Limit,
    saved::SavedElsewhere,
    told::LONGEST,
    window::Window,
};
use crate::instant::nanos;

/// What an upstream says is taken beyond what went through here: by other clients, or counted otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Elsewhere {
    pub(super) amount: u64,
    /// When the upstream renews the quota.
    pub(super) until: Nanos,
}

impl Elsewhere {
    /// What is taken elsewhere, until the upstream renews the quota.
    pub(super) fn heard(
        limit: &Limit,
        amount: u64,
        reset_after: Option<Duration>,
        now: Nanos,
    ) -> Self {
        let reset_after = reset_after.unwrap_or(limit.per).min(LONGEST);
        Self {
            amount,
            until: now.saturating_add(nanos(reset_after)),
        }
    }

    pub(super) fn is_told(&self) -> bool {
        self.until > 0
    }

    pub(super) fn taken(self, now: Nanos) -> u64 {
        if self.until > now { self.amount } else { 0 }
    }

    pub(super) fn save(self, anchor: Anchor, now: Nanos) -> Option<SavedElsewhere> {
        (self.taken(now) > 0).then(|| SavedElsewhere {
            amount: self.amount,
            until: anchor.wall_of(self.until),
        })
    }

    /// What was told before, where the quota has not been renewed since.
    pub(super) fn restored(saved: SavedElsewhere, anchor: Anchor, now: Nanos) -> Option<Self> {
        let longest = now.saturating_add(nanos(LONGEST));
        let until = anchor.nanos_of(saved.until).min(longest);
        let amount = saved.amount;
        (until > now).then_some(Self { amount, until })
    }

    /// The first moment, not before `now`, at which so much fits beside what was taken here and elsewhere.
    pub(super) fn earliest(self, limit: &Limit, window: &Window, amount: u64, now: Nanos) -> Nanos {
        let alone = window.earliest(limit, amount, now);
        let taken = self.taken(now);
        if amount == 0 || taken == 0 {
            return alone;
        }
        let renewed = alone.max(self.until);
        match amount.checked_add(taken) {
            Some(both) if both <= limit.capacity() => {
                window.earliest(limit, both, now).min(renewed)
            }
            _ => renewed,
        }
    }
}
