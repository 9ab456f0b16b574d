//! The circuits of all keys, behind their locks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{
    circuit::{Circuit, since},
    config::CircuitBreakerPolicy,
    decision::{CircuitState, Ending, Ticket, Transition},
    lane::Lane,
    settings::Settings,
    state::State,
};
use crate::{
    error::{CircuitOpen, Error},
    keys::{Keys, Locked, Spot},
    observe::Event,
    sync::AtomicU64,
};

#[derive(Debug)]
pub(super) struct Circuits {
    pub(super) settings: Settings,
    keys: Keys<Circuit>,
    /// When the breaker was made.
    began: Instant,
    /// How many circuits were ever made.
    made: AtomicU64,
}

/// What becomes of a call that asked, and what there is to tell of it once it is in a guard.
pub(super) struct Asked {
    pub(super) result: Result<Granted, Error>,
    pub(super) news: Option<News>,
    /// For the calls that follow.
    pub(super) offer: Option<Offer>,
}

/// A lane for a thread.
pub(super) struct Offer {
    pub(super) lane: Arc<Lane>,
    pub(super) spot: Spot,
}

/// The right to make one call, to be given [back](Circuits::record).
pub(super) struct Granted {
    pub(super) ticket: Ticket,
    pub(super) spot: Spot,
    pub(super) is_probe: bool,
}

/// A change of state, to be told when the lock is free.
pub(super) struct News {
    key: Arc<str>,
    transition: Transition,
}

/// No time that a clock ever shows.
pub(super) const NEVER: u64 = u64::MAX;

impl Circuits {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            keys: Keys::new(settings.max_keys),
            began: settings.clock.now(),
            made: AtomicU64::new(0),
            settings,
        }
    }

    /// Admits or refuses a call, and gives its thread a lane if it wants one.
    pub(super) fn ask(&self, key: &str, wants_lane: bool) -> Asked {
        if let Some(asked) = self.ask_closed(key, wants_lane) {
            return asked;
        }
        let (policy, now) = (self.policy(), self.now());
        let is_idle = |circuit: &mut Circuit| circuit.is_idle(policy, self.began, now);
        let mut locked = self.keys.enter(key, || self.make(now), is_idle);
        let spot = locked.spot();
        let (circuit, own_key) = locked.parts();
        let (admission, transition) = circuit.admit(policy, self.began, now);
        let news = transition.map(|transition| News::of(circuit, own_key, transition));
        let refusal = match admission {
            Ok(ticket) => {
                let is_probe = circuit.state().circuit_state() == CircuitState::HalfOpen;
                let granted = Granted {
                    ticket,
                    spot,
                    is_probe,
                };
                let result = Ok(granted);
                return Asked {
                    result,
                    news,
                    offer: None,
                };
            }
            Err(refusal) => refusal,
        };
        // A key beyond the bound may have a circuit of its own later, of which a thread with a lane would not learn.
        let wants_lane = wants_lane && own_key == key;
        let result = Err(Error::CircuitOpen(CircuitOpen {
            key: circuit.name(own_key),
            reason: refusal.reason,
            retry_after: refusal.until.saturating_duration_since(now),
        }));
        let offer = self.offer(&mut locked, wants_lane);
        if offer.is_some() {
            // Who is refused does not come back, so that the lane has to open now.
            locked.change(policy, self.began, now, |_| ());
        }
        Asked {
            result,
            news,
            offer,
        }
    }

    /// Admits a call to a circuit that admits all of them, whatever the time is: to read it takes longer than all else.
    fn ask_closed(&self, key: &str, wants_lane: bool) -> Option<Asked> {
        let mut circuit = self.keys.find(key)?;
        let ticket = circuit.admit_to_closed()?;
        let spot = circuit.spot();
        Some(Asked {
            offer: self.offer(&mut circuit, wants_lane),
            result: Ok(Granted {
                ticket,
                spot,
                is_probe: false,
            }),
            news: None,
        })
    }

    fn offer(&self, locked: &mut Locked<'_, Circuit>, wants_lane: bool) -> Option<Offer> {
        let lane = wants_lane.then(|| locked.add_lane(self.policy()))??;
        let spot = locked.spot();
        Some(Offer { lane, spot })
    }

    /// Tells a circuit how a call ended. One that was admitted by the lock comes back with it.
    pub(super) fn record(&self, spot: Spot, ticket: Ticket, ending: Ending, by_lock: bool) {
        let (policy, now) = (self.policy(), self.now());
        let mut locked = self.keys.lock(spot);
        if by_lock {
            locked.come_back();
        }
        let news = self.change_locked(locked, now, |state| {
            state.record(policy, ticket, ending, now)
        });
        self.tell(news);
    }

    /// Tells a circuit that the answer to a probe flows.
    pub(super) fn flow(&self, spot: Spot, ticket: Ticket) {
        let (policy, now) = (self.policy(), self.now());
        let locked = self.keys.lock(spot);
        let news = self.change_locked(locked, now, |state| state.flow(policy, ticket, now));
        self.tell(news);
    }

    /// Changes the circuit of this key, which is made if there is none, whatever the number of keys is.
    pub(super) fn change(&self, key: &str, change: impl FnOnce(&mut State, Instant) -> Transition) {
        let now = self.now();
        let locked = self.keys.insist(key, || self.make(now));
        let news = self.change_locked(locked, now, |state| Some(change(state, now)));
        self.tell(news);
    }

    /// Closes the circuit of this key, if there is one, with nothing counted.
    pub(super) fn reset(&self, key: &str) {
        let now = self.now();
        if let Some(locked) = self.keys.find(key) {
            let news = self.change_locked(locked, now, |state| Some(state.reset(now)));
            self.tell(news);
        }
    }

    /// Where the circuit of this key stands, its lanes counted; `None` where there is none.
    pub(super) fn look<R>(
        &self,
        key: &str,
        look: impl FnOnce(&mut State, Instant) -> R,
    ) -> Option<R> {
        let now = self.now();
        let mut locked = self.keys.find_or_others(key)?;
        Some(locked.change(self.policy(), self.began, now, |state| look(state, now)))
    }

    /// Looks at where a circuit stands, without disturbing who passes it.
    pub(super) fn glance<R>(&self, key: &str, look: impl FnOnce(&State) -> R) -> Option<R> {
        let circuit = self.keys.find_or_others(key)?;
        Some(look(circuit.state()))
    }

    pub(super) fn keys(&self) -> Vec<Arc<str>> {
        let mut keys = Vec::new();
        self.keys.for_each(|key, _, _| keys.push(key.into()));
        keys
    }

    pub(super) fn tell(&self, news: Option<News>) {
        let Some(News { key, transition }) = news else {
            return;
        };
        let key = &*key;
        self.settings.events.tell(&match transition {
            Transition::Opened { wait, reason } => Event::Opened { key, wait, reason },
            Transition::HalfOpened { reason } => Event::HalfOpened { key, reason },
            Transition::Closed { reason } => Event::Closed { key, reason },
            Transition::Disabled => Event::Disabled { key },
        });
    }

    pub(super) fn policy(&self) -> &CircuitBreakerPolicy {
        &self.settings.policy
    }

    pub(super) fn now(&self) -> Instant {
        self.settings.clock.now()
    }

    /// When a call begins now, in nanoseconds since the breaker was made; [`NEVER`], without the clock, where that does not matter.
    pub(super) fn began(&self) -> u64 {
        match self.policy().asks_how_long() {
            true => self.nanos(),
            false => NEVER,
        }
    }

    /// The time in nanoseconds since the breaker was made.
    pub(super) fn nanos(&self) -> u64 {
        self.nanos_of(self.now())
    }

    pub(super) fn nanos_of(&self, time: Instant) -> u64 {
        since(time, self.began)
    }

    fn change_locked(
        &self,
        mut locked: Locked<'_, Circuit>,
        now: Instant,
        change: impl FnOnce(&mut State) -> Option<Transition>,
    ) -> Option<News> {
        let (circuit, key) = locked.parts();
        let transition = circuit.change(self.policy(), self.began, now, change)?;
        Some(News::of(circuit, key, transition))
    }

    fn make(&self, now: Instant) -> Circuit {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let seed = match self.policy().seed {
            Some(seed) => seed.wrapping_add(number),
            None => fastrand::u64(..),
        };
        Circuit::new(State::new(self.policy(), seed, now))
    }
}

impl News {
    fn of(circuit: &mut Circuit, key: &str, transition: Transition) -> Self {
        let key = circuit.name(key);
        Self { key, transition }
    }
}
