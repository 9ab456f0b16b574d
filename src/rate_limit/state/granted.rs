//! The quota that a state keeps to, and how it changes.

use std::sync::Arc;

use super::State;
use crate::rate_limit::{
    config::Quota,
    epoch::{Nanos, WallNanos},
};

impl State {
    pub(crate) fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Whether the quota was set for this key.
    pub(crate) fn is_quota_set(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.set_over.is_some())
    }

    /// Goes over to another quota. What was taken of a limit that only changes its amount stays taken.
    pub(crate) fn change_quota(&mut self, quota: Arc<Quota>, now: Nanos, wall: WallNanos) {
        let now = self.move_to(now);
        self.counts.change_quota(&self.quota, &quota, now, wall);
        self.quota = quota;
        if let Some(rare) = &mut self.rare {
            rare.is_restored = false;
            rare.line.forget_forecast();
        }
    }

    /// Goes over to another quota, and keeps it, whatever others say.
    pub(crate) fn set_quota(&mut self, quota: Arc<Quota>, now: Nanos, wall: WallNanos) {
        let before = self.quota.clone();
        self.rare().set_over.get_or_insert(before);
        self.change_quota(quota, now, wall);
    }

    /// Goes back to the quota that another was set over.
    pub(crate) fn unset_quota(&mut self, now: Nanos, wall: WallNanos) {
        let before = self.rare.as_mut().and_then(|rare| rare.set_over.take());
        if let Some(before) = before {
            self.change_quota(before, now, wall);
        }
    }

    /// Whether the quota is what an upstream granted before a restart.
    pub(crate) fn is_quota_restored(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_restored)
    }
}
