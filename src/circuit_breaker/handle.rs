//! [`CircuitBreaker`]: the circuits of all keys, shared by whoever holds a clone.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    admission::{Admission, Times},
    circuits::{Asked, Circuits},
    config::CircuitBreakerPolicy,
    decision::{CircuitState, Verdict},
    judge::{Answer, Judge},
    passes::{Found, Passes, Usual},
    settings::Settings,
    state::State,
};
use crate::{
    clock::Clock,
    config_error::ConfigError,
    error::Error,
    observe::{Events, Observer},
    request::{Key, RequestHead, Scope},
};

/// The circuits of all keys. Cheap to clone; clones share them. Its setters make a new breaker, without state: call them first,
/// and clone afterwards.
///
/// A key that no call has come under yet is as good as any other, for it may come: what is said of it holds from then on. So a key
/// that is misspelt is taken without a word; [`keys`](Self::keys) shows it.
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

/// Passes hold on to the circuits, so the circuits cannot hold on to them.
struct Shared {
    circuits: Arc<Circuits>,
    passes: Passes,
}

/// What a circuit has counted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitMetrics {
    /// Where it stands.
    pub state: CircuitState,
    /// For how long it has stood there.
    pub since: Duration,
    /// How long until an open circuit lets a probe through; `None` in other states.
    pub retry_after: Option<Duration>,
    /// The calls in its window; none where the policy has no rate, and the window begins anew with each change of state.
    pub calls: u32,
    /// The failures among them.
    pub failures: u32,
    /// The slow calls among them.
    pub slow: u32,
    /// The share of failures, 0.0 to 1.0; 0.0 where there are no calls.
    pub failure_rate: f64,
    /// The share of slow calls, 0.0 to 1.0; 0.0 where there are no calls.
    pub slow_call_rate: f64,
    /// The failures in a row of a closed circuit.
    pub consecutive_failures: u32,
    /// How often it has opened by itself since the key was first seen.
    pub opened: u32,
    /// How many calls it has refused since then.
    pub refused: u64,
}

impl CircuitBreaker {
    /// A breaker with a circuit for each upstream, or each host where a request names no upstream.
    ///
    /// # Errors
    ///
    /// When a setting of the policy cannot work; the error names it.
    pub fn new(policy: CircuitBreakerPolicy) -> Result<Self, ConfigError> {
        policy.check()?;
        Ok(Self::from(Settings::new(policy)))
    }

    /// A breaker with the same settings, no state, and a circuit for each key of this scope. Default: [`Scope::Host`].
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        self.with(|settings| settings.scope = scope)
    }

    /// A breaker with the same settings, no state, and this judge of what comes back: it may know better which answers speak
    /// against the upstream. Default: [`Answer::verdict`].
    ///
    /// Where it says [`Verdict::Success`] to a response, the end of the body decides. It is asked outside of every lock; a call
    /// of which it panics counts nowhere.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_upstream::{CircuitBreaker, circuit_breaker::Verdict};
    ///
    /// // A model that is not there is an upstream that is not well.
    /// let breaker = CircuitBreaker::default().judge(|answer| match answer.status {
    ///     Some(StatusCode::NOT_FOUND) => Verdict::Failure,
    ///     _ => answer.verdict,
    /// });
    /// ```
    #[must_use]
    pub fn judge(self, judge: impl Fn(&Answer<'_>) -> Verdict + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.judge = Some(Judge::new(judge)))
    }

    /// A breaker with the same settings, no state, and at most so many keys that are not idle, at least 1. A key beyond them
    /// shares one circuit with all others beyond, whose key is `(others)`: its state and figures are theirs. Default: 1,000,000.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.with(|settings| settings.max_keys = keys.max(1))
    }

    /// A breaker with the same settings, no state, and this clock. Default: [`TokioClock`](crate::clock::TokioClock).
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// A breaker with the same settings, no state, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        self.with(|settings| settings.events = Events::to(observer))
    }

    /// Where the circuit of this key stands; closed where nothing is known of the key. One whose open time is over is open
    /// until a call comes to probe.
    pub fn state(&self, key: &str) -> CircuitState {
        let state = self.circuits().glance(key, State::circuit_state);
        state.unwrap_or(CircuitState::Closed)
    }

    /// What the circuit of this key has counted; `None` where nothing is known of the key.
    pub fn metrics(&self, key: &str) -> Option<CircuitMetrics> {
        self.circuits().look(key, |state, now| {
            let counted = state.counted(now);
            let tally = counted.tally;
            let share = |count| match tally.calls {
                0 => 0.0,
                calls => f64::from(count) / f64::from(calls),
            };
            let open_until = counted.open_until;
            CircuitMetrics {
                state: state.circuit_state(),
                since: now.saturating_duration_since(counted.since),
                retry_after: open_until.map(|until| until.saturating_duration_since(now)),
                calls: tally.calls,
                failures: tally.failures,
                slow: tally.slow,
                failure_rate: share(tally.failures),
                slow_call_rate: share(tally.slow),
                consecutive_failures: counted.consecutive,
                opened: counted.opened,
                refused: counted.refused,
            }
        })
    }

    /// The keys that have a circuit.
    pub fn keys(&self) -> Vec<Arc<str>> {
        self.circuits().keys()
    }

    /// Refuses every call of this key until [`reset`](Self::reset).
    pub fn force_open(&self, key: &str) {
        self.circuits().change(key, State::force_open);
    }

    /// Lets every call of this key through, and counts them, whatever comes back, until [`reset`](Self::reset).
    pub fn force_closed(&self, key: &str) {
        self.circuits().change(key, State::force_closed);
    }

    /// Lets probes of this key through at once, which close the circuit or open it.
    pub fn force_half_open(&self, key: &str) {
        self.circuits().change(key, State::force_half_open);
    }

    /// Lets every call of this key through and counts nothing, until [`reset`](Self::reset).
    pub fn disable(&self, key: &str) {
        self.circuits().change(key, State::disable);
    }

    /// Closes the circuit of this key, with nothing counted. The calls that are under way will not count either.
    pub fn reset(&self, key: &str) {
        self.circuits().reset(key);
    }

    /// Closes every circuit, with nothing counted.
    pub fn reset_all(&self) {
        for key in self.keys() {
            self.reset(&key);
        }
    }

    /// Which requests share a circuit.
    #[inline(always)]
    pub(super) fn scope_of(&self) -> &Scope {
        &self.settings().scope
    }

    pub(crate) fn policy(&self) -> &CircuitBreakerPolicy {
        self.circuits().policy()
    }

    /// The key that a request falls under.
    pub(super) fn key<'a>(&self, head: &RequestHead<'a>) -> Key<'a> {
        self.settings().scope.key(head)
    }

    /// What a look at the circuit of a key tells; `None` where there is none.
    pub(super) fn outlook<R>(
        &self,
        key: &str,
        look: impl FnOnce(&State, &CircuitBreakerPolicy, Instant) -> R,
    ) -> Option<R> {
        let (circuits, now) = (self.circuits(), self.circuits().now());
        circuits.glance(key, |state| look(state, circuits.policy(), now))
    }

    /// The way of this thread to the circuit of a key.
    pub(super) fn find(&self, key: &str) -> Found {
        self.shared.passes.find(key)
    }

    /// Asks for the right to make a call that cannot go the usual way.
    #[inline(never)]
    pub(super) fn enter(
        &self,
        head: &RequestHead<'_>,
        usual: &mut Usual,
    ) -> Result<Admission, Error> {
        if let Some(refusal) = usual.refuse(self.scope_of(), head) {
            return Err(Error::CircuitOpen(refusal));
        }
        let key = self.key(head);
        let found = self.find(&key);
        usual.miss(self.scope_of(), found.pass());
        match found {
            Found::Refused(_, refusal) => Err(Error::CircuitOpen(refusal)),
            Found::Open(pass, ticket) => {
                let times = Times::of(&pass.circuits, pass.is_plain, head);
                Ok(Admission::by_lane(pass, ticket, times))
            }
            Found::Ask { wants_lane } => self.ask(&key, wants_lane, head),
        }
    }

    /// Asks a circuit for the right to make a call.
    fn ask(
        &self,
        key: &Key<'_>,
        wants_lane: bool,
        head: &RequestHead<'_>,
    ) -> Result<Admission, Error> {
        let circuits = self.circuits();
        let Asked {
            result,
            news,
            offer,
        } = circuits.ask(key, wants_lane);
        // In a guard before the event is told, so that an observer that panics leaks nothing.
        let result = result.map(|granted| {
            let times = Times::of(circuits, false, head);
            Admission::by_lock(circuits.clone(), &granted, times)
        });
        if let Some(offer) = offer {
            self.shared.passes.keep(circuits, key, offer);
        }
        circuits.tell(news);
        result
    }

    pub(super) fn circuits(&self) -> &Arc<Circuits> {
        &self.shared.circuits
    }

    fn settings(&self) -> &Settings {
        &self.shared.circuits.settings
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.settings().clone();
        change(&mut settings);
        Self::from(settings)
    }
}

impl From<Settings> for CircuitBreaker {
    fn from(settings: Settings) -> Self {
        let shared = Shared {
            circuits: Arc::new(Circuits::new(settings)),
            passes: Passes::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

/// The default policy: see [`CircuitBreakerPolicy`].
impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::from(Settings::new(CircuitBreakerPolicy::default()))
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings();
        f.debug_struct("CircuitBreaker")
            .field("policy", &settings.policy)
            .field("scope", &settings.scope)
            .field("max_keys", &settings.max_keys)
            .field("judge", &settings.judge)
            .finish_non_exhaustive()
    }
}
