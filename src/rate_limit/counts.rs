//! What is taken of a quota: all its windows at once, and what the upstream told of them.

use std::time::Duration;

use super::{
    config::Quota,
    elsewhere::Elsewhere,
    epoch::{Anchor, Nanos, WallNanos},
    learned::Learned,
    limit::Limit,
    mark::{Admissions, Mark, Then},
    pace::Pace,
    refunds::{Refunds, Settlement},
    saved::SavedLimit,
    size::amount,
    told::Told,
    window::Window,
    windows::Windows,
};
use crate::{binding::BindingLimit, cost::Cost};

/// What is taken of a quota. It does not carry the quota: that stands once, whatever the number of keys.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    windows: Windows,
    learned: Option<Box<Learned>>,
}

/// How a limit is used.
pub(super) struct Usage<'a> {
    pub(super) limit: &'a Limit,
    pub(super) used: u64,
    pub(super) is_learned: bool,
    window: &'a Window,
    elsewhere: Elsewhere,
    now: Nanos,
}

/// A limit that holds nobody back, and would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shadow {
    pub(super) limit: usize,
    pub(super) until: Nanos,
}

impl Usage<'_> {
    /// When all of it will be free again. Reckoned only for those who ask: it looks at every slot.
    pub(super) fn free(&self) -> Nanos {
        let (limit, elsewhere) = (self.limit, self.elsewhere);
        elsewhere.earliest(limit, self.window, limit.capacity(), self.now)
    }
}

impl Counts {
    /// Empty counts that begin `now`; `wall` is the time of day at the limiter's nanosecond zero.
    pub(super) fn new(quota: &Quota, now: Nanos, wall: WallNanos) -> Self {
        let windows = quota
            .limits
            .iter()
            .map(|limit| Window::new(limit, now, wall));
        let learned = Learned {
            pace: Some(Pace::default()),
            ..Learned::default()
        };
        Self {
            windows: windows.collect(),
            learned: quota.adapts().then(|| Box::new(learned)),
        }
    }

    /// Whether it is seen at a glance that the cost fits every limit; see [`Window::has_room`].
    #[inline(always)]
    pub(super) fn have_room(&self, quota: &Quota, cost: &Cost, now: Nanos) -> bool {
        for (limit, window) in quota.limits.iter().zip(self.windows.as_slice()) {
            if !limit.is_shadow && !window.has_room(limit, amount(limit, *cost), now) {
                return false;
            }
        }
        let learned = self.learned.as_ref();
        learned.is_none_or(|learned| learned.holds_nobody())
    }

    /// The first moment, not before `from`, at which the cost fits every limit.
    #[inline]
    pub(super) fn earliest(&self, quota: &Quota, cost: &Cost, from: Nanos) -> Nanos {
        if self.learned.is_some() {
            return self.earliest_of_learned(quota, cost, from);
        }
        let mut earliest = from;
        for (limit, window) in quota.limits.iter().zip(self.windows.as_slice()) {
            if !limit.is_shadow {
                earliest = earliest.max(window.earliest(limit, amount(limit, *cost), from));
            }
        }
        earliest
    }

    // Apart, so that what nearly all keys need is small.
    #[inline(never)]
    fn earliest_of_learned(&self, quota: &Quota, cost: &Cost, from: Nanos) -> Nanos {
        let pace = self.pace();
        let mut earliest = pace.map_or(from, |pace| pace.earliest(from));
        for (limit, window, elsewhere) in self.each(quota) {
            if !limit.is_shadow {
                let fits = elsewhere.earliest(limit, window, amount(limit, *cost), from);
                earliest = earliest.max(fits);
            }
        }
        earliest
    }

    /// What holds a cost back the longest that has to wait, and until when.
    pub(super) fn binding(
        &self,
        quota: &Quota,
        cost: Cost,
        now: Nanos,
    ) -> (Nanos, Option<BindingLimit>) {
        let mut longest = match self.pace().map(|pace| pace.earliest(now)) {
            Some(until) if until > now => (until, Some(BindingLimit::AdaptedRate)),
            _ => (now, None),
        };
        for (limit, window, elsewhere) in self.each(quota) {
            let until = elsewhere.earliest(limit, window, amount(limit, cost), now);
            if !limit.is_shadow && until > longest.0 {
                longest = (until, Some(limit.binding()));
            }
        }
        longest
    }

    /// The shadow limit that would hold the cost back for the longest now.
    pub(super) fn shadow(&self, quota: &Quota, cost: Cost, now: Nanos) -> Option<Shadow> {
        let shadows = self.each(quota).enumerate();
        let shadows = shadows.filter(|(_, (limit, ..))| limit.is_shadow);
        let waits = shadows.map(|(index, (limit, window, elsewhere))| Shadow {
            limit: index,
            until: elsewhere.earliest(limit, window, amount(limit, cost), now),
        });
        waits
            .filter(|shadow| shadow.until > now)
            .max_by_key(|shadow| shadow.until)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, quota: &Quota, cost: &Cost, now: Nanos) {
        for (limit, window) in quota.limits.iter().zip(self.windows.as_mut_slice()) {
            window.take(limit, amount(limit, *cost), now);
        }
        if let Some(learned) = &mut self.learned {
            learned.take(cost, now);
        }
    }

    /// The upstream refused a request that was admitted at `sent`.
    pub(super) fn refused(&mut self, sent: Nanos, named: Nanos, now: Nanos) {
        if let Some(pace) = self.pace_mut() {
            pace.refused(sent, named, now);
        }
    }

    /// Corrects what a request took to what it used.
    pub(super) fn settle(&mut self, quota: &Quota, settlement: &Settlement, now: Nanos) {
        let windows = self.windows.as_mut_slice();
        match &mut self.learned {
            Some(learned) => learned.settle((quota, windows), settlement, now),
            None => {
                for (limit, window) in quota.limits.iter().zip(windows) {
                    settlement.book(limit, window, now);
                }
            }
        }
    }

    /// Heeds what the upstream says of a limit; see [`Learned::heed`].
    pub(super) fn heed(
        &mut self,
        quota: &Quota,
        told: Told,
        known: (Mark<'_>, Admissions),
        now: Nanos,
        wall: WallNanos,
    ) -> Option<Duration> {
        let learned = self.learned.get_or_insert_default();
        learned.heed((quota, self.windows.as_slice()), told, known, now, wall)
    }

    /// Goes over to another quota. What is taken of a limit that only changes its amount stays taken, as does what the
    /// upstream told of limits that stay as they are.
    pub(super) fn change_quota(&mut self, from: &Quota, to: &Quota, now: Nanos, wall: WallNanos) {
        let old = || from.limits.iter().zip(self.windows.as_slice());
        let windows = to.limits.iter().map(|limit| {
            let same = old().find(|(other, _)| becomes(other, limit));
            match same {
                Some((other, window)) => {
                    let mut window = window.clone();
                    window.resize(other, limit);
                    window
                }
                None => Window::new(limit, now, wall),
            }
        });
        self.windows = windows.collect();
        match &mut self.learned {
            Some(learned) => learned.carry_over(from, to),
            None => self.learned = Self::new(to, now, wall).learned,
        }
    }

    /// How each limit is used, those that were learned last.
    pub(super) fn usage<'a>(
        &'a self,
        quota: &'a Quota,
        now: Nanos,
    ) -> impl Iterator<Item = Usage<'a>> {
        let known = quota.limits.len();
        let each = self.each(quota).enumerate();
        each.map(move |(index, (limit, window, elsewhere))| Usage {
            limit,
            used: window.used(limit, now).saturating_add(elsewhere.taken(now)),
            is_learned: index >= known,
            window,
            elsewhere,
            now,
        })
    }

    /// Whether nothing holds anybody back but the limits of the quota.
    pub(super) fn is_plain(&self) -> bool {
        self.learned.is_none()
    }

    /// Whether the upstream tells of limits.
    #[inline]
    pub(super) fn learns(&self) -> bool {
        let learned = self.learned.as_ref();
        learned.is_some_and(|learned| !learned.elsewhere.is_empty())
    }

    /// How each limit stands, where the upstream tells of limits.
    pub(super) fn then_if_learned(&self, quota: &Quota, now: Nanos) -> Option<Box<[Then]>> {
        let learned = self.learned.as_ref().filter(|_| self.learns())?;
        let each = self.each(quota).enumerate();
        let then = each.map(|(index, (limit, window, _))| Then {
            used: window.used(limit, now),
            given_back: learned.refunds.get(index).map_or(0, Refunds::all),
        });
        Some(then.collect())
    }

    pub(super) fn is_empty(&self, quota: &Quota, now: Nanos) -> bool {
        self.pace().is_none_or(|pace| !pace.is_held(now))
            && self.usage(quota, now).all(|usage| usage.used == 0)
    }

    /// What is taken of each limit, for the wall clock.
    pub(super) fn save(&self, quota: &Quota, anchor: Anchor, now: Nanos) -> Vec<SavedLimit> {
        // What was inferred is soon inferred again.
        let each = self.each(quota).enumerate();
        let each = each.filter(|(_, (limit, ..))| !limit.is_inferred);
        let saved = each.map(|(index, (limit, window, elsewhere))| SavedLimit {
            limit: limit.clone(),
            is_learned: index >= quota.limits.len(),
            taken: window.save(limit, anchor, now),
            elsewhere: elsewhere.save(anchor, now),
        });
        saved.collect()
    }

    /// Adds what was taken of the limits that count the same, as over a [change of the quota](Self::change_quota).
    pub(super) fn restore(
        &mut self,
        quota: &Quota,
        saved: &[SavedLimit],
        anchor: Anchor,
        now: Nanos,
        wall: WallNanos,
    ) {
        let windows = self.windows.as_mut_slice().iter_mut();
        for (index, (limit, window)) in quota.limits.iter().zip(windows).enumerate() {
            let same = saved.iter().find(|saved| becomes(&saved.limit, limit));
            let Some(saved) = same else { continue };
            window.restore(limit, &saved.taken, anchor, now);
            let told = saved.elsewhere.filter(|_| saved.limit == *limit);
            if let Some(told) = told.and_then(|told| Elsewhere::restored(told, anchor, now)) {
                let learned = self.learned.get_or_insert_default();
                learned.heed_again(index, told, now);
            }
        }
        for saved in saved.iter().filter(|saved| saved.is_learned) {
            let learned = self.learned.get_or_insert_default();
            learned.restore(quota, saved, anchor, now, wall);
        }
    }

    #[inline]
    fn each<'a>(
        &'a self,
        quota: &'a Quota,
    ) -> impl Iterator<Item = (&'a Limit, &'a Window, Elsewhere)> {
        let learned = self.learned.as_deref();
        let known = quota.limits.iter().zip(self.windows.as_slice());
        let told = learned.map_or(&[][..], |learned| &learned.limits);
        let told = told.iter().map(|(limit, window)| (limit, window));
        let elsewhere = learned.map_or(&[][..], |learned| &learned.elsewhere);
        let all = known.chain(told).enumerate();
        all.map(|(index, (limit, window))| {
            (
                limit,
                window,
                elsewhere.get(index).copied().unwrap_or_default(),
            )
        })
    }

    fn pace(&self) -> Option<&Pace> {
        self.learned.as_ref()?.pace.as_ref()
    }

    #[inline]
    fn pace_mut(&mut self) -> Option<&mut Pace> {
        self.learned.as_mut()?.pace.as_mut()
    }
}

/// Whether one limit counts the same thing as another, over the same period and in the same way.
fn becomes(from: &Limit, to: &Limit) -> bool {
    (from.dimension, from.per) == (to.dimension, to.per) && from.counts_like(to)
}
