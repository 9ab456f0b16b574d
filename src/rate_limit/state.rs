//! The state of one key: its windows, its queue, what is under way. Pure: it is told the time.
//!
//! A request [`look`](State::look)s, and passes or waits. Who passes is [`admit`](State::admit)ted; who waits
//! [`join`](State::join)s the queue and asks for his [`turn`](State::turn) when he is woken: only the first is ever
//! admitted, and only he is told a time to wake at. What was admitted ends exactly once: [`finish`](State::finish)ed, or
//! [`refund`](State::refund)ed when nothing was sent.

mod granted;
mod kept;
mod settled;
mod view;

use std::{sync::Arc, task::Waker, time::Duration};

use super::{
    config::Quota,
    counts::{Counts, Shadow},
    decision::{Admitted, Asked, Look, Turn},
    epoch::{Nanos, WallNanos},
    line::Line,
    mark::{Admissions, Mark, Then},
    queue::Place,
    size::{TooLarge, room_for_answer, too_large},
    told::Told,
    typical::Typical,
};
use crate::request::Cost;

/// The state of one key. It is kept small, for there may be a million of them.
#[derive(Debug)]
pub(super) struct State {
    quota: Arc<Quota>,
    latest: Nanos,
    /// As it was [told](State::heed_holds) last.
    in_flight: u32,
    admitted: Admissions,
    counts: Counts,
    rare: Option<Box<Rare>>,
}

/// What most keys do without.
#[derive(Debug, Default)]
struct Rare {
    line: Line,
    /// Who waits and will come back to it, in this queue or in that of another limiter.
    waiting: u32,
    paused: Nanos,
    /// What answers use where the request sets no maximum.
    typical: Option<Typical>,
    /// What the quota was before another was set for this key, which gives way to no other.
    set_over: Option<Arc<Quota>>,
    /// Whether the quota is what an upstream granted before a restart, until a request tells what it grants now.
    is_restored: bool,
}

/// What follows from what an answer said of a limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Whether the first of the queue may pass earlier for it.
    pub(super) eased: bool,
    /// For how long nothing is left, of a limit of which no more is known.
    pub(super) closed_for: Option<Duration>,
}

impl Rare {
    fn lets_pass(&self, now: Nanos) -> bool {
        self.line.len() == 0 && self.paused <= now
    }
}

impl State {
    /// An empty state; `wall` is the time of day at the limiter's nanosecond zero.
    pub(super) fn new(quota: Arc<Quota>, now: Nanos, wall: WallNanos) -> Self {
        Self {
            counts: Counts::new(&quota, now, wall),
            quota,
            latest: now,
            in_flight: 0,
            admitted: Admissions::default(),
            rare: None,
        }
    }

    /// Whether it is seen at a glance that a request passes. Where it is not, the request may pass all the same: then it has to
    /// [`look`](Self::look).
    #[inline(always)]
    pub(super) fn has_room(&self, cost: &Cost, now: Nanos) -> bool {
        let now = self.latest.max(now);
        let most = self.quota.max_tokens_per_request;
        self.rare.as_ref().is_none_or(|rare| rare.lets_pass(now))
            && !self.is_full()
            && most.is_none_or(|most| cost.total_tokens() <= most)
            && self.counts.have_room(&self.quota, cost, now)
    }

    /// Whether a request that asks now would pass, and when else. Nothing is taken.
    #[inline(never)]
    pub(super) fn look(&mut self, asked: &Asked, now: Nanos) -> Look {
        let now = self.move_to(now);
        if let Some(TooLarge { limit }) = too_large(&self.quota, &asked.cost) {
            return Look::TooLarge { limit };
        }
        let from = now.max(self.paused());
        let fits = self.counts.earliest(&self.quota, &asked.cost, from);
        match self.predict(asked, from) {
            Some(until) => Look::Wait { until },
            None if fits > now || self.is_full() => Look::Wait { until: fits },
            None => Look::Pass,
        }
    }

    /// When those are through who wait ahead of a request; none where nobody does.
    fn predict(&mut self, asked: &Asked, from: Nanos) -> Option<Nanos> {
        let line = &mut self.rare.as_mut()?.line;
        let counts = (&*self.quota, &self.counts);
        (!line.is_next(asked)).then(|| line.predict(counts, asked, from))
    }

    /// What a request of this cost will cost, as far as is known.
    pub(super) fn likely(&self, cost: Cost) -> Cost {
        match cost.is_guess {
            true => self.make_fit(self.expect(cost)),
            false => cost,
        }
    }

    /// What to expect of a request whose cost is a guess.
    pub(super) fn expect(&self, guess: Cost) -> Cost {
        let typical = self.rare.as_ref().and_then(|rare| rare.typical);
        Cost {
            output_tokens: typical.map_or(guess.output_tokens, Typical::tokens),
            ..guess
        }
    }

    /// No guess makes a request too large that may turn out not to be.
    pub(super) fn make_fit(&self, guess: Cost) -> Cost {
        let room = room_for_answer(&self.quota, guess.input_tokens);
        Cost {
            output_tokens: guess.output_tokens.min(room),
            ..guess
        }
    }

    /// Learns from what an answer used whose cost was a guess.
    pub(super) fn learn(&mut self, used: Cost) {
        let typical = &mut self.rare().typical;
        match typical {
            Some(typical) => typical.learn(used.output_tokens),
            None => *typical = Some(Typical::first(used.output_tokens)),
        }
    }

    /// Takes what a request costs.
    #[inline(always)]
    pub(super) fn admit(&mut self, cost: &Cost, now: Nanos) -> Admitted {
        let now = self.move_to(now);
        self.counts.take(&self.quota, cost, now);
        self.in_flight = self.in_flight.saturating_add(1);
        let admitted = self.admitted.and(cost);
        self.admitted = admitted;
        self.heed_change();
        Admitted { at: now, admitted }
    }

    /// Whether some limits hold nobody back, and only say whom they would have.
    #[inline]
    pub(super) fn has_shadow(&self) -> bool {
        self.quota.has_shadow
    }

    /// What such a limit would do with a request of this cost.
    #[cold]
    pub(super) fn shadow(&mut self, cost: &Cost, now: Nanos) -> Option<Shadow> {
        let now = self.move_to(now);
        self.counts.shadow(&self.quota, *cost, now)
    }

    /// Whether the upstream tells of limits.
    #[inline]
    pub(super) fn learns(&self) -> bool {
        self.counts.learns()
    }

    /// How each limit stands, where the upstream tells of limits: what an answer will be understood by.
    pub(super) fn then_if_learned(&self) -> Option<Box<[Then]>> {
        self.counts.then_if_learned(&self.quota, self.latest)
    }

    /// Puts a request into the queue.
    pub(super) fn join(&mut self, asked: &Asked) -> Place {
        let quota = self.quota.clone();
        self.rare().line.join(&quota, asked)
    }

    /// Whether it is the turn of a request that waits. It [`leave`](Self::leave)s before it is admitted.
    pub(super) fn turn(&mut self, place: Place, cost: Cost, now: Nanos) -> Turn {
        let now = self.move_to(now);
        if self.first() != Some(place) {
            return Turn::Wait { until: None };
        }
        if let Some(TooLarge { limit }) = too_large(&self.quota, &cost) {
            return Turn::TooLarge { limit };
        }
        if self.is_full() {
            return Turn::Wait { until: None };
        }
        let from = now.max(self.paused());
        let until = self.counts.earliest(&self.quota, &cost, from);
        match until > now {
            true => Turn::Wait { until: Some(until) },
            false => Turn::Pass,
        }
    }

    /// Takes a request out of the queue. Returns its waker, which is foreign code, and whether it was the first.
    pub(super) fn leave(&mut self, place: Place) -> (Option<Waker>, bool) {
        let was_first = self.first() == Some(place);
        let waker = self.rare.as_mut().and_then(|rare| rare.line.leave(place));
        (waker, was_first)
    }

    /// A request has ended. Returns whether the first of the queue may pass earlier for it.
    #[inline]
    pub(super) fn finish(&mut self) -> bool {
        let was_full = self.is_full();
        self.in_flight = self.in_flight.saturating_sub(1);
        was_full && !self.is_full()
    }

    /// Admits nobody before `until`. A pause is only ever extended. Returns whether it was.
    pub(super) fn pause(&mut self, until: Nanos, now: Nanos) -> bool {
        let now = self.move_to(now);
        let extended = until > self.paused() && until > now;
        if extended {
            let rare = self.rare();
            rare.paused = until;
            rare.line.forget_forecast();
        }
        extended
    }

    /// Lifts a pause.
    pub(super) fn resume(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.paused = 0;
            rare.line.forget_forecast();
        }
    }

    /// Forgets what was taken, and lifts a pause. What is under way, or waits, stays so.
    pub(super) fn reset(&mut self, now: Nanos, wall: WallNanos) {
        let now = self.move_to(now);
        // What was taken a moment ago must not be settled against what comes after, in this same nanosecond neither.
        self.latest = now.saturating_add(1);
        self.counts = Counts::new(&self.quota, self.latest, wall);
        if let Some(rare) = &mut self.rare {
            rare.paused = 0;
            rare.line.forget_forecast();
        }
    }

    /// Heeds what an answer says of the upstream's limits; `mark` is what was known when its request was admitted.
    pub(super) fn heed(
        &mut self,
        mark: Mark<'_>,
        told: Told,
        now: Nanos,
        wall: WallNanos,
    ) -> Heard {
        let (admitted, mut closed_for) = (self.admitted, None);
        let eased = self.change(now, |counts, quota, now| {
            closed_for = counts.heed(quota, told, (mark, admitted), now, wall);
        });
        Heard { eased, closed_for }
    }

    /// The upstream refused a request, admitted at `sent`, for its rate.
    pub(super) fn refused(&mut self, sent: Nanos, named: Nanos, now: Nanos) {
        let now = self.move_to(now);
        self.counts.refused(sent, named, now);
        self.forget_forecast();
    }

    /// So many hold on to this state, so that it does not vanish: those who are under way, and those who wait.
    #[inline]
    pub(super) fn heed_holds(&mut self, held: u32) {
        let waiting = self.rare.as_ref().map_or(0, |rare| rare.waiting);
        self.in_flight = held.saturating_sub(waiting);
    }

    /// One of those who hold on to it waits.
    pub(super) fn begin_wait(&mut self) {
        self.rare().waiting += 1;
    }

    pub(super) fn end_wait(&mut self) {
        let rare = self.rare();
        rare.waiting = rare.waiting.saturating_sub(1);
    }

    /// Whom to wake; he says so anew when he asks for his turn.
    pub(super) fn first_waker(&mut self) -> Option<Waker> {
        self.rare.as_mut()?.line.first_waker()
    }

    pub(super) fn set_waker(&mut self, place: Place, waker: Waker) -> Option<Waker> {
        self.rare.as_mut()?.line.set_waker(place, waker)
    }

    /// Until when nobody is admitted; in the past, or zero, where nothing stands in the way.
    pub(super) fn paused(&self) -> Nanos {
        self.rare.as_ref().map_or(0, |rare| rare.paused)
    }

    /// Whether a state made anew would behave the same.
    pub(super) fn is_idle(&mut self, now: Nanos) -> bool {
        let now = self.move_to(now);
        self.in_flight == 0
            && self.rare.as_ref().is_none_or(|rare| rare.waiting == 0)
            && !self.is_quota_set()
            && self.paused() <= now
            && self.counts.is_empty(&self.quota, now)
    }

    /// Changes what is taken. Returns whether the first of the queue may pass earlier for it: nobody is woken for nothing.
    fn change(&mut self, now: Nanos, change: impl FnOnce(&mut Counts, &Quota, Nanos)) -> bool {
        let now = self.move_to(now);
        let first = self.rare.as_mut().and_then(|rare| {
            rare.line.heed_change();
            rare.line.first_cost()
        });
        let quota = &*self.quota;
        let before = first.map(|cost| self.counts.earliest(quota, &cost, now));
        change(&mut self.counts, quota, now);
        let after = first.map(|cost| self.counts.earliest(quota, &cost, now));
        if after > before {
            self.forget_forecast();
        }
        after < before
    }

    fn first(&self) -> Option<Place> {
        self.rare.as_ref()?.line.first()
    }

    /// Whether only so many may be under way.
    #[inline]
    pub(super) fn is_capped(&self) -> bool {
        self.quota.max_concurrent.is_some()
    }

    /// Whether as many are under way as may be.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        let most = self.quota.max_concurrent;
        most.is_some_and(|most| self.in_flight >= most)
    }

    fn forget_forecast(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.line.forget_forecast();
        }
    }

    fn heed_change(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.line.heed_change();
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The latest time seen: a clock that steps back has no effect.
    fn move_to(&mut self, now: Nanos) -> Nanos {
        self.latest = self.latest.max(now);
        self.latest
    }
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
