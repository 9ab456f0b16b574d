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

/// The queue, and a forecast for each priority.
///
/// To know when the next to join would be admitted, everybody ahead is reckoned to be admitted as soon as he fits. That is
/// done once and kept, so that one who joins behind the last of his priority costs no more than a look at the windows, and
/// each who waits is reckoned once for each priority. Whatever changes the windows meanwhile, as a settlement does, makes a
/// forecast a little old; it is made anew when more than one change came for 64 who wait. So it is exact for short queues,
/// and its cost is bounded for long ones. What the concurrency limit adds cannot be known and is left out.
#[derive(Debug, Default)]
pub(super) struct Line {
    queue: Queue,
    forecasts: [Option<Forecast>; 3],
}

/// The windows once everybody ahead of a place has been admitted, and when that will be.
#[derive(Clone, Debug)]
struct Forecast {
    counts: Counts,
    at: Nanos,
    ahead_of: Place,
    changes: usize,
}

/// How many waiting requests one change may go unheeded for.
const HEED_ONE_IN: usize = 64;

impl Line {
    /// When a request that asks would be admitted; nobody is admitted before `from`.
    pub(super) fn predict(
        &mut self,
        (quota, counts): (&Quota, &Counts),
        asked: &Asked,
        from: Nanos,
    ) -> Nanos {
        let (place, queued) = (self.queue.place(asked), self.queue.len());
        let kept = &mut self.forecasts[asked.priority as usize];
        let is_old = |kept: &Forecast| kept.changes * HEED_ONE_IN > queued || kept.ahead_of > place;
        if kept.as_ref().is_none_or(is_old) {
            *kept = Some(Forecast {
                counts: counts.clone(),
                at: from,
                ahead_of: Place::default(),
                changes: 0,
            });
        }
        let Some(forecast) = kept else { return from };
        let ahead = self.queue.between(forecast.ahead_of, place);
        ahead.for_each(|cost| forecast.admit(quota, cost));
        forecast.ahead_of = place;
        let from = forecast.at.max(from);
        forecast.counts.earliest(quota, &asked.cost, from)
    }

    pub(super) fn join(&mut self, quota: &Quota, asked: &Asked) -> Place {
        let place = self.queue.join(asked);
        for forecast in self.forecasts.iter_mut().flatten() {
            // He came between those that are reckoned already: it is as if he were the last of them.
            if place < forecast.ahead_of {
                forecast.admit(quota, asked.cost);
                forecast.changes += 1;
            }
        }
        place
    }

    /// Takes out a request that goes away, or is admitted.
    pub(super) fn leave(&mut self, place: Place) -> Option<Waker> {
        self.heed_change();
        self.queue.remove(place)
    }

    /// Something else than time changes when who waits will be admitted.
    pub(super) fn heed_change(&mut self) {
        for forecast in self.forecasts.iter_mut().flatten() {
            forecast.changes += 1;
        }
    }

    /// Nothing is as it was.
    pub(super) fn forget_forecast(&mut self) {
        self.forecasts = Default::default();
    }

    /// Whether nobody waits ahead of a request that asks.
    pub(super) fn is_next(&self, asked: &Asked) -> bool {
        let place = self.queue.place(asked);
        self.queue.first().is_none_or(|first| place < first)
    }

    pub(super) fn set_waker(&mut self, place: Place, waker: Waker) -> Option<Waker> {
        self.queue.set_waker(place, waker)
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.queue.first()
    }

    pub(super) fn first_cost(&self) -> Option<Cost> {
        self.queue.first_cost()
    }

    pub(super) fn first_waker(&mut self) -> Option<Waker> {
        self.queue.first_waker()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Forecast {
    fn admit(&mut self, quota: &Quota, cost: Cost) {
        self.at = self.counts.earliest(quota, &cost, self.at);
        self.counts.take(quota, &cost, self.at);
    }
}
