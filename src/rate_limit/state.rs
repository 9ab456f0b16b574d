//! The state of one key: its windows, its queue, what is under way. Pure: it is told the time.
//!
//! A request [`ask`](State::ask)s and passes, waits or is refused. One that waits asks for its [`turn`](State::turn) when
//! it is woken: only the first of the queue is ever admitted, and only it is told a time to wake at. Whoever is admitted
//! holds a [`Reservation`], which is given back exactly once: [`finish`](State::finish)ed, or [`refund`](State::refund)ed
//! when nothing was sent.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    config::{Limit, Quota},
    counts::{Counts, Shadow, Told, TooLarge, too_large},
    queue::{Place, Queue},
    window::Nanos,
};
use crate::{
    instant::after,
    request::{Cost, Priority},
};

/// What becomes of a request that asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Pass(Reservation),
    Wait { place: Place, until: Instant },
    Reject(Rejection),
}

/// What becomes of a request that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Pass(Reservation),
    /// Wake at this time, or, where there is none, when something ends or this one becomes the first.
    Wait {
        until: Option<Instant>,
    },
}

/// Why a request is refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It costs more than this limit, by its index, ever allows; `None` for the limit of a single request.
    TooLarge {
        limit: Option<usize>,
    },
    /// `until` is not known where only the end of another request can help.
    WaitTooLong {
        until: Option<Instant>,
    },
    QueueFull {
        until: Instant,
    },
}

/// What an admitted request has taken.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Reservation {
    at: Nanos,
    pub(super) cost: Cost,
    /// What a limit in shadow mode would have done.
    pub(super) shadow: Option<Shadow>,
}

/// How a request may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) max_wait: Option<Duration>,
    /// When the caller stops waiting.
    pub(super) deadline: Option<Instant>,
    /// How many may wait at the same time.
    pub(super) queue_capacity: usize,
}

impl Patience {
    /// The latest time at which being admitted is still of use to a request that asks now.
    pub(super) fn until(self, now: Instant) -> Option<Instant> {
        let longest = self.max_wait.map(|wait| after(now, wait));
        longest.into_iter().chain(self.deadline).min()
    }
}

#[derive(Debug)]
pub(super) struct State {
    quota: Arc<Quota>,
    origin: Instant,
    latest: Nanos,
    counts: Counts,
    in_flight: u32,
    /// What all that are under way were reckoned with.
    pending: Cost,
    paused: Nanos,
    queue: Queue,
    /// The state once everybody who waits has been admitted, kept while nothing makes it untrue.
    forecast: Option<Forecast>,
}

#[derive(Clone, Debug)]
struct Forecast {
    counts: Counts,
    at: Nanos,
}

impl State {
    /// An empty state; `wall` is the time of day `now`.
    pub(super) fn new(quota: Arc<Quota>, now: Instant, wall: SystemTime) -> Self {
        Self {
            counts: Counts::new(&quota, 0, wall),
            quota,
            origin: now,
            latest: 0,
            in_flight: 0,
            pending: Cost::default(),
            paused: 0,
            queue: Queue::default(),
            forecast: None,
        }
    }

    /// Admits, queues or refuses a request. What is refused has taken nothing.
    pub(super) fn ask(
        &mut self,
        cost: Cost,
        priority: Priority,
        patience: Patience,
        now: Instant,
    ) -> Admission {
        let patience_ends = patience.until(now);
        let now = self.move_to(now);
        if let Some(TooLarge { limit }) = too_large(&self.quota, cost) {
            return Admission::Reject(Rejection::TooLarge { limit });
        }
        let place = self.queue.place(priority, now);
        let is_first = self.queue.first().is_none_or(|(first, _)| place < first);
        if is_first && !self.is_full() && self.earliest(cost, now) == now {
            self.forecast = None;
            return Admission::Pass(self.admit(cost, now));
        }
        let forecast = self.predict(cost, place, now);
        let until = self.instant(forecast.at);
        if patience_ends.is_some_and(|latest| until > latest) {
            return Admission::Reject(Rejection::WaitTooLong { until: Some(until) });
        }
        if self.queue.len() >= patience.queue_capacity {
            return Admission::Reject(Rejection::QueueFull { until });
        }
        self.forecast = self.queue.is_last(place).then_some(forecast);
        self.queue.insert(place, cost);
        Admission::Wait { place, until }
    }

    /// Admits a request that waits, if it is its turn.
    pub(super) fn turn(&mut self, place: Place, now: Instant) -> Turn {
        let now = self.move_to(now);
        match self.queue.first() {
            Some((first, cost)) if first == place && !self.is_full() => {
                let until = self.earliest(cost, now);
                if until > now {
                    return Turn::Wait {
                        until: Some(self.instant(until)),
                    };
                }
                self.queue.remove(place);
                // The forecast reckons without the concurrency limit, whose waits it then lags behind.
                if self.quota.max_concurrent.is_some() {
                    self.forecast = None;
                }
                Turn::Pass(self.admit(cost, now))
            }
            _ => Turn::Wait { until: None },
        }
    }

    /// Takes a request out of the queue. Returns whether somebody else is the first now.
    pub(super) fn cancel(&mut self, place: Place) -> bool {
        let was_first = self.first() == Some(place);
        if self.queue.remove(place).is_some() {
            self.forecast = None;
        }
        was_first
    }

    /// A request has ended; `used` is what it really cost, where that is known. Returns whether the first of the queue
    /// may pass earlier for it.
    pub(super) fn finish(
        &mut self,
        reservation: Reservation,
        used: Option<Cost>,
        now: Instant,
    ) -> bool {
        let now = self.move_to(now);
        let was_full = self.leave(reservation.cost);
        match used.filter(|used| *used != reservation.cost) {
            Some(used) => {
                self.counts
                    .settle(reservation.at, reservation.cost, used, now);
                self.forecast = None;
                true
            }
            None => was_full,
        }
    }

    /// A request was never sent: everything that it took is given back, and the first of the queue may pass earlier.
    pub(super) fn refund(&mut self, reservation: Reservation, now: Instant) -> bool {
        let now = self.move_to(now);
        self.leave(reservation.cost);
        self.counts.give_back(reservation.at, reservation.cost, now);
        self.forecast = None;
        true
    }

    /// Admits nobody for a while. A pause is only ever extended. Returns whether it was.
    pub(super) fn pause(&mut self, wait: Duration, now: Instant) -> bool {
        self.move_to(now);
        let until = self.nanos(after(now, wait));
        let extended = until > self.paused && until > self.latest;
        if extended {
            self.paused = until;
            self.forecast = None;
        }
        extended
    }

    /// Forgets what was taken, and lifts a pause. What is under way, or waits, stays so.
    pub(super) fn reset(&mut self, now: Instant) {
        let now = self.move_to(now);
        self.counts = self.counts.anew(&self.quota, now);
        self.paused = 0;
        self.forecast = None;
    }

    pub(super) fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Goes over to another quota. What was taken of a limit that only changes its amount stays taken.
    pub(super) fn change_quota(&mut self, quota: Arc<Quota>, now: Instant) {
        let now = self.move_to(now);
        self.counts.change_quota(&self.quota, &quota, now);
        self.quota = quota;
        self.forecast = None;
    }

    /// When a request that came now would be admitted, if nothing but time frees anything; `None` if never.
    pub(super) fn admission_time(
        &mut self,
        cost: Cost,
        priority: Priority,
        now: Instant,
    ) -> Option<Instant> {
        let now = self.move_to(now);
        if too_large(&self.quota, cost).is_some() {
            return None;
        }
        let place = self.queue.place(priority, now);
        let forecast = self.predict(cost, place, now);
        Some(self.instant(forecast.at))
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.queue.first().map(|(place, _)| place)
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Each limit, how much of it is taken, and when all of it will be free again.
    pub(super) fn usage(&mut self, now: Instant) -> Vec<(Limit, u64, Instant)> {
        let now = self.move_to(now);
        let usage = self
            .counts
            .usage(now)
            .map(|(limit, used, free)| (limit.clone(), used, free));
        let usage = usage.collect::<Vec<_>>().into_iter();
        usage
            .map(|(limit, used, free)| (limit, used, self.instant(free)))
            .collect()
    }

    /// Heeds what the answer to a request says of the upstream's limits.
    pub(super) fn heed(
        &mut self,
        answered: &Reservation,
        told: impl Iterator<Item = Told>,
        now: Instant,
    ) {
        let now = self.move_to(now);
        let others = u64::from(self.in_flight.saturating_sub(1));
        let pending = (others, self.pending.less(answered.cost));
        for told in told {
            self.counts.heed(told, pending, now);
            self.forecast = None;
        }
    }

    /// The limit of a shadow, in words, and how long it would have held the request back.
    pub(super) fn shadowed(&mut self, reservation: &Reservation) -> Option<(Limit, Duration)> {
        let Shadow { limit, until } = reservation.shadow?;
        let (limit, ..) = self.counts.usage(self.latest).nth(limit)?;
        Some((
            limit.clone(),
            Duration::from_nanos(until.saturating_sub(reservation.at)),
        ))
    }

    pub(super) fn paused_until(&mut self, now: Instant) -> Option<Instant> {
        let now = self.move_to(now);
        (self.paused > now).then(|| self.instant(self.paused))
    }

    /// Whether a state made anew would behave the same.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        let now = self.move_to(now);
        self.in_flight == 0
            && self.queue.is_empty()
            && self.paused <= now
            && self.counts.is_empty(now)
    }

    fn admit(&mut self, cost: Cost, now: Nanos) -> Reservation {
        let shadow = self.counts.shadow(cost, now);
        self.counts.take(cost, now);
        self.in_flight = self.in_flight.saturating_add(1);
        self.pending = self.pending.plus(cost);
        Reservation {
            at: now,
            cost,
            shadow,
        }
    }

    /// One request fewer is under way. Returns whether that opened the door.
    fn leave(&mut self, cost: Cost) -> bool {
        let was_full = self.is_full();
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pending = self.pending.less(cost);
        was_full && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.quota
            .max_concurrent
            .is_some_and(|most| self.in_flight >= most)
    }

    /// When the request fits, whoever waits.
    fn earliest(&mut self, cost: Cost, now: Nanos) -> Nanos {
        // Asked at the time that it is: windows must not be moved to the end of a pause that nobody has waited out.
        self.counts.earliest(cost, now).max(self.paused)
    }

    /// When a request at this place will be admitted, if all ahead of it are admitted as soon as they fit. What the
    /// concurrency limit adds cannot be known and is left out.
    fn predict(&self, cost: Cost, place: Place, now: Nanos) -> Forecast {
        let mut forecast = match &self.forecast {
            Some(forecast) if self.queue.is_last(place) && !self.queue.is_empty() => {
                forecast.clone()
            }
            _ => {
                let mut forecast = Forecast {
                    counts: self.counts.clone(),
                    at: now.max(self.paused),
                };
                let ahead = self.queue.ahead_of(place);
                ahead.for_each(|cost| forecast.admit(cost));
                forecast
            }
        };
        forecast.at = forecast.at.max(now);
        forecast.admit(cost);
        forecast
    }

    /// The latest time seen: a clock that steps back has no effect.
    fn move_to(&mut self, now: Instant) -> Nanos {
        self.latest = self.latest.max(self.nanos(now));
        self.latest
    }

    fn nanos(&self, instant: Instant) -> Nanos {
        let passed = instant.saturating_duration_since(self.origin).as_nanos();
        Nanos::try_from(passed).unwrap_or(Nanos::MAX)
    }

    fn instant(&self, nanos: Nanos) -> Instant {
        let offset = Duration::from_nanos(nanos);
        self.origin
            .checked_add(offset)
            .unwrap_or_else(|| after(self.origin, offset))
    }
}

impl Forecast {
    fn admit(&mut self, cost: Cost) {
        self.at = self.counts.earliest(cost, self.at);
        self.counts.take(cost, self.at);
    }
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
