//! [`Cooldowns`]: who is left alone until when, shared by whoever holds a clone.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};

use super::{
    config::{Chain, DEFAULT_COOLDOWN, hint},
    state::{Entry, State, Turn, Walk},
};
use crate::{
    body::{Replay, replay_request},
    classify,
    clock::{Clock, Sleep, TokioClock},
    error::{Error, Exhausted},
    observe::{Event, Events, Observer},
    outcome::{Failure, FailureKind},
    request::{Attempts, Deadline, Next},
    upstream::Upstream,
};

/// Which upstreams are left alone, until when and why. Cheap to clone; clones share them.
///
/// Several layers may share one, so that what one chain learns of an upstream the others know.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{Cooldowns, Failure, FailureKind, Provider};
///
/// let upstream = Provider::groq().model("llama-3.1-8b-instant");
/// let cooldowns = Cooldowns::default();
/// let failure = Failure::new(FailureKind::RateLimited).with_retry_after(Duration::from_secs(20));
/// cooldowns.cool(&upstream, &failure);
/// assert!(cooldowns.remaining(&upstream) > Some(Duration::from_secs(19)));
/// cooldowns.clear("groq/llama-3.1-8b-instant");
/// assert_eq!(cooldowns.remaining(&upstream), None);
/// ```
#[derive(Clone)]
pub struct Cooldowns {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    events: Events,
    state: Mutex<State>,
    /// Whether the state holds anything, so that a request takes no lock while nobody is cooling down.
    any: AtomicBool,
}

/// One cooldown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cooldown {
    /// The upstream's id, or the provider's name where the failure spoke for the account.
    pub key: Arc<str>,
    /// Whether it holds for every model of the provider.
    pub account_wide: bool,
    /// Why.
    pub kind: FailureKind,
    /// How long it still lasts.
    pub remaining: Duration,
}

impl Cooldowns {
    /// No cooldowns yet.
    pub fn new() -> Self {
        Self::assemble(Arc::new(TokioClock), Events::default())
    }

    /// Nothing cooling down yet, the same observer, and this clock. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self::assemble(Arc::new(clock), self.shared.events.clone())
    }

    /// Nothing cooling down yet, the same clock, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        Self::assemble(self.shared.clock.clone(), Events::to(observer))
    }

    /// Leaves this upstream alone for as long as the failure asks, 5 min where it does not say; its whole provider where
    /// the failure speaks for the account. A cooldown that lasts longer already stays as it is.
    pub fn cool(&self, upstream: &Upstream, failure: &Failure) {
        let time = hint(failure).unwrap_or(DEFAULT_COOLDOWN);
        self.cool_for(upstream, failure, time, self.shared.clock.now());
    }

    /// Every cooldown, the soonest to end first.
    pub fn list(&self) -> Vec<Cooldown> {
        let now = self.shared.clock.now();
        let mut list: Vec<Cooldown> = self.with(|state| {
            let [upstreams, providers] = state.entries(now);
            let upstreams = upstreams.iter().map(|entry| (entry, false));
            let providers = providers.iter().map(|entry| (entry, true));
            let cooldown = |((key, entry), account_wide): ((&Arc<str>, &Entry), bool)| Cooldown {
                key: key.clone(),
                account_wide,
                kind: entry.kind,
                remaining: entry.until.saturating_duration_since(now),
            };
            upstreams.chain(providers).map(cooldown).collect()
        });
        list.sort_by(|a, b| (a.remaining, &a.key).cmp(&(b.remaining, &b.key)));
        list
    }

    /// How long this upstream is still left alone, by itself or with its whole provider; `None` where it is not.
    pub fn remaining(&self, upstream: &Upstream) -> Option<Duration> {
        let now = self.shared.clock.now();
        let until = self.with(|state| state.until(upstream, now))?;
        Some(until.saturating_duration_since(now))
    }

    /// Ends the cooldown of the upstream with this id, and that of the provider with this name.
    pub fn clear(&self, key: &str) {
        self.with(|state| state.clear(key));
    }

    /// Ends every cooldown.
    pub fn clear_all(&self) {
        self.with(State::clear_all);
    }

    pub(super) fn cool_for(
        &self,
        upstream: &Upstream,
        failure: &Failure,
        time: Duration,
        now: Instant,
    ) {
        let Some(until) = self.with(|state| state.cool(upstream, failure, time, now)) else {
            return;
        };
        self.tell(&Event::CoolingDown {
            upstream: if failure.account_wide {
                upstream.provider().name()
            } else {
                upstream.id()
            },
            wait: until.saturating_duration_since(now),
            kind: failure.kind,
        });
    }

    /// Whose turn it is on this walk.
    pub(super) fn turn(&self, walk: &mut Walk, chain: &Chain, allowed: bool, now: Instant) -> Turn {
        if !self.shared.any.load(Ordering::Acquire) {
            return walk.turn(chain, allowed, |_| None);
        }
        self.with(|state| walk.turn(chain, allowed, |upstream| state.until(upstream, now)))
    }

    pub(super) fn time(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.shared.events.tell(event);
    }

    fn with<R>(&self, with: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let result = with(&mut state);
        self.shared.any.store(!state.is_empty(), Ordering::Release);
        result
    }

    fn assemble(clock: Arc<dyn Clock>, events: Events) -> Self {
        let shared = Shared {
            clock,
            events,
            state: Mutex::default(),
            any: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

/// No cooldowns yet, on tokio's clock.
impl Default for Cooldowns {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cooldowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

/// One request on its way along a chain of several upstreams.
#[derive(Debug)]
pub(super) struct Course {
    cooldowns: Cooldowns,
    chain: Arc<Chain>,
    walk: Walk,
    ledger: Attempts,
    alternatives: u32,
    /// Whether somebody could be asked next, were the body one that can be sent again.
    cannot_repeat: bool,
}

/// What happens to the request next.
pub(super) enum Move {
    /// It goes to this upstream.
    Ask(Upstream),
    /// It waits for the soonest.
    Wait(Sleep),
    /// It fails.
    Fail(Error),
}

impl Course {
    /// Opens the request's ledger, or goes on with the one that it carries, and sets out.
    pub(super) fn begin<B>(
        cooldowns: &Cooldowns,
        chain: &Arc<Chain>,
        request: &Request<B>,
    ) -> (Self, Move) {
        let now = cooldowns.time().now();
        let extensions = request.extensions();
        let deadline = extensions.get().map(|Deadline(at)| *at);
        let ledger = extensions.get().cloned().unwrap_or_else(|| chain.ledger());
        let mut course = Self {
            cooldowns: cooldowns.clone(),
            chain: chain.clone(),
            walk: Walk::new(chain, deadline, now),
            ledger,
            alternatives: 0,
            cannot_repeat: false,
        };
        let turn = course.turn(true, now);
        let next = course.take(turn, now);
        (course, next)
    }

    /// Goes on after a wait. Somebody else's failure may have made it longer meanwhile.
    pub(super) fn wake(&mut self) -> Move {
        let now = self.cooldowns.time().now();
        let turn = self.turn(true, now);
        self.take(turn, now)
    }

    /// Makes the request ready for this upstream. Gives back a copy for the next, where there may be one.
    pub(super) fn address<B: Replay>(
        &mut self,
        request: &mut Request<B>,
        upstream: &Upstream,
    ) -> Option<Request<B>> {
        // Even if all others are cooling down now: one of them may be back by the time that this one fails.
        let may_go_on = self.walk.goes_on(&self.chain) && self.ledger.allows_another();
        let copy = may_go_on.then(|| replay_request(request)).flatten();
        self.cannot_repeat = may_go_on && copy.is_none();
        // The retry layer is less patient with this upstream while there is another.
        let alternatives = if copy.is_some() { self.alternatives } else { 0 };
        self.ledger.set_alternatives(alternatives);
        // After the copy is made, so that it need not carry them.
        request.extensions_mut().insert(self.ledger.clone());
        request.extensions_mut().insert(upstream.clone());
        copy
    }

    /// What follows from what this upstream gave back; `None` where the caller gets it.
    pub(super) fn judge<R>(
        &mut self,
        upstream: &Upstream,
        result: &Result<Response<R>, Error>,
    ) -> Option<Move> {
        let failure = classify::failure(result, self.cooldowns.time())?;
        let now = self.cooldowns.time().now();
        let cooldown = self.chain.cooldown_after(&failure);
        if let Some(time) = cooldown {
            self.cooldowns.cool_for(upstream, &failure, time, now);
        }
        self.walk.failed(cooldown.or_else(|| hint(&failure)), now);
        if !self.chain.falls_back(&failure) || self.cannot_repeat {
            self.record(upstream, failure, Next::Stop, now);
            return None;
        }
        // What is too large for a quota, ours or theirs, may well fit the context.
        if failure.kind == FailureKind::RequestTooLarge && failure.limit.is_none() && result.is_ok()
        {
            self.walk.too_large_for(upstream);
        }
        let turn = self.turn(self.ledger.allows_another(), now);
        let next = match turn {
            Turn::Try { index, .. } => {
                self.cooldowns.tell(&Event::Switched {
                    from: upstream.id(),
                    to: self.chain.upstreams[index].id(),
                    failure: &failure,
                });
                Next::FallBack
            }
            Turn::Wait { .. } | Turn::Exhausted { .. } => Next::Stop,
        };
        self.record(upstream, failure, next, now);
        Some(self.take(turn, now))
    }

    fn turn(&mut self, allowed: bool, now: Instant) -> Turn {
        self.cooldowns
            .turn(&mut self.walk, &self.chain, allowed, now)
    }

    fn take(&mut self, turn: Turn, now: Instant) -> Move {
        match turn {
            Turn::Try {
                index,
                alternatives,
            } => {
                self.alternatives = alternatives;
                self.ledger.begin(now);
                Move::Ask(self.chain.upstreams[index].clone())
            }
            Turn::Wait { until } => Move::Wait(self.cooldowns.time().sleep_until(until)),
            Turn::Exhausted { soonest } => Move::Fail(self.exhausted(soonest, now)),
        }
    }

    fn exhausted(&self, soonest: Option<Instant>, now: Instant) -> Error {
        let retry_after = soonest
            .map(|soonest| soonest.saturating_duration_since(now))
            // Zero would invite a hot loop.
            .filter(|wait| !wait.is_zero());
        self.cooldowns.tell(&Event::Exhausted {
            attempts: self.ledger.count(),
            retry_after,
        });
        let upstreams = self.chain.upstreams.iter();
        let cooling = self.cooldowns.with(|state| {
            let entries = upstreams.filter_map(|upstream| state.entry(upstream, now));
            entries.map(|entry| entry.kind).collect()
        });
        Error::Exhausted(Exhausted {
            attempts: self.ledger.failed(),
            cooling,
            retry_after,
        })
    }

    fn record(&self, upstream: &Upstream, failure: Failure, next: Next, now: Instant) {
        let upstream = Some(upstream.shared_id().clone());
        self.ledger.record(upstream, failure, next, now);
    }
}
