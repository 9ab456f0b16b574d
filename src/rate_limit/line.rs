//! The queue of a key with a forecast of it: when the next to join would be admitted.

use std::task::Waker;

use super::{
    config::Quota,
    counts::Counts,
    decision::Asked,
    epoch::Nanos,
    queue::{Place, Queue},
};
use crate::request::Cost;

/// The queue, and its forecast.
///
/// To know when the next to join would be admitted, everybody ahead is reckoned to be admitted as soon as he fits. That is
/// done once and kept, so that one who joins at the end costs no more than a look at the windows. Whatever changes the
/// windows meanwhile, as a settlement does, makes the forecast a little old; it is made anew when more than one change came
/// for 64 who wait. So it is exact for short queues, and its cost is bounded for long ones. What the concurrency limit adds
/// cannot be known and is left out.
#[derive(Debug, Default)]
pub(super) struct Line {
    queue: Queue,
    forecast: Option<Forecast>,
}

/// The windows once everybody who waits has been admitted, and when that will be.
#[derive(Clone, Debug)]
struct Forecast {
    counts: Counts,
    at: Nanos,
    changes: usize,
}

/// How many waiting requests one change may go unheeded for.
const HEED_ONE_IN: usize = 64;

impl Line {
    /// When a request at this place would be admitted; nobody is admitted before `from`.
    #[inline(never)]
    pub(super) fn predict(
        &mut self,
        (quota, counts): (&Quota, &Counts),
        cost: Cost,
        place: Place,
        from: Nanos,
    ) -> Nanos {
        if self.queue.is_empty() {
            return counts.earliest(quota, cost, from);
        }
        let replay = || {
            let mut forecast = Forecast {
                counts: counts.clone(),
                at: from,
                changes: 0,
            };
            let ahead = self.queue.ahead_of(place);
            ahead.for_each(|cost| forecast.admit(quota, cost));
            forecast
        };
        if !self.queue.is_last(place) {
            return replay().earliest(quota, cost, from);
        }
        let queued = self.queue.len();
        let kept = self.forecast.take();
        let kept = kept.filter(|kept| kept.changes * HEED_ONE_IN <= queued);
        let forecast = kept.unwrap_or_else(replay);
        let at = forecast.earliest(quota, cost, from);
        self.forecast = Some(forecast);
        at
    }

    pub(super) fn join(&mut self, quota: &Quota, asked: &Asked) -> Place {
        if !self.queue.is_last(Place::of(asked)) {
            self.heed_change();
        }
        if let Some(forecast) = &mut self.forecast {
            forecast.admit(quota, asked.cost);
        }
        self.queue.join(asked)
    }

    /// Takes out a request that goes away, or is admitted.
    pub(super) fn leave(&mut self, place: Place) -> Option<Waker> {
        self.heed_change();
        self.queue.remove(place)
    }

    /// Something else than time changes when who waits will be admitted.
    pub(super) fn heed_change(&mut self) {
        if let Some(forecast) = &mut self.forecast {
            forecast.changes += 1;
        }
    }

    /// Nothing is as it was.
    pub(super) fn forget_forecast(&mut self) {
        self.forecast = None;
    }

    pub(super) fn set_waker(&mut self, place: Place, waker: Waker) -> Option<Waker> {
        self.queue.set_waker(place, waker)
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.queue.first()
    }

    pub(super) fn first_waker(&self) -> Option<Waker> {
        self.queue.first_waker()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Forecast {
    fn earliest(&self, quota: &Quota, cost: Cost, from: Nanos) -> Nanos {
        self.counts.earliest(quota, cost, self.at.max(from))
    }

    fn admit(&mut self, quota: &Quota, cost: Cost) {
        self.at = self.counts.earliest(quota, cost, self.at);
        self.counts.take(quota, cost, self.at);
    }
}
