//! What an upstream tells of its limits: what is left of those that are known, and limits that nobody had set.

use std::{cmp::Ordering, time::Duration};

use super::{
    config::{MOST_LIMITS, Quota},
    epoch::{Anchor, Nanos, WallNanos},
    limit::Limit,
    mark::{Admissions, Mark},
    pace::Pace,
    refunds::{Refunds, Settlement},
    saved::{SavedElsewhere, SavedLimit},
    size::amount,
    window::Window,
};
use crate::instant::nanos;
use crate::{outcome::Dimension, request::Cost};

/// What an upstream says of one of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) dimension: Dimension,
    pub(super) period: Option<Duration>,
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    pub(super) reset_after: Option<Duration>,
}

/// What an upstream says is taken beyond what went through here: by other clients, or counted otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Elsewhere {
    amount: u64,
    /// When the upstream renews the quota.
    until: Nanos,
}

/// All that the upstream of one key told.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    /// For each limit of the quota, and then for each that was learned; shorter where nothing was told.
    pub(super) elsewhere: Vec<Elsewhere>,
    /// The same for what is given back, once the upstream tells of any limit.
    pub(super) refunds: Vec<Refunds>,
    pub(super) limits: Vec<(Limit, Window)>,
    /// Where neither the quota nor the upstream has a limit.
    pub(super) pace: Option<Pace>,
}

impl Told {
    /// What the upstream had counted.
    fn counted(&self, limit: &Limit) -> u64 {
        limit.capacity().saturating_sub(self.remaining)
    }

    /// How much is taken elsewhere, by what the upstream had counted when the request came there: that, less what had gone
    /// through here by then. It never raises what is left above our own count: what the upstream has not counted yet, it
    /// cannot tell.
    ///
    /// What has left our count since then has been renewed, but not for us alone: others have had their share of it, which
    /// is taken to be their share of the quota. Where it is not known what had gone through here, nothing was renewed.
    fn elsewhere(&self, limit: &Limit, used_then: Option<u64>, used_now: u64, since: u64) -> u64 {
        let (capacity, counted) = (limit.capacity(), self.counted(limit));
        let Some(used_then) = used_then else {
            return counted.saturating_add(since).saturating_sub(used_now);
        };
        let elsewhere = counted.saturating_sub(used_then);
        let renewed = used_then.saturating_add(since).saturating_sub(used_now);
        let share = u128::from(renewed) * u128::from(elsewhere) / u128::from(capacity.max(1));
        elsewhere.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

impl Elsewhere {
    /// What is taken elsewhere, until the upstream renews the quota.
    fn heard(limit: &Limit, amount: u64, reset_after: Option<Duration>, now: Nanos) -> Self {
        let reset_after = reset_after.unwrap_or(limit.per).min(LONGEST);
        Self {
            amount,
            until: now.saturating_add(nanos(reset_after)),
        }
    }

    fn is_told(&self) -> bool {
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

impl Learned {
    /// Heeds what the upstream says of a limit. `mark` is what was known when the request was admitted; `admitted` is all that was
    /// admitted until now.
    ///
    /// A limit that the quota does not have is taken up, where the upstream says its amount and period.
    pub(super) fn heed(
        &mut self,
        (quota, windows): (&Quota, &[Window]),
        told: Told,
        (mark, admitted): (Mark<'_>, Admissions),
        now: Nanos,
        wall: WallNanos,
    ) {
        let Some(index) = self
            .find(quota, told)
            .or_else(|| self.take_up(quota, told, now, wall))
        else {
            return;
        };
        let by = at(&mut self.refunds, index).compare(mark.admitted);
        if let Some(learned) = index.checked_sub(quota.limits.len()) {
            self.change_amount(learned, told, by);
        }
        let (limit, window) = match index.checked_sub(quota.limits.len()) {
            None => (&quota.limits[index], &windows[index]),
            Some(learned) => {
                let (limit, window) = &self.limits[learned];
                (limit, window)
            }
        };
        let since = amount_since(limit, mark.admitted, admitted);
        let used_now = window.used(limit, now);
        let refunds = at(&mut self.refunds, index);
        let then = mark.then.and_then(|then| then.get(index));
        let used_then = then.map(|then| match by {
            Ordering::Less => then.used,
            // What has been given back of it since goes for nothing: the upstream may still count it.
            _ => then
                .used
                .saturating_sub(refunds.since(then.given_back, mark.admitted)),
        });
        let elsewhere = told.elsewhere(limit, used_then, used_now, since);
        let heard = Elsewhere::heard(limit, elsewhere, told.reset_after, now);
        let known = at(&mut self.elsewhere, index);
        // Answers overtake one another: an older one frees nothing of what a later one told, nor does one of what it said before.
        if by != Ordering::Greater && known.taken(now) >= heard.amount {
            return;
        }
        *known = heard;
        let floor = match elsewhere {
            0 => used_now.min(told.counted(limit).saturating_add(since)),
            _ => used_now.saturating_add(elsewhere),
        };
        refunds.hear(mark.admitted, floor, admitted);
    }

    /// Corrects what a request took to what it used. What that gives back of what the upstream said is gone stays taken until it
    /// says otherwise, or renews the quota.
    pub(super) fn settle(
        &mut self,
        (quota, windows): (&Quota, &mut [Window]),
        settlement: &Settlement,
        now: Nanos,
    ) {
        let known = quota.limits.iter().zip(windows);
        let learned = self.limits.iter_mut();
        let learned = learned.map(|(limit, window)| (&*limit, window));
        for (index, (limit, window)) in known.chain(learned).enumerate() {
            if self.elsewhere.is_empty() {
                settlement.book(limit, window, now);
                continue;
            }
            let before = window.used(limit, now);
            settlement.book(limit, window, now);
            let change = (before, window.used(limit, now));
            let elsewhere = self.elsewhere.get_mut(index);
            let taken = elsewhere.as_ref().map_or(0, |it| it.taken(now));
            let refunds = at(&mut self.refunds, index);
            let since = amount_since(limit, refunds.heard(), settlement.admitted);
            let kept = refunds.settle(settlement.request, change, taken, since);
            if let Some(elsewhere) = elsewhere.filter(|it| it.until > now) {
                elsewhere.amount = elsewhere.amount.saturating_add(kept);
            }
        }
    }

    /// The limit that an upstream speaks of: the one of that period, or, where it names none, of that amount, or the only
    /// one that counts the same.
    fn find(&self, quota: &Quota, told: Told) -> Option<usize> {
        let all = quota
            .limits
            .iter()
            .chain(self.limits.iter().map(|(limit, _)| limit));
        let same = all
            .enumerate()
            .filter(|(_, limit)| limit.dimension == told.dimension && !limit.is_spacing);
        let mut same = same.map(|(index, limit)| (index, limit.per, limit.amount));
        match told.period {
            Some(period) => same
                .find(|(_, per, _)| *per == period)
                .map(|(index, ..)| index),
            None => {
                let same: Vec<_> = same.collect();
                let of_amount = same.iter().find(|(.., amount)| Some(*amount) == told.limit);
                let only = same.first().filter(|_| same.len() == 1);
                of_amount.or(only).map(|(index, ..)| *index)
            }
        }
    }

    fn take_up(&mut self, quota: &Quota, told: Told, now: Nanos, wall: WallNanos) -> Option<usize> {
        let index = quota.limits.len() + self.limits.len();
        let (amount, period) = (told.limit.filter(|limit| *limit > 0)?, told.period?);
        if index >= MOST_LIMITS {
            return None;
        }
        let limit = Limit::learned(told.dimension, amount, period);
        let window = Window::new(&limit, now, wall);
        self.limits.push((limit, window));
        self.pace = None;
        Some(index)
    }

    /// The latest amount holds, as its owner may have bought more; of several in one answer, the least.
    fn change_amount(&mut self, learned: usize, told: Told, by: Ordering) {
        let (limit, _) = &mut self.limits[learned];
        let (Some(amount @ 1..), Some(per)) = (told.limit, told.period) else {
            return;
        };
        let amount = match by {
            Ordering::Less => return,
            Ordering::Equal => amount.min(limit.amount),
            Ordering::Greater => amount,
        };
        *limit = Limit::learned(told.dimension, amount, per);
    }

    /// Takes what a request costs from what was learned.
    pub(super) fn take(&mut self, cost: &Cost, now: Nanos) {
        for (limit, window) in &mut self.limits {
            window.take(limit, amount(limit, *cost), now);
        }
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    /// Whether it has no say in who passes.
    #[inline]
    pub(super) fn holds_nobody(&self) -> bool {
        let is_silent = self.elsewhere.is_empty() && self.limits.is_empty();
        is_silent && self.pace.as_ref().is_none_or(Pace::is_free)
    }

    /// Adds what was taken of a limit that was learned, and takes the limit up where neither the quota nor an upstream has
    /// told of it since.
    pub(super) fn restore(
        &mut self,
        quota: &Quota,
        saved: &SavedLimit,
        anchor: Anchor,
        now: Nanos,
        wall: WallNanos,
    ) {
        let limit = &saved.limit;
        let like = |other: &Limit| {
            !other.is_spacing && (other.dimension, other.per) == (limit.dimension, limit.per)
        };
        if quota.limits.iter().any(like) {
            return;
        }
        let known = self.limits.iter().position(|(limit, _)| like(limit));
        let index = match known {
            Some(index) => index,
            None if quota.limits.len() + self.limits.len() >= MOST_LIMITS => return,
            None => {
                let window = Window::new(limit, now, wall);
                self.limits.push((limit.clone(), window));
                self.pace = None;
                self.limits.len() - 1
            }
        };
        let (limit, window) = &mut self.limits[index];
        window.restore(limit, &saved.taken, anchor, now);
        let told = saved.elsewhere;
        if let Some(told) = told.and_then(|told| Elsewhere::restored(told, anchor, now)) {
            self.heed_again(quota.limits.len() + index, told, now);
        }
    }

    /// Heeds what an upstream told before, beside what it has told since: the more of both holds, for the longer.
    pub(super) fn heed_again(&mut self, index: usize, told: Elsewhere, now: Nanos) {
        let heard = at(&mut self.elsewhere, index);
        heard.amount = told.amount.max(heard.taken(now));
        heard.until = told.until.max(heard.until);
    }

    /// Keeps, over a change of the quota, the limits that the new one does not have.
    pub(super) fn carry_over(&mut self, from: &Quota, to: &Quota) {
        let told = |index: usize| self.elsewhere.get(index).copied().unwrap_or_default();
        let configured = to.limits.iter().map(|limit| {
            let old = from.limits.iter().position(|other| other == limit);
            old.map(told).unwrap_or_default()
        });
        let mut elsewhere: Vec<_> = configured.collect();
        let refunds = |index: usize| self.refunds.get(index).cloned().unwrap_or_default();
        let configured = to.limits.iter().map(|limit| {
            let old = from.limits.iter().position(|other| other == limit);
            old.map(refunds).unwrap_or_default()
        });
        let mut kept: Vec<_> = configured.collect();
        let learned = std::mem::take(&mut self.limits).into_iter().enumerate();
        let is_new = |limit: &Limit| {
            let like = |other: &Limit| (other.dimension, other.per) == (limit.dimension, limit.per);
            !to.limits.iter().any(like)
        };
        for (index, (limit, window)) in learned.filter(|(_, (limit, _))| is_new(limit)) {
            elsewhere.push(told(from.limits.len() + index));
            kept.push(refunds(from.limits.len() + index));
            self.limits.push((limit, window));
        }
        // Of limits of which nothing was told there is nothing to carry: who knows of nothing holds nobody back.
        let told = elsewhere.iter().rposition(Elsewhere::is_told);
        elsewhere.truncate(told.map_or(0, |last| last + 1));
        (self.elsewhere, self.refunds) = (elsewhere, kept);
        let adapts = to.adapts() && self.limits.is_empty();
        self.pace = adapts.then(|| self.pace.take().unwrap_or_default());
    }
}

/// How much of a limit was admitted after an earlier request.
fn amount_since(limit: &Limit, earlier: Admissions, now: Admissions) -> u64 {
    let (requests, cost) = now.since(earlier);
    match limit.dimension {
        Dimension::Requests => requests,
        _ => amount(limit, cost),
    }
}

/// What stands at this place, which is made if it is not there.
fn at<T: Clone + Default>(all: &mut Vec<T>, index: usize) -> &mut T {
    if all.len() <= index {
        all.resize(index + 1, T::default());
    }
    &mut all[index]
}

/// A reset further off than this is a mistake, or a date that was read as a duration.
const LONGEST: Duration = Duration::from_secs(32 * 86_400);

#[cfg(test)]
mod tests;
