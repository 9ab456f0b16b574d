//! Who waits, and who goes next.

use std::{collections::BTreeMap, time::Duration};

use super::window::Nanos;
use crate::request::{Cost, Priority};

/// The waiting requests, in the order in which they will be admitted.
///
/// The place of a request is its time of arrival, put forward or back by [`AGEING`] for its priority: high goes before
/// normal, normal before low, and whoever has waited that much longer goes first all the same, so nobody starves.
/// Within a priority it is first come, first served; nobody overtakes a large request because he is small.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Place, Cost>,
    next: u64,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    order: Nanos,
    number: u64,
}

const AGEING: Nanos = Duration::from_secs(30).as_nanos() as Nanos;

impl Queue {
    /// The place that a request would get.
    pub(super) fn place(&mut self, priority: Priority, now: Nanos) -> Place {
        let handicap = match priority {
            Priority::High => 0,
            Priority::Normal => AGEING,
            Priority::Low => 2 * AGEING,
        };
        self.next += 1;
        Place {
            order: now.saturating_add(handicap),
            number: self.next,
        }
    }

    pub(super) fn insert(&mut self, place: Place, cost: Cost) {
        self.waiting.insert(place, cost);
    }

    /// Takes a request out; `None` when it is not waiting.
    pub(super) fn remove(&mut self, place: Place) -> Option<Cost> {
        self.waiting.remove(&place)
    }

    pub(super) fn first(&self) -> Option<(Place, Cost)> {
        let (place, cost) = self.waiting.first_key_value()?;
        Some((*place, *cost))
    }

    /// What waits ahead of this place, in order.
    pub(super) fn ahead_of(&self, place: Place) -> impl Iterator<Item = Cost> + '_ {
        self.waiting.range(..place).map(|(_, cost)| *cost)
    }

    /// Whether a request at this place would be the last.
    pub(super) fn is_last(&self, place: Place) -> bool {
        self.waiting
            .last_key_value()
            .is_none_or(|(last, _)| *last < place)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
