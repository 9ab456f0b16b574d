//! What an upstream tells of its limits: what is left of those that are known, and limits that nobody had set.

use std::{cmp::Ordering, time::Duration};

use super::{
    config::{MOST_LIMITS, Quota},
    elsewhere::Elsewhere,
    epoch::{Anchor, Nanos, WallNanos},
    limit::Limit,
    mark::{Admissions, Mark},
    pace::Pace,
    refunds::{Refunds, Settlement},
    saved::SavedLimit,
    size::{amount, amount_since},
    told::Told,
    window::Window,
};
use crate::request::Cost;

/// All that the upstream of one key told.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    /// For each limit of the quota, and then for each that was learned; shorter where nothing was told.
    pub(super) elsewhere: Vec<Elsewhere>,
    /// The same for what is given back, once the upstream tells of any limit.
    pub(super) refunds: Vec<Refunds>,
    pub(super) limits: Vec<(Limit, Window)>,
    /// Where neither the quota nor the upstream has a limit, or has one whose period was inferred.
    pub(super) pace: Option<Pace>,
    /// Whether an answer has contradicted a period that was inferred. From then on none is.
    pub(super) is_disproved: bool,
}

impl Learned {
    /// Heeds what the upstream says of a limit. `mark` is what was known when the request was admitted; `admitted` is all that was
    /// admitted until now.
    ///
    /// A limit that the quota does not have is taken up, where the upstream says its amount, and its period is told or follows.
    /// Returns for how long nothing is left of one of which no more is known.
    pub(super) fn heed(
        &mut self,
        (quota, windows): (&Quota, &[Window]),
        told: Told,
        (mark, admitted): (Mark<'_>, Admissions),
        now: Nanos,
        wall: WallNanos,
    ) -> Option<Duration> {
        let Some(index) = self
            .find(quota, told)
            .or_else(|| self.find(quota, told.with_inferred_period()?))
            .or_else(|| self.take_up(quota, told, (mark, admitted), now, wall))
        else {
            return told.closed_for(self.is_disproved);
        };
        let by = at(&mut self.refunds, index).compare(mark.admitted);
        let mut then = mark.then.and_then(|then| then.get(index));
        if let Some(learned) = index.checked_sub(quota.limits.len()) {
            let known = (mark, admitted);
            let is_inferred = self.limits[learned].0.is_inferred;
            if !is_inferred {
                self.change_amount(learned, told, by);
            } else if by != Ordering::Less && self.review(learned, told, known, (now, wall)) {
                then = None;
            }
        }
        let (limit, window) = match index.checked_sub(quota.limits.len()) {
            None => (&quota.limits[index], &windows[index]),
            Some(learned) => {
                let (limit, window) = &self.limits[learned];
                (limit, window)
            }
        };
        let holds_nobody = limit.is_inferred && limit.is_shadow;
        let closed_for = told.closed_for(self.is_disproved).filter(|_| holds_nobody);
        let since = amount_since(limit, mark.admitted, admitted);
        let used_now = window.used(limit, now);
        let refunds = at(&mut self.refunds, index);
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
            return closed_for;
        }
        *known = heard;
        let floor = match elsewhere {
            0 => used_now.min(told.counted(limit).saturating_add(since)),
            _ => used_now.saturating_add(elsewhere),
        };
        refunds.hear(mark.admitted, floor, admitted);
        closed_for
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
            if let Some(elsewhere) = elsewhere {
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

    fn take_up(
        &mut self,
        quota: &Quota,
        told: Told,
        known: (Mark<'_>, Admissions),
        now: Nanos,
        wall: WallNanos,
    ) -> Option<usize> {
        let index = quota.limits.len() + self.limits.len();
        let limit = self.limit_of(told).filter(|_| index < MOST_LIMITS)?;
        let window = told.window(&limit, known, now, wall);
        // What was inferred may be wrong: the rate is cut all the same where the upstream refuses.
        if !limit.is_inferred {
            self.pace = None;
        }
        self.limits.push((limit, window));
        Some(index)
    }

    /// The limit that is told, unless it would have to be inferred from what has proved to mean something else.
    fn limit_of(&self, told: Told) -> Option<Limit> {
        let limit = told.to_limit()?;
        (!limit.is_inferred || !self.is_disproved).then_some(limit)
    }

    /// A limit whose period was inferred goes by the latest answer. Where that contradicts it, nobody is held back by it any
    /// more; nor, where its amount has changed, before the period of that is inferred. Returns whether it is counted anew.
    fn review(
        &mut self,
        learned: usize,
        told: Told,
        known: (Mark<'_>, Admissions),
        (now, wall): (Nanos, WallNanos),
    ) -> bool {
        let latest = self.limit_of(told);
        let (limit, window) = &mut self.limits[learned];
        if told.contradicts(limit) {
            self.is_disproved = true;
            let inferred = self.limits.iter_mut().filter(|(it, _)| it.is_inferred);
            inferred.for_each(|(limit, _)| limit.is_shadow = true);
            return false;
        }
        let Some(latest) = latest else {
            limit.is_shadow |= told.limit.is_some_and(|amount| amount != limit.amount);
            return false;
        };
        let is_same = latest.per == limit.per && latest.counts_like(limit);
        match is_same {
            true => window.resize(limit, &latest),
            false => *window = told.window(&latest, known, now, wall),
        }
        if !latest.is_inferred {
            self.pace = None;
        }
        *limit = latest;
        !is_same
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
        let adapts = to.adapts() && self.limits.iter().all(|(limit, _)| limit.is_inferred);
        self.pace = adapts.then(|| self.pace.take().unwrap_or_default());
    }
}

/// What stands at this place, which is made if it is not there.
fn at<T: Clone + Default>(all: &mut Vec<T>, index: usize) -> &mut T {
    if all.len() <= index {
        all.resize(index + 1, T::default());
    }
    &mut all[index]
}

#[cfg(test)]
mod tests;
