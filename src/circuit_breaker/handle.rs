//! [`CircuitBreaker`]: the circuits of all keys, shared by whoever holds a clone.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    config::CircuitBreakerPolicy,
    decision::{CircuitState, Transition},
    state::State,
};
use crate::{
    clock::{Clock, TokioClock},
    config_error::ConfigError,
    keyed::Keyed,
    observe::{Event, Events, Observer},
    request::{RequestHead, Scope},
};

/// The circuits of all keys. Cheap to clone; clones share them.
///
/// ```
/// use tower_upstream::{CircuitBreaker, CircuitState};
///
/// let breaker = CircuitBreaker::default();
/// breaker.force_open("api.example.com");
/// assert_eq!(breaker.state("api.example.com"), CircuitState::ForcedOpen);
/// breaker.reset_all();
/// assert_eq!(breaker.state("api.example.com"), CircuitState::Closed);
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

struct Shared {
    policy: CircuitBreakerPolicy,
    scope: Scope,
    clock: Arc<dyn Clock>,
    events: Events,
    circuits: Keyed<Circuit>,
}

/// The circuit of one key.
pub(super) struct Circuit {
    pub(super) key: Arc<str>,
    state: Mutex<State>,
}

/// What a circuit has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitMetrics {
    /// Where it stands.
    pub state: CircuitState,
    /// The calls in its window.
    pub calls: u32,
    /// The failures among them.
    pub failures: u32,
    /// How long until an open circuit lets a probe through.
    pub retry_after: Option<Duration>,
}

impl CircuitBreaker {
    /// A breaker with a circuit for each upstream, or each host where a request names no upstream.
    ///
    /// # Errors
    ///
    /// When a setting of the policy cannot work; the error names it.
    pub fn new(policy: CircuitBreakerPolicy) -> Result<Self, ConfigError> {
        policy.check()?;
        Ok(Self::assemble(
            policy,
            Scope::Host,
            Arc::new(TokioClock),
            Events::default(),
        ))
    }

    /// A breaker with the same settings, no state, and a circuit for each key of this scope. Default: [`Scope::Host`].
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        let shared = &self.shared;
        Self::assemble(
            shared.policy.clone(),
            scope,
            shared.clock.clone(),
            shared.events.clone(),
        )
    }

    /// A breaker with the same settings, no state, and this clock. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        let shared = &self.shared;
        Self::assemble(
            shared.policy.clone(),
            shared.scope.clone(),
            Arc::new(clock),
            shared.events.clone(),
        )
    }

    /// A breaker with the same settings, no state, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        let shared = &self.shared;
        Self::assemble(
            shared.policy.clone(),
            shared.scope.clone(),
            shared.clock.clone(),
            Events::to(observer),
        )
    }

    /// Where the circuit of this key stands; closed where nothing is known of the key.
    pub fn state(&self, key: &str) -> CircuitState {
        let circuit = self.shared.circuits.get(key);
        circuit.map_or(CircuitState::Closed, |circuit| {
            circuit.lock().circuit_state()
        })
    }

    /// What the circuit of this key has counted; `None` where nothing is known of the key.
    pub fn metrics(&self, key: &str) -> Option<CircuitMetrics> {
        let circuit = self.shared.circuits.get(key)?;
        let now = self.shared.clock.now();
        let mut state = circuit.lock();
        let tally = state.tally(now);
        Some(CircuitMetrics {
            state: state.circuit_state(),
            calls: tally.calls,
            failures: tally.failures,
            retry_after: state
                .open_until()
                .map(|until| until.saturating_duration_since(now)),
        })
    }

    /// The keys that have a circuit.
    pub fn keys(&self) -> Vec<Arc<str>> {
        self.shared
            .circuits
            .all()
            .iter()
            .map(|circuit| circuit.key.clone())
            .collect()
    }

    /// Refuses every call of this key until [`reset`](Self::reset).
    pub fn force_open(&self, key: &str) {
        self.change(&self.circuit(key), |state, _| state.force_open());
    }

    /// Lets probes of this key through at once.
    pub fn force_half_open(&self, key: &str) {
        self.change(&self.circuit(key), State::force_half_open);
    }

    /// Lets every call of this key through and counts nothing, until [`reset`](Self::reset).
    pub fn disable(&self, key: &str) {
        self.change(&self.circuit(key), |state, _| {
            state.disable();
            None
        });
    }

    /// Closes the circuit of this key, with nothing counted.
    pub fn reset(&self, key: &str) {
        if let Some(circuit) = self.shared.circuits.get(key) {
            self.change(&circuit, |state, _| state.reset());
        }
    }

    /// Closes every circuit, with nothing counted.
    pub fn reset_all(&self) {
        for circuit in self.shared.circuits.all() {
            self.change(&circuit, |state, _| state.reset());
        }
    }

    /// The circuit of this request's key.
    pub(super) fn circuit_of(&self, head: &RequestHead<'_>) -> Arc<Circuit> {
        self.circuit(&self.shared.scope.key(head))
    }

    pub(super) fn policy(&self) -> &CircuitBreakerPolicy {
        &self.shared.policy
    }

    pub(super) fn time(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// Changes a circuit, and tells of it once the lock is free.
    pub(super) fn change(
        &self,
        circuit: &Circuit,
        change: impl FnOnce(&mut State, Instant) -> Option<Transition>,
    ) {
        let now = self.shared.clock.now();
        let transition = change(&mut circuit.lock(), now);
        self.tell(circuit, transition);
    }

    pub(super) fn tell(&self, circuit: &Circuit, transition: Option<Transition>) {
        let key = &*circuit.key;
        let event = match transition {
            None => return,
            Some(Transition::Opened { wait, reason }) => Event::Opened { key, wait, reason },
            Some(Transition::HalfOpened) => Event::HalfOpened {
                key,
                reason: "its time is over, or it was forced",
            },
            Some(Transition::Closed) => Event::Closed {
                key,
                reason: "probes have succeeded, or it was reset",
            },
        };
        self.shared.events.tell(&event);
    }

    fn assemble(
        policy: CircuitBreakerPolicy,
        scope: Scope,
        clock: Arc<dyn Clock>,
        events: Events,
    ) -> Self {
        let shared = Shared {
            policy,
            scope,
            clock,
            events,
            circuits: Keyed::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn circuit(&self, key: &str) -> Arc<Circuit> {
        let make = |key| Circuit {
            key,
            state: Mutex::new(State::new(&self.shared.policy, self.shared.clock.now())),
        };
        let is_idle = |circuit: &Circuit| {
            let now = self.shared.clock.now();
            circuit.lock().is_idle(&self.shared.policy, now)
        };
        self.shared.circuits.get_or_insert(key, make, is_idle)
    }
}

impl Circuit {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The default policy: see [`CircuitBreakerPolicy`].
impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::assemble(
            CircuitBreakerPolicy::default(),
            Scope::Host,
            Arc::new(TokioClock),
            Events::default(),
        )
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("policy", &self.shared.policy)
            .field("scope", &self.shared.scope)
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}
