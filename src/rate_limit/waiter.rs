//! A place in the queue.

use std::{sync::Arc, task::Waker, time::Instant};

use smallvec::SmallVec;

use super::{
    asking::Asking,
    decision::{Look, Turn},
    limiters::{Limiters, States},
    permit::Permit,
    queue::Place,
    state::State,
};
use crate::{
    clock::Clock,
    error::{Error, RefusalReason},
    keys::{Locked, Spot},
};

/// A request that waits. Dropped, it leaves the queue.
///
/// Of several limiters, it stands in the queue of the one that holds it back the longest. When its turn comes there and
/// another holds it back by then, it goes over to that one's queue, to the place that its time of arrival gives it.
pub(super) struct Waiter {
    limiters: Limiters,
    spots: SmallVec<[Spot; 1]>,
    asking: Asking,
    /// In whose queue it stands, and where.
    line: usize,
    place: Place,
    /// The keys that it falls under, for a refusal.
    keys: SmallVec<[Arc<str>; 1]>,
    is_waiting: bool,
}

/// What a waiting request finds when it is woken.
pub(super) enum Wake {
    Admitted(Permit),
    /// Sleep until then, or until woken.
    Sleep(Option<Instant>),
    Refused(Error),
}

/// Wakers are foreign code: they are woken, and dropped, after the locks are free.
#[derive(Default)]
struct Foreign {
    to_wake: SmallVec<[Waker; 1]>,
    to_drop: SmallVec<[Waker; 1]>,
}

impl Waiter {
    /// Joins the queue of the limiter with this index.
    pub(super) fn join(
        limiters: &Limiters,
        states: &mut States<'_>,
        line: usize,
        asking: Asking,
    ) -> Self {
        states.iter_mut().for_each(|state| state.hold());
        let place = states[line].join(&asking.of(limiters[line].epoch()));
        Self {
            limiters: limiters.clone(),
            spots: states.iter().map(Locked::spot).collect(),
            keys: states.iter().map(|state| state.key().into()).collect(),
            asking,
            line,
            place,
            is_waiting: true,
        }
    }

    /// Passes if it is its turn, or says when to wake.
    pub(super) fn turn(&mut self, waker: &Waker) -> Wake {
        let (now, waker) = (self.clock().now(), waker.clone());
        let limiters = self.limiters.clone();
        let mut foreign = Foreign::default();
        let mut states = limiters.lock(self.spots.iter().copied());
        let until = match self.take_turn(&mut states, now, &mut foreign) {
            Turn::Pass => {
                self.leave(&mut states, &mut foreign);
                let (permit, tales) = Permit::take(&limiters, states, &self.asking, now);
                foreign.settle();
                let waited = now.saturating_duration_since(self.asking.at);
                tales.iter().for_each(|tale| tale.tell(waited));
                return Wake::Admitted(permit);
            }
            Turn::Wait { until } => until.map(|until| limiters[self.line].epoch().instant(until)),
        };
        let refused = self.is_out_of_patience(until, now);
        if refused {
            // The future that holds this may live on for long: the place is left now.
            self.leave(&mut states, &mut foreign);
        } else {
            let old = states[self.line].set_waker(self.place, waker);
            foreign.to_drop.extend(old);
        }
        drop(states);
        foreign.settle();
        match refused {
            true => Wake::Refused(self.refusal(until, now)),
            false => Wake::Sleep(until.into_iter().chain(self.asking.patience_ends).min()),
        }
    }

    /// Whether it is its turn, in whatever queue it stands then.
    fn take_turn(&mut self, states: &mut States<'_>, now: Instant, foreign: &mut Foreign) -> Turn {
        loop {
            let here = self.limiters[self.line].epoch();
            let turn = states[self.line].turn(self.place, self.asking.cost, here.nanos(now));
            let next = match turn {
                Turn::Pass => self.held_back_by(states, now),
                Turn::Wait { .. } => return turn,
            };
            let Some(next) = next else { return Turn::Pass };
            self.leave_line(&mut states[self.line], foreign);
            self.line = next;
            self.place = states[next].join(&self.asking.of(self.limiters[next].epoch()));
        }
    }

    /// The other limiter that would hold it back the longest.
    fn held_back_by(&self, states: &mut States<'_>, now: Instant) -> Option<usize> {
        let others = self.limiters.iter().zip(states).enumerate();
        let others = others.filter(|(index, _)| *index != self.line);
        let waits = others.filter_map(|(index, (limiter, state))| {
            let epoch = limiter.epoch();
            match state.look(&self.asking.of(epoch), epoch.nanos(now)) {
                Look::Pass => None,
                Look::Wait { until } => Some((epoch.instant(until), index)),
                // Its quota has changed meanwhile. What does not fit any more is refused when patience ends.
                Look::TooLarge { .. } => Some((now, index)),
            }
        });
        waits.max().map(|(_, index)| index)
    }

    /// Leaves the queue it stands in; whoever is the first now may pass.
    fn leave_line(&self, state: &mut State, foreign: &mut Foreign) {
        let (own, was_first) = state.leave(self.place);
        foreign.to_drop.extend(own);
        if was_first {
            foreign.to_wake.extend(state.first_waker());
        }
    }

    /// Waits no more.
    fn leave(&mut self, states: &mut States<'_>, foreign: &mut Foreign) {
        self.is_waiting = false;
        self.leave_line(&mut states[self.line], foreign);
        states.iter_mut().for_each(|state| state.release());
    }

    /// Whether patience is over, or will be before the time at which the request could be admitted.
    fn is_out_of_patience(&self, until: Option<Instant>, now: Instant) -> bool {
        let latest = self.asking.patience_ends;
        latest.is_some_and(|latest| now >= latest || until.is_some_and(|until| until > latest))
    }

    fn refusal(&self, until: Option<Instant>, now: Instant) -> Error {
        let settings = self.limiters[self.line].settings();
        let wait = until.map(|until| until.saturating_duration_since(now));
        let reason = RefusalReason::WaitTooLong;
        settings.refuse(self.keys[self.line].clone(), reason, wait, Arc::default())
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.limiters.clock()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.is_waiting {
            let limiters = self.limiters.clone();
            let mut foreign = Foreign::default();
            let mut states = limiters.lock(self.spots.iter().copied());
            self.leave(&mut states, &mut foreign);
            drop(states);
            foreign.settle();
        }
    }
}

impl Foreign {
    fn settle(self) {
        drop(self.to_drop);
        self.to_wake.into_iter().for_each(Waker::wake);
    }
}
