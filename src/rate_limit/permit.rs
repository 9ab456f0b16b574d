//! The right to have one request under way.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, Response};

use super::{counts::Told, meter::Meter, state::Reservation};
use crate::{
    body::Guard,
    classify,
    error::Error,
    observe::Event,
    outcome::{FailureKind, UsageCell, Window},
    signal::{self, QuotaReading},
};

/// The right to have one request under way. Rides on the body of the response.
///
/// When the body has ended, or is dropped, the real cost is settled where the answer has told it; else what was reserved
/// stands, for the upstream has counted it. When nothing was sent, everything is given back.
#[must_use]
pub struct Permit {
    meter: Arc<Meter>,
    reservation: Option<Reservation>,
    is_sent: bool,
    usage: Option<UsageCell>,
}

impl Permit {
    /// A permit for what was reserved. Made before the event is told, so that an observer that panics leaks nothing.
    pub(super) fn admitted(meter: Arc<Meter>, reservation: Reservation, waited: Duration) -> Self {
        let permit = Self {
            meter,
            reservation: Some(reservation),
            is_sent: false,
            usage: None,
        };
        let key = &*permit.meter.key;
        permit.meter.tell(&Event::Admitted { key, waited });
        if let Some(reservation) = permit
            .reservation
            .as_ref()
            .filter(|made| made.shadow.is_some())
            && let Some((limit, wait)) = permit.meter.shadowed(reservation)
        {
            let limit = &limit.to_string();
            permit.meter.tell(&Event::Shadowed { key, limit, wait });
        }
        permit
    }

    /// The request goes out: from here on the upstream may have counted it.
    pub(super) fn send(&mut self) {
        self.is_sent = true;
    }

    /// Looks at what came back, and rides on if there is a body to wait for.
    pub(super) fn ride<B>(mut self, result: &Result<Response<B>, Error>) -> Option<Self> {
        match result {
            Ok(response) => {
                self.usage = response.extensions().get().cloned();
                self.heed(response);
                Some(self)
            }
            Err(error) => {
                self.is_sent = !error.is_unsent();
                None
            }
        }
    }

    /// A rate limit that names a wait holds back everybody under this key: they would only be refused as well.
    fn heed<B>(&self, response: &Response<B>) {
        self.heed_quotas(response.headers());
        if let Some(failure) = classify::failure_of_response(response, self.meter.clock())
            && failure.kind == FailureKind::RateLimited
            && let Some(wait) = failure.retry_after
        {
            self.meter.pause(wait);
        }
    }

    /// Where the upstream says what is left, that is all that is left.
    fn heed_quotas(&self, headers: &HeaderMap) {
        // The time of day is read only where it is needed: most answers tell nothing.
        if let Some(reservation) = self
            .reservation
            .as_ref()
            .filter(|_| signal::tells_quotas(headers))
        {
            let quotas = signal::quotas(headers, self.meter.clock().wall());
            self.meter.heed(reservation, quotas.iter().filter_map(told));
        }
    }

    /// Ends the request; everything of it is accounted for once.
    fn end(&mut self) {
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        let reserved = reservation.cost;
        let used = self
            .usage
            .as_ref()
            .and_then(UsageCell::get)
            .map(|usage| reserved.settled(usage));
        self.meter.end(|state, now| match self.is_sent {
            true => state.finish(reservation, used, now),
            false => state.refund(reservation, now),
        });
        if let Some(used) = used {
            let key = &*self.meter.key;
            self.meter.tell(&Event::Settled {
                key,
                reserved,
                used,
            });
        }
    }
}

fn told(reading: &QuotaReading<'_>) -> Option<Told> {
    // A cast saturates, and makes nothing of what is no number.
    let whole = |amount: f64| amount.max(0.0) as u64;
    Some(Told {
        dimension: reading.dimension,
        period: reading.window.map(Window::duration),
        limit: reading.limit.map(whole),
        remaining: whole(reading.remaining?),
        reset_after: reading.reset_after,
    })
}

// However the body ends, what the answer told of its usage is better than the estimate.
impl Guard for Permit {
    fn complete(self) {}

    fn fail(self) {}
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("key", &self.meter.key)
            .finish_non_exhaustive()
    }
}
