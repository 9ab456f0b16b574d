//! The meter of one key: its state behind a lock, the wakers of those who wait, and the events.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    config::{Limit, Quota},
    counts::Told,
    queue::Place,
    state::{Admission, Patience, Rejection, Reservation, State, Turn},
    status::{LimitStatus, Status},
};
use crate::{
    clock::Clock,
    error::{Error, RateLimited, RefusalReason},
    observe::{Event, Events},
    request::{Cost, Priority},
};

/// What all meters of a limiter share.
pub(super) struct Setup {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
}

/// The limits of one key.
pub(super) struct Meter {
    pub(super) key: Arc<str>,
    setup: Arc<Setup>,
    locked: Mutex<Locked>,
}

struct Locked {
    state: State,
    wakers: HashMap<Place, Waker>,
}

impl Locked {
    fn first_waker(&self) -> Option<Waker> {
        self.wakers.get(&self.state.first()?).cloned()
    }
}

impl Meter {
    pub(super) fn new(key: Arc<str>, quota: Arc<Quota>, setup: Arc<Setup>, now: Instant) -> Self {
        let locked = Locked {
            state: State::new(quota, now, setup.clock.wall()),
            wakers: HashMap::new(),
        };
        Self {
            key,
            setup,
            locked: Mutex::new(locked),
        }
    }

    /// Admits, queues or refuses a request. An upstream's own quota takes the place of one that was not.
    pub(super) fn ask(
        &self,
        own_quota: Option<&Arc<Quota>>,
        cost: Cost,
        priority: Priority,
        patience: Patience,
        now: Instant,
    ) -> Admission {
        let mut locked = self.lock();
        let changed = own_quota
            .filter(|own| !Arc::ptr_eq(own, locked.state.quota()) && *own != locked.state.quota());
        if let Some(quota) = changed {
            locked.state.change_quota(quota.clone(), now);
        }
        let admission = locked.state.ask(cost, priority, patience, now);
        let waker = changed.and_then(|_| locked.first_waker());
        drop(locked);
        waker.into_iter().for_each(Waker::wake);
        admission
    }

    /// Admits a request that waits, or keeps its waker until it is worth asking again.
    pub(super) fn turn(&self, place: Place, waker: &Waker, now: Instant) -> Turn {
        let mut locked = self.lock();
        let turn = locked.state.turn(place, now);
        // Wakers are foreign code: they are woken, and dropped, after the lock is free.
        let (old, next) = match turn {
            Turn::Wait { .. } => (locked.wakers.insert(place, waker.clone()), None),
            Turn::Pass(_) => (locked.wakers.remove(&place), locked.first_waker()),
        };
        drop(locked);
        drop(old);
        next.into_iter().for_each(Waker::wake);
        turn
    }

    /// Takes a request out of the queue.
    pub(super) fn leave(&self, place: Place) {
        let mut waker = None;
        self.change(|locked, _| {
            waker = locked.wakers.remove(&place);
            locked.state.cancel(place)
        });
    }

    /// Ends a request that was admitted.
    pub(super) fn end(&self, end: impl FnOnce(&mut State, Instant) -> bool) {
        self.change(|locked, now| end(&mut locked.state, now));
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.setup.clock
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.setup.events.tell(event);
    }

    /// Holds everybody back. Who waits is woken, for the wait may have become too long for him.
    pub(super) fn pause(&self, wait: Duration) {
        let mut extended = false;
        self.change(|locked, now| {
            extended = locked.state.pause(wait, now);
            extended
        });
        if extended {
            self.tell(&Event::Paused {
                key: &self.key,
                wait,
            });
        }
    }

    /// Heeds what the answer to a request says of the upstream's limits.
    pub(super) fn heed(&self, answered: &Reservation, told: impl Iterator<Item = Told>) {
        let now = self.setup.clock.now();
        self.lock().state.heed(answered, told, now);
    }

    pub(super) fn shadowed(&self, reservation: &Reservation) -> Option<(Limit, Duration)> {
        self.lock().state.shadowed(reservation)
    }

    pub(super) fn reset(&self) {
        self.change(|locked, now| {
            locked.state.reset(now);
            true
        });
    }

    pub(super) fn status(&self) -> Status {
        let now = self.setup.clock.now();
        let mut locked = self.lock();
        let limits = locked.state.usage(now).into_iter();
        let limits = limits.map(|(limit, used, free)| {
            LimitStatus::new(&limit, used, free.saturating_duration_since(now))
        });
        Status {
            limits: limits.collect(),
            in_flight: locked.state.in_flight(),
            queued: locked.state.queued(),
            paused: locked
                .state
                .paused_until(now)
                .map(|until| until.saturating_duration_since(now)),
        }
    }

    pub(super) fn wait_time(&self, cost: Cost) -> Option<Duration> {
        let now = self.setup.clock.now();
        let at = self
            .lock()
            .state
            .admission_time(cost, Priority::Normal, now)?;
        Some(at.saturating_duration_since(now))
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.lock().state.is_idle(now)
    }

    /// The error of a refusal, told.
    pub(super) fn refusal(&self, rejection: Rejection, now: Instant) -> Error {
        let (reason, limit, until) = match rejection {
            Rejection::WaitTooLong { until } => (RefusalReason::WaitTooLong, "".into(), until),
            Rejection::QueueFull { until } => (RefusalReason::QueueFull, "".into(), Some(until)),
            Rejection::TooLarge { limit } => {
                let limit = match limit {
                    Some(index) => self.lock().state.quota().limits[index].to_string().into(),
                    None => "max_tokens_per_request".into(),
                };
                (RefusalReason::TooLarge, limit, None)
            }
        };
        let wait = until.map(|until| until.saturating_duration_since(now));
        self.tell(&Event::Refused {
            key: &self.key,
            reason,
            wait,
        });
        Error::RateLimited(RateLimited {
            key: self.key.clone(),
            reason,
            wait,
            limit,
        })
    }

    /// Changes the state, and wakes the first of the queue, after the lock is free, where the change says that its turn may
    /// have come.
    fn change(&self, change: impl FnOnce(&mut Locked, Instant) -> bool) {
        let now = self.setup.clock.now();
        let mut locked = self.lock();
        let may_pass = change(&mut locked, now);
        let waker = may_pass.then(|| locked.first_waker()).flatten();
        drop(locked);
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
