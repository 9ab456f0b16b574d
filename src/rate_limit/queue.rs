//! Who waits, and who goes next.

use std::{collections::BTreeMap, task::Waker, time::Duration};

use super::{decision::Asked, epoch::Nanos};
use crate::request::{Cost, Priority};

/// The waiting requests, in the order in which they will be admitted.
///
/// The place of a request is its time of arrival, put forward or back by [`AGEING`] for its priority: high goes before
/// normal, normal before low, and whoever has waited that much longer goes first all the same, so nobody starves.
/// Within a priority it is first come, first served; nobody overtakes a large request because he is small.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Place, Waiting>,
    next: u64,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    order: Nanos,
    number: u64,
}

#[derive(Debug)]
struct Waiting {
    cost: Cost,
    waker: Option<Waker>,
}

const AGEING: Nanos = Duration::from_secs(30).as_nanos() as Nanos;

impl Queue {
    /// The place that a request would get: behind everybody of its order.
    pub(super) fn place(&self, asked: &Asked) -> Place {
        let handicap = match asked.priority {
            Priority::High => 0,
            Priority::Normal => AGEING,
            Priority::Low => 2 * AGEING,
        };
        Place {
            order: asked.at.saturating_add(handicap),
            number: self.next,
        }
    }

    pub(super) fn join(&mut self, asked: &Asked) -> Place {
        let place = self.place(asked);
        self.next += 1;
        let waiting = Waiting {
            cost: asked.cost,
            waker: None,
        };
        self.waiting.insert(place, waiting);
        place
    }

    /// Takes a request out, with its waker, which is foreign code: it is dropped when the lock is free.
    pub(super) fn remove(&mut self, place: Place) -> Option<Waker> {
        self.waiting.remove(&place)?.waker
    }

    /// Sets whom to wake, and gives back whom that replaces.
    pub(super) fn set_waker(&mut self, place: Place, waker: Waker) -> Option<Waker> {
        self.waiting.get_mut(&place)?.waker.replace(waker)
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.waiting.first_key_value().map(|(place, _)| *place)
    }

    pub(super) fn first_cost(&self) -> Option<Cost> {
        Some(self.waiting.first_key_value()?.1.cost)
    }

    /// Takes the waker, for to clone it is foreign code.
    pub(super) fn first_waker(&mut self) -> Option<Waker> {
        self.waiting.first_entry()?.get_mut().waker.take()
    }

    /// What waits from one place on and ahead of another, in order.
    pub(super) fn between(&self, from: Place, to: Place) -> impl Iterator<Item = Cost> + '_ {
        self.waiting
            .range(from..to)
            .map(|(_, waiting)| waiting.cost)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
