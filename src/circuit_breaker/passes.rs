//! The ways that threads have found to circuits which let calls pass.

use std::{
    array, fmt,
    hash::BuildHasher,
    sync::{Arc, PoisonError},
};

use hashbrown::DefaultHashBuilder;

use super::{circuits::Circuits, decision::Ticket, lane::Lane};
use crate::{
    keys::Spot,
    sync::{Mutex, MutexGuard, thread_number},
};

/// A thread's way to a circuit: a lane of its own, and where to tell what a lane cannot. Each admission holds a clone, so it is
/// the thread's own, and its count is one that no other thread writes to.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) circuits: Arc<Circuits>,
    pub(super) spot: Spot,
    pub(super) lane: Arc<Lane>,
    key: Box<str>,
}

/// The passes of all threads, those of each on a desk of its own, as far as there are desks. A desk has its lock, but seldom
/// does anybody else come there.
pub(super) struct Passes {
    desks: [Mutex<Desk>; DESKS],
    hasher: DefaultHashBuilder,
}

#[derive(Default)]
struct Desk {
    /// None until there is a first pass.
    places: Vec<Place>,
}

#[derive(Default)]
struct Place {
    pass: Option<Arc<Pass>>,
    /// How often another key has been asked for since its own was.
    missed: u32,
}

/// What a thread finds for a key.
pub(super) enum Found {
    Open(Arc<Pass>, Ticket),
    /// It has to ask the circuit, and may ask for a lane.
    Ask {
        wants_lane: bool,
    },
}

/// Threads that share a desk wait for one another for nanoseconds.
const DESKS: usize = if cfg!(all(test, shuttle)) { 2 } else { 16 };

/// So many keys a thread remembers at most; it asks for others by the lock of their circuits.
const PLACES: usize = if cfg!(all(test, shuttle)) { 1 } else { 256 };

/// A key that was asked for goes when others were, so often, in the meantime.
const PATIENCE: u32 = if cfg!(all(test, shuttle)) { 1 } else { 256 };

impl Passes {
    pub(super) fn new() -> Self {
        Self {
            desks: array::from_fn(|_| Mutex::default()),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The pass of this thread for a key, if its lane is open.
    #[inline(always)]
    pub(super) fn find(&self, key: &str) -> Found {
        let number = self.place(key);
        let mut desk = self.desk();
        let Some(place) = desk.places.get_mut(number) else {
            return Found::Ask { wants_lane: true };
        };
        match &place.pass {
            Some(pass) if pass.is_for(key) => {
                place.missed = 0;
                match pass.lane.enter() {
                    Some(ticket) => Found::Open(pass.clone(), ticket),
                    None => Found::Ask { wants_lane: false },
                }
            }
            Some(_) => {
                place.missed = place.missed.saturating_add(1);
                let wants_lane = place.missed >= PATIENCE;
                if wants_lane {
                    // Its circuit may be forgotten from now on, even where the other key is granted no lane.
                    *place = Place::default();
                }
                Found::Ask { wants_lane }
            }
            None => Found::Ask { wants_lane: true },
        }
    }

    /// Puts a pass with the lane that was granted for a key on the desk of this thread.
    #[cold]
    pub(super) fn keep(&self, circuits: &Arc<Circuits>, key: &str, lane: Arc<Lane>, spot: Spot) {
        let pass = Arc::new(Pass {
            circuits: circuits.clone(),
            spot,
            lane,
            key: key.into(),
        });
        let place = Place {
            pass: Some(pass),
            missed: 0,
        };
        let number = self.place(key);
        let mut desk = self.desk();
        if desk.places.is_empty() {
            desk.places.resize_with(PLACES, Place::default);
        }
        let before = std::mem::replace(&mut desk.places[number], place);
        // What was there goes when the desk is free.
        drop(desk);
        drop(before);
    }

    #[inline(always)]
    fn place(&self, key: &str) -> usize {
        // To hash nothing is as good as any.
        match key.is_empty() {
            true => 0,
            false => self.hasher.hash_one(key) as usize % PLACES,
        }
    }

    #[inline(always)]
    fn desk(&self) -> MutexGuard<'_, Desk> {
        let number = thread_number() % DESKS;
        self.desks[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    #[inline(always)]
    fn is_for(&self, key: &str) -> bool {
        // Comparing nothing to nothing takes some processors 100 ns: the address of an empty text is no address.
        self.key.len() == key.len() && (key.is_empty() || *self.key == *key)
    }
}

impl fmt::Debug for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passes(..)")
    }
}

#[cfg(all(test, not(shuttle)))]
#[path = "passes/tests.rs"]
mod tests;
