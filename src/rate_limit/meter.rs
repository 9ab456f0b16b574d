//! The meter of one key: its state behind a lock, the wakers of those who wait, and the events.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use http::Response;

use super::{
    config::Quota,
    queue::Place,
    state::{Admission, Patience, Rejection, Reservation, State, Turn},
    status::{LimitStatus, Status},
};
use crate::{
    body::Guard,
    classify,
    clock::Clock,
    error::{Error, RateLimited, RefusalReason},
    observe::{Event, Events},
    outcome::{FailureKind, UsageCell},
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
    quota: Arc<Quota>,
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

/// What a request that asked holds.
pub(super) enum Entry {
    Admitted(Permit),
    Queued(Waiter),
}

impl Meter {
    pub(super) fn new(key: Arc<str>, quota: Arc<Quota>, setup: Arc<Setup>) -> Self {
        let locked = Locked {
            state: State::new(&quota, setup.clock.now()),
            wakers: HashMap::new(),
        };
        Self {
            key,
            quota,
            setup,
            locked: Mutex::new(locked),
        }
    }

    /// Admits, queues or refuses a request.
    pub(super) fn enter(
        self: Arc<Self>,
        cost: Cost,
        priority: Priority,
        patience: Patience,
    ) -> Result<Entry, Error> {
        let now = self.setup.clock.now();
        let admission = self
            .lock()
            .state
            .ask(&self.quota, cost, priority, patience, now);
        match admission {
            Admission::Pass(reservation) => {
                Ok(Entry::Admitted(self.admitted(reservation, Duration::ZERO)))
            }
            Admission::Wait { place, until } => {
                let wait = until.saturating_duration_since(now);
                self.setup.events.tell(&Event::Queued {
                    key: &self.key,
                    wait,
                });
                Ok(Entry::Queued(Waiter {
                    meter: self,
                    place,
                    asked: now,
                    patience_ends: patience.until(now),
                    waiting: true,
                }))
            }
            Admission::Reject(rejection) => Err(self.refusal(rejection, now)),
        }
    }

    pub(super) fn pause(&self, wait: Duration) {
        let now = self.setup.clock.now();
        if self.lock().state.pause(wait, now) {
            self.setup.events.tell(&Event::Paused {
                key: &self.key,
                wait,
            });
        }
    }

    pub(super) fn status(&self) -> Status {
        let now = self.setup.clock.now();
        let mut locked = self.lock();
        let limits = self.quota.limits.iter().enumerate();
        let limits = limits.map(|(index, limit)| {
            let (used, free) = locked.state.usage(index, limit.capacity(), now);
            LimitStatus::new(limit, used, free.saturating_duration_since(now))
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
            .admission_time(&self.quota, cost, Priority::Normal, now)?;
        Some(at.saturating_duration_since(now))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.lock().state.is_idle(self.setup.clock.now())
    }

    fn admitted(self: Arc<Self>, reservation: Reservation, waited: Duration) -> Permit {
        self.setup.events.tell(&Event::Admitted {
            key: &self.key,
            waited,
        });
        Permit {
            meter: self,
            reservation: Some(reservation),
            usage: None,
        }
    }

    fn refusal(&self, rejection: Rejection, now: Instant) -> Error {
        let (reason, limit, until) = match rejection {
            Rejection::WaitTooLong { until } => {
                (RefusalReason::WaitTooLong, "".into(), Some(until))
            }
            Rejection::QueueFull { until } => (RefusalReason::QueueFull, "".into(), Some(until)),
            Rejection::TooLarge { limit: Some(index) } => (
                RefusalReason::TooLarge,
                self.quota.limits[index].to_string().into(),
                None,
            ),
            Rejection::TooLarge { limit: None } => (
                RefusalReason::TooLarge,
                "max_tokens_per_request".into(),
                None,
            ),
        };
        let wait = until.map(|until| until.saturating_duration_since(now));
        self.setup.events.tell(&Event::Refused {
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
    fn change(&self, change: impl FnOnce(&mut Locked) -> bool) {
        let mut locked = self.lock();
        let waker = if change(&mut locked) {
            locked.first_waker()
        } else {
            None
        };
        drop(locked);
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits. Dropped, it leaves the queue.
pub(super) struct Waiter {
    meter: Arc<Meter>,
    place: Place,
    asked: Instant,
    patience_ends: Option<Instant>,
    waiting: bool,
}

/// What a waiting request finds when it is woken.
pub(super) enum Wake {
    Admitted(Permit),
    /// Sleep until then, or until woken.
    Sleep(Option<Instant>),
    Refused(Error),
}

impl Waiter {
    pub(super) fn turn(&mut self, waker: &Waker) -> Wake {
        let meter = &self.meter;
        let now = meter.setup.clock.now();
        let mut locked = meter.lock();
        match locked.state.turn(&meter.quota, self.place, now) {
            Turn::Pass(reservation) => {
                locked.wakers.remove(&self.place);
                let next = locked.first_waker();
                drop(locked);
                self.waiting = false;
                next.into_iter().for_each(Waker::wake);
                let waited = now.saturating_duration_since(self.asked);
                Wake::Admitted(self.meter.clone().admitted(reservation, waited))
            }
            Turn::Wait { until } if self.patience_ends.is_some_and(|latest| now >= latest) => {
                drop(locked);
                Wake::Refused(self.meter.refusal(
                    Rejection::WaitTooLong {
                        until: until.unwrap_or(now),
                    },
                    now,
                ))
            }
            Turn::Wait { until } => {
                locked.wakers.insert(self.place, waker.clone());
                Wake::Sleep(until.into_iter().chain(self.patience_ends).min())
            }
        }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.meter.setup.clock
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.waiting {
            self.meter.change(|locked| {
                locked.wakers.remove(&self.place);
                locked.state.cancel(self.place)
            });
        }
    }
}

/// The right to have one request under way. Rides on the body of the response.
///
/// When the body ends, the real cost is settled where the answer tells it; when the request or the body is dropped, what
/// was reserved stands, for the upstream has counted it; when nothing was sent, everything is given back.
#[must_use]
pub struct Permit {
    meter: Arc<Meter>,
    reservation: Option<Reservation>,
    usage: Option<UsageCell>,
}

impl Permit {
    /// Looks at what came back, and rides on if there is a body to wait for.
    pub(super) fn ride<B>(mut self, result: &Result<Response<B>, Error>) -> Option<Self> {
        match result {
            Ok(response) => {
                self.usage = response.extensions().get().cloned();
                self.heed(response);
                Some(self)
            }
            Err(error) if error.is_unsent() => {
                self.end(|state, quota, reservation, now| state.refund(quota, reservation, now));
                None
            }
            Err(_) => None,
        }
    }

    /// A rate limit that names a wait holds back everybody under this key: they would only be refused as well.
    fn heed<B>(&self, response: &Response<B>) {
        if let Some(failure) = classify::failure_of_response(response, &*self.meter.setup.clock)
            && failure.kind == FailureKind::RateLimited
            && let Some(wait) = failure.retry_after
        {
            self.meter.pause(wait);
        }
    }

    fn settle(&mut self) {
        let used = self.usage.as_ref().and_then(UsageCell::get);
        let used = used.and_then(|used| Some(self.reservation.as_ref()?.cost.settled(used)));
        if let (Some(used), Some(reservation)) = (used, &self.reservation) {
            let key = &*self.meter.key;
            self.meter.setup.events.tell(&Event::Settled {
                key,
                reserved: reservation.cost,
                used,
            });
        }
        self.end(|state, quota, reservation, now| state.finish(quota, reservation, used, now));
    }

    fn end(&mut self, end: impl FnOnce(&mut State, &Quota, Reservation, Instant) -> bool) {
        if let Some(reservation) = self.reservation.take() {
            let now = self.meter.setup.clock.now();
            let quota = &self.meter.quota;
            self.meter
                .change(|locked| end(&mut locked.state, quota, reservation, now));
        }
    }
}

impl Guard for Permit {
    fn complete(mut self) {
        self.settle();
    }

    // What a broken answer told of its usage before it broke is better than the estimate.
    fn fail(mut self) {
        self.settle();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end(|state, quota, reservation, now| state.finish(quota, reservation, None, now));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("key", &self.meter.key)
            .finish_non_exhaustive()
    }
}
