//! The ways that threads have found to circuits which let calls pass, or refuse them.

use std::{
    array, fmt,
    hash::BuildHasher,
    sync::{Arc, PoisonError},
    time::Duration,
};

use hashbrown::DefaultHashBuilder;

use super::{
    circuits::{Circuits, Offer},
    decision::Ticket,
    lane::{EVER, Lane},
};
use crate::{
    error::CircuitOpen,
    keys::Spot,
    request::{Key, RequestHead, Scope, is_same},
    sync::{Mutex, MutexGuard, thread_number},
};

/// A thread's way to a circuit: a lane of its own, and where to tell what a lane cannot. Each admission holds a clone, so it is
/// the thread's own, and its count is one that no other thread writes to.
pub(super) struct Pass {
    pub(super) circuits: Arc<Circuits>,
    pub(super) spot: Spot,
    pub(super) lane: Arc<Lane>,
    /// Whether the head of a good response is all that there is to judge: no judge of the user's own, and no matter how long a call
    /// takes.
    pub(super) is_plain: bool,
    key: Arc<str>,
    thread: usize,
}

/// The pass that a service has used last. Most services serve one key, and stay on a thread for a while: who finds it here needs
/// neither a hash of his key nor the lock of a desk.
#[derive(Clone, Default)]
pub(super) struct Usual {
    pass: Option<Arc<Pass>>,
    /// How often another one was asked for since.
    missed: u32,
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
    Refused(Arc<Pass>, CircuitOpen),
    /// It has to ask the circuit, and may ask for a lane.
    Ask {
        wants_lane: bool,
    },
}

/// A service that was asked for others so often, one after the other, lets go of its usual pass.
const FAITH: u32 = if cfg!(all(test, shuttle)) { 2 } else { 16 };

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

    /// What the pass of this thread for a key says, if there is one.
    pub(super) fn find(&self, key: &str) -> Found {
        let number = self.place(key);
        let mut desk = self.desk();
        let Some(place) = desk.places.get_mut(number) else {
            return Found::Ask { wants_lane: true };
        };
        match &place.pass {
            Some(pass) if is_same(&pass.key, key) => {
                place.missed = 0;
                match pass.lane.enter() {
                    Some(ticket) => Found::Open(pass.clone(), ticket),
                    None => match pass.refuse() {
                        Some(refusal) => Found::Refused(pass.clone(), refusal),
                        None => Found::Ask { wants_lane: false },
                    },
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
    pub(super) fn keep(&self, circuits: &Arc<Circuits>, key: &Key<'_>, offer: Offer) {
        let Offer { lane, spot } = offer;
        let number = self.place(key);
        let pass = Arc::new(Pass {
            circuits: circuits.clone(),
            spot,
            lane,
            is_plain: circuits.settings.is_plain(),
            key: key.shared(),
            thread: thread_number(),
        });
        let place = Place {
            pass: Some(pass),
            missed: 0,
        };
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

impl Found {
    pub(super) fn pass(&self) -> Option<&Arc<Pass>> {
        match self {
            Self::Open(pass, _) | Self::Refused(pass, _) => Some(pass),
            Self::Ask { .. } => None,
        }
    }
}

impl Pass {
    /// Counts a good call that ends now. False where it is to be told to the circuit.
    #[inline(always)]
    pub(super) fn count(&self, ticket: Ticket) -> bool {
        self.lane.count(ticket, || self.circuits.nanos())
    }

    /// Refuses a call, where that is all that there is to do.
    #[inline]
    fn refuse(&self) -> Option<CircuitOpen> {
        let turned = self.lane.refuse(|| self.circuits.nanos())?;
        Some(CircuitOpen {
            key: self.key.clone(),
            reason: turned.reason,
            retry_after: match turned.wait {
                EVER => self.circuits.policy().open_for,
                wait => Duration::from_nanos(wait),
            },
        })
    }
}

impl Usual {
    /// The pass for this request, if it is the usual one and its lane is open.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        scope: &Scope,
        head: &RequestHead<'_>,
    ) -> Option<(&Arc<Pass>, Ticket)> {
        let pass = self.pass.as_ref()?;
        if pass.thread != thread_number() || !scope.is_key(head, &pass.key) {
            return None;
        }
        self.missed = 0;
        Some((pass, pass.lane.enter()?))
    }

    /// Refuses this request, if the usual pass is the one for it, and that is all that there is to do.
    #[inline]
    pub(super) fn refuse(&self, scope: &Scope, head: &RequestHead<'_>) -> Option<CircuitOpen> {
        let pass = self.pass.as_ref().filter(|pass| pass.lane.is_barred())?;
        let is_usual = pass.thread == thread_number() && scope.is_key(head, &pass.key);
        is_usual.then(|| pass.refuse())?
    }

    /// Another one was found, or none. Only one that is [told apart](Scope::is_told_apart) is kept.
    pub(super) fn miss(&mut self, scope: &Scope, found: Option<&Arc<Pass>>) {
        let found = found.filter(|pass| scope.is_told_apart(&pass.key));
        self.missed = self.missed.saturating_add(1);
        if self.pass.is_none() || self.missed >= FAITH {
            *self = Self {
                pass: found.cloned(),
                missed: 0,
            };
        }
    }
}

/// Services are printed with it, and what a pass leads to is as large as all that the breaker knows.
impl fmt::Debug for Usual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Usual(..)")
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
