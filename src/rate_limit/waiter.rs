//! A place in the queue.

use std::{sync::Arc, task::Waker, time::Instant};

use super::{
    meter::Meter,
    permit::Permit,
    queue::Place,
    state::{Rejection, Turn},
};
use crate::{clock::Clock, error::Error};

/// A request that waits. Dropped, it leaves the queue.
pub(super) struct Waiter {
    meter: Arc<Meter>,
    place: Place,
    asked: Instant,
    /// The latest time at which being admitted is still of use.
    patience_ends: Option<Instant>,
    is_waiting: bool,
}

/// What a waiting request finds when it is woken.
pub(super) enum Wake {
    Admitted(Permit),
    /// Sleep until then, or until woken.
    Sleep(Option<Instant>),
    Refused(Error),
}

impl Waiter {
    pub(super) fn new(
        meter: Arc<Meter>,
        place: Place,
        asked: Instant,
        patience_ends: Option<Instant>,
    ) -> Self {
        Self {
            meter,
            place,
            asked,
            patience_ends,
            is_waiting: true,
        }
    }

    pub(super) fn turn(&mut self, waker: &Waker) -> Wake {
        let now = self.clock().now();
        match self.meter.turn(self.place, waker, now) {
            Turn::Pass(reservation) => {
                self.is_waiting = false;
                let waited = now.saturating_duration_since(self.asked);
                Wake::Admitted(Permit::admitted(self.meter.clone(), reservation, waited))
            }
            Turn::Wait { until } if self.patience_ends_before(until.unwrap_or(now), now) => {
                // The future that holds this may live on for long: the place is left now.
                self.is_waiting = false;
                self.meter.leave(self.place);
                Wake::Refused(self.meter.refusal(Rejection::WaitTooLong { until }, now))
            }
            Turn::Wait { until } => Wake::Sleep(until.into_iter().chain(self.patience_ends).min()),
        }
    }

    /// Whether patience is over, or will be before the time at which the request could be admitted.
    fn patience_ends_before(&self, until: Instant, now: Instant) -> bool {
        self.patience_ends
            .is_some_and(|latest| now >= latest || until > latest)
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.meter.clock()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.is_waiting {
            self.meter.leave(self.place);
        }
    }
}
