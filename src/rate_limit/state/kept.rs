//! What of a state is kept over a restart.

use std::sync::Arc;

use super::State;
use crate::rate_limit::{
    config::Quota,
    epoch::{Anchor, Nanos, WallNanos},
    saved::{SavedKey, SavedLimit, SavedQuota},
    typical::Typical,
};

impl State {
    /// What must survive a restart, where there is anything; `own` is the limiter's quota. What is under way stays taken.
    pub(crate) fn save(&mut self, key: &str, own: &Arc<Quota>, anchor: Anchor) -> Option<SavedKey> {
        let now = self.move_to(anchor.now);
        let paused = Some(self.paused()).filter(|until| *until > now);
        let mut limits = self.counts.save(&self.quota, anchor, now);
        let is_set = self.is_quota_set();
        let typical = self.rare.as_ref().and_then(|rare| rare.typical);
        let is_known = is_set || paused.is_some() || typical.is_some();
        if !is_known && !limits.iter().any(SavedLimit::is_worth_keeping) {
            return None;
        }
        let quota = (is_set || !Arc::ptr_eq(own, &self.quota)).then(|| SavedQuota {
            quota: self.quota.clone(),
            is_set,
        });
        if quota.is_none() {
            limits.retain(SavedLimit::is_worth_keeping);
        }
        Some(SavedKey {
            key: key.into(),
            quota,
            paused: paused.map(|until| anchor.wall_of(until)),
            limits,
            typical: typical.map(Typical::save),
        })
    }

    /// Goes over to the quota that the key had; one that it was given since, and is not the limiter's `own`, stays.
    pub(crate) fn restore_quota(
        &mut self,
        saved: &SavedQuota,
        own: &Arc<Quota>,
        now: Nanos,
        wall: WallNanos,
    ) {
        if self.is_quota_set() || (!saved.is_set && !Arc::ptr_eq(own, &self.quota)) {
            return;
        }
        let before = self.quota.clone();
        self.change_quota(saved.quota.clone(), now, wall);
        let rare = self.rare();
        rare.set_over = saved.is_set.then_some(before);
        rare.is_restored = !saved.is_set;
    }

    /// Adds what was taken and learned, and holds everybody back for as long as was asked.
    pub(crate) fn restore(&mut self, saved: &SavedKey, anchor: Anchor, wall: WallNanos) {
        let now = self.move_to(anchor.now);
        self.counts
            .restore(&self.quota, &saved.limits, anchor, now, wall);
        if let Some(until) = saved.paused {
            self.pause(anchor.nanos_of(until), now);
        }
        if let Some(typical) = saved.typical {
            let known = &mut self.rare().typical;
            known.get_or_insert_with(|| Typical::restored(typical));
        }
        if let Some(rare) = &mut self.rare {
            rare.line.forget_forecast();
        }
    }
}
