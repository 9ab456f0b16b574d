//! The right to have one request under way.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Response;

use super::{
    config::Quota,
    meter::Meter,
    state::{Reservation, State},
};
use crate::{
    body::Guard,
    classify,
    error::Error,
    observe::Event,
    outcome::{FailureKind, UsageCell},
};

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
    /// A permit for what was reserved. Made before the event is told, so that an observer that panics leaks nothing.
    pub(super) fn admitted(meter: Arc<Meter>, reservation: Reservation, waited: Duration) -> Self {
        let permit = Self {
            meter,
            reservation: Some(reservation),
            usage: None,
        };
        let key = &*permit.meter.key;
        permit.meter.tell(&Event::Admitted { key, waited });
        permit
    }

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
        if let Some(failure) = classify::failure_of_response(response, self.meter.clock())
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
            self.meter.tell(&Event::Settled {
                key,
                reserved: reservation.cost,
                used,
            });
        }
        self.end(|state, quota, reservation, now| state.finish(quota, reservation, used, now));
    }

    fn end(&mut self, end: impl FnOnce(&mut State, &Quota, Reservation, Instant) -> bool) {
        if let Some(reservation) = self.reservation.take() {
            self.meter
                .end(|state, quota, now| end(state, quota, reservation, now));
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
