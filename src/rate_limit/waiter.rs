//! A place in the queue.

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use tracing::Level;

use super::{
    asking::Asking,
    decision::{Asked, Look, Turn},
    handle::Found,
    limiters::Limiters,
    news::News,
    permit::Permit,
    queue::Place,
    restless::Restless,
    state::State,
    takings::Takings,
};
use crate::{
    clock::Clock,
    error::{BindingLimit, Error, Patience, RefusalReason},
    instant::after,
    keys::{Locked, Spot},
    observe::Event,
    request::{AttemptDeadline, RequestHead},
};

/// A request that waits. Dropped, it leaves the queue.
///
/// Of several limiters, it stands in the queue of the one that holds it back the longest. When its turn comes there and
/// another holds it back by then, it goes over to that one's queue, to the place that its time of arrival gives it.
pub(super) struct Waiter {
    limiters: Limiters,
    spots: Vec<Spot>,
    asking: Asking,
    /// How long after it came being admitted is still of use.
    patience: Option<Patience>,
    /// In whose queue it stands, and where.
    line: usize,
    place: Place,
    /// The keys that it falls under, for a refusal.
    keys: Vec<Arc<str>>,
    /// What held it back when it came, where somebody wants to know.
    limit: Option<BindingLimit>,
    is_waiting: bool,
    /// The attempt that it is, where one has a time.
    attempt: Option<AttemptDeadline>,
    /// Where somebody else could be asked.
    restless: Option<Restless>,
}

/// What a waiting request finds when it is woken.
pub(super) enum Wake {
    Admitted(Permit),
    /// Sleep until then, or until woken.
    Sleep(Option<Instant>),
    Refused(Error),
}

/// How a request whose turn has come in one queue stands with the other limiters.
enum HeldBack {
    No,
    By(usize),
    TooLarge {
        limiter: usize,
        limit: Option<usize>,
    },
}

/// Wakers are foreign code: they are woken, and dropped, after the locks are free.
#[derive(Default)]
struct Foreign {
    to_wake: Vec<Waker>,
    to_drop: Vec<Waker>,
}

impl Waiter {
    /// Joins the queue of the limiter with this index.
    pub(super) fn join(
        limiters: &Limiters,
        found: &mut [Found<'_>],
        line: usize,
        asking: Asking,
        patience: Option<Patience>,
        head: &RequestHead<'_>,
    ) -> Self {
        let attempt = head.extensions.get::<AttemptDeadline>().cloned();
        attempt.iter().for_each(|it| it.begin_wait(asking.asked));
        let events = &limiters.all()[line].settings().events;
        let is_heard = events.are_heard(Level::DEBUG);
        let limit = is_heard.then(|| found[line].state.binding(asking.cost));
        let patience_ends = patience.map(|longest| after(asking.asked, longest.time()));
        let mut waiter = Self {
            limiters: limiters.clone(),
            spots: Vec::new(),
            keys: Vec::new(),
            place: Place::default(),
            restless: Restless::of(head, patience_ends, asking.asked),
            patience,
            asking,
            line,
            limit: limit.flatten(),
            is_waiting: true,
            attempt,
        };
        for (index, found) in found.iter_mut().enumerate() {
            found.begun.begin();
            found.state.begin_wait();
            if index == line {
                waiter.place = found.state.join(&waiter.asks(index));
            }
            waiter.spots.push(found.spot);
            waiter.keys.push(found.key.into());
        }
        waiter
    }

    /// Passes if it is its turn, or says when to wake.
    pub(super) fn turn(&mut self, waker: &Waker) -> Wake {
        let (now, waker) = (self.clock().now(), waker.clone());
        let limiters = self.limiters.clone();
        let mut foreign = Foreign::default();
        let mut states = limiters.lock(&self.spots);
        let turn = loop {
            let turn = self.take_turn(&mut states, now, &mut foreign);
            // Requests end without the lock, until somebody watches.
            let is_held_back = matches!(turn, Turn::Wait { .. }) && states[self.line].is_full();
            if !is_held_back || !watch(&mut states[self.line]) {
                break turn;
            }
        };
        let until = match turn {
            Turn::Pass => {
                self.leave(&mut states, &mut foreign, now);
                let found = limiters.all().iter().zip(&mut states);
                let found = found
                    .map(|(limiter, state)| Found::new(limiter, state, limiter.epoch().nanos(now)));
                let mut found: Vec<_> = found.collect();
                let mut news = News::default();
                let takings = Takings::take(&limiters, &mut found, &self.asking, &mut news);
                drop(states);
                let Takings { first, rare } = takings;
                let permit = Permit::of(&limiters, first, rare, self.asking.cost, false);
                foreign.settle();
                news.tell(now.saturating_duration_since(self.asking.asked));
                return Wake::Admitted(permit);
            }
            Turn::Wait { until } => {
                until.map(|until| limiters.all()[self.line].epoch().instant(until))
            }
            Turn::TooLarge { limit } => {
                let limit = states[self.line].too_small(limit);
                self.leave(&mut states, &mut foreign, now);
                drop(states);
                foreign.settle();
                return Wake::Refused(self.refusal(RefusalReason::TooLarge, None, limit));
            }
        };
        let refused = self.is_out_of_patience(until, now) || self.is_called_away();
        let binding = match refused {
            true => states[self.line].binding(self.asking.cost),
            false => None,
        };
        if refused {
            // The future that holds this may live on for long: the place is left now.
            self.leave(&mut states, &mut foreign, now);
        } else {
            let old = states[self.line].set_waker(self.place, waker);
            foreign.to_drop.extend(old);
        }
        drop(states);
        foreign.settle();
        match refused {
            true => {
                let wait = until.map(|until| until.saturating_duration_since(now));
                Wake::Refused(self.refusal(RefusalReason::WaitTooLong, wait, binding))
            }
            false => {
                let ends = self.patience_ends();
                let restless = self.restless.as_mut();
                let asks = restless.map(|restless| restless.ask(until, ends, now));
                Wake::Sleep(until.into_iter().chain(ends).chain(asks).min())
            }
        }
    }

    /// Whether it is its turn, in whatever queue it stands then.
    fn take_turn(
        &mut self,
        states: &mut [Locked<'_, State>],
        now: Instant,
        foreign: &mut Foreign,
    ) -> Turn {
        loop {
            let here = self.limiters.all()[self.line].epoch();
            let turn = states[self.line].turn(self.place, self.asking.cost, here.nanos(now));
            if turn != Turn::Pass {
                return turn;
            }
            let next = match self.held_back_by(states, now) {
                HeldBack::By(next) => next,
                HeldBack::TooLarge { limiter, limit } => {
                    self.leave_line(&mut states[self.line], foreign);
                    self.line = limiter;
                    self.place = states[limiter].join(&self.asks(limiter));
                    return Turn::TooLarge { limit };
                }
                HeldBack::No => return Turn::Pass,
            };
            self.leave_line(&mut states[self.line], foreign);
            self.line = next;
            self.place = states[next].join(&self.asks(next));
        }
    }

    /// Whether another limiter would hold it back, and which does so the longest.
    fn held_back_by(&self, states: &mut [Locked<'_, State>], now: Instant) -> HeldBack {
        let mut longest: Option<(Instant, usize)> = None;
        for (index, (limiter, state)) in self.limiters.all().iter().zip(states).enumerate() {
            if index == self.line {
                continue;
            }
            let epoch = limiter.epoch();
            match state.look(&self.asks(index), epoch.nanos(now)) {
                Look::Pass => {}
                Look::Wait { until } => {
                    longest = longest.max(Some((epoch.instant(until), index)));
                }
                Look::TooLarge { limit } => {
                    return HeldBack::TooLarge {
                        limiter: index,
                        limit,
                    };
                }
            }
        }
        longest.map_or(HeldBack::No, |(_, index)| HeldBack::By(index))
    }

    /// How it asks the limiter with this index.
    fn asks(&self, index: usize) -> Asked {
        let epoch = self.limiters.all()[index].epoch();
        self.asking.at(epoch.nanos(self.asking.asked))
    }

    /// Leaves the queue it stands in; whoever is the first now may pass.
    fn leave_line(&self, state: &mut Locked<'_, State>, foreign: &mut Foreign) {
        let (own, was_first) = state.leave(self.place);
        if state.queued() == 0 {
            state.ends().unwatch();
        }
        foreign.to_drop.extend(own);
        if was_first {
            foreign.to_wake.extend(state.first_waker());
        }
    }

    /// Waits no more.
    fn leave(&mut self, states: &mut [Locked<'_, State>], foreign: &mut Foreign, now: Instant) {
        self.is_waiting = false;
        self.attempt.iter().for_each(|it| it.end_wait(now));
        self.leave_line(&mut states[self.line], foreign);
        for state in states {
            state.end_wait();
            state.ends().end();
        }
    }

    /// Whether patience is over, or will be before the time at which the request could be admitted.
    fn is_out_of_patience(&self, until: Option<Instant>, now: Instant) -> bool {
        let latest = self.patience_ends();
        latest.is_some_and(|latest| now >= latest || until.is_some_and(|until| until > latest))
    }

    /// Whether somebody else would take the request, and it is to go there.
    fn is_called_away(&mut self) -> bool {
        let called = self.restless.as_ref().and_then(Restless::leaves);
        self.patience = called.or(self.patience);
        called.is_some()
    }

    fn patience_ends(&self) -> Option<Instant> {
        let longest = self.patience?.time();
        Some(after(self.asking.asked, longest))
    }

    fn refusal(
        &self,
        reason: RefusalReason,
        wait: Option<Duration>,
        limit: Option<BindingLimit>,
    ) -> Error {
        let settings = self.limiters.all()[self.line].settings();
        let key = Some(&self.keys[self.line]).filter(|key| !key.is_empty());
        let patience = self
            .patience
            .filter(|_| reason == RefusalReason::WaitTooLong);
        settings.refuse(key.cloned(), reason, wait, limit, patience)
    }

    /// What held it back when it came, in words; empty where nobody wants to know.
    pub(super) fn limit(&self) -> String {
        self.limit
            .map(|limit| limit.to_string())
            .unwrap_or_default()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.limiters.clock()
    }
}

/// Whether requests have ended until the moment from which on none does without the lock.
fn watch(state: &mut Locked<'_, State>) -> bool {
    let before = state.in_flight();
    state.ends().watch();
    let held = state.held();
    state.heed_holds(held);
    state.in_flight() < before
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.is_waiting {
            let limiters = self.limiters.clone();
            let mut foreign = Foreign::default();
            let mut states = limiters.lock(&self.spots);
            let now = self.clock().now();
            self.leave(&mut states, &mut foreign, now);
            drop(states);
            foreign.settle();
            let settings = self.limiters.all()[self.line].settings();
            settings.events.tell(&Event::Left {
                key: &self.keys[self.line],
                waited: now.saturating_duration_since(self.asking.asked),
            });
        }
    }
}

impl Foreign {
    fn settle(self) {
        drop(self.to_drop);
        self.to_wake.into_iter().for_each(Waker::wake);
    }
}
