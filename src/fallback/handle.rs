//! [`Cooldowns`]: who is left alone until when, shared by whoever holds a clone.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    config::DEFAULT_COOLDOWN,
    state::{Entry, Grounds, State},
};
use crate::{
    clock::{Clock, TokioClock},
    observe::{Event, Events, Observer},
    outcome::{Failure, FailureKind},
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
/// let upstream = Provider::groq().model("openai/gpt-oss-20b");
/// let cooldowns = Cooldowns::default();
/// let failure = Failure::new(FailureKind::RateLimited).with_retry_after(Duration::from_secs(20));
/// cooldowns.cool(&upstream, &failure);
/// assert!(cooldowns.remaining(&upstream) > Some(Duration::from_secs(19)));
/// cooldowns.clear("groq/openai/gpt-oss-20b");
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
    /// For how long of that it was asked for; the rest is a guess.
    pub(crate) asked: Duration,
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
        let time = failure.hint().unwrap_or(DEFAULT_COOLDOWN);
        let now = self.shared.clock.now();
        self.cool_for(upstream, failure, time, Grounds::Asked, now);
    }

    /// Leaves it alone for so long again, of which so much was asked for.
    pub(crate) fn cool_again(
        &self,
        upstream: &Upstream,
        failure: &Failure,
        remaining: Duration,
        asked: Duration,
    ) {
        let now = self.shared.clock.now();
        let cool = |time, grounds| self.cool_for(upstream, failure, time, grounds, now);
        if remaining > asked {
            cool(remaining, Grounds::Failure);
        }
        cool(asked, Grounds::Asked);
    }

    /// Every cooldown, the soonest to end first.
    pub fn list(&self) -> Vec<Cooldown> {
        let now = self.shared.clock.now();
        let mut list: Vec<Cooldown> = self.with(|state| {
            let [upstreams, providers] = state.entries(now);
            let upstreams = upstreams.iter().map(|entry| (entry, false));
            let providers = providers.iter().map(|entry| (entry, true));
            let left = |until: Instant| until.saturating_duration_since(now);
            let cooldown = |((key, entry), account_wide): ((&Arc<str>, &Entry), bool)| Cooldown {
                key: key.clone(),
                account_wide,
                kind: entry.kind,
                remaining: left(entry.until),
                asked: entry.asked.map_or(Duration::ZERO, left),
            };
            upstreams.chain(providers).map(cooldown).collect()
        });
        list.sort_by(|a, b| (a.remaining, &a.key).cmp(&(b.remaining, &b.key)));
        list
    }

    /// How long this upstream is still left alone, by itself or with its whole provider; `None` where it is not.
    pub fn remaining(&self, upstream: &Upstream) -> Option<Duration> {
        let now = self.shared.clock.now();
        let entry = self.with(|state| state.entry(upstream, now))?;
        Some(entry.until.saturating_duration_since(now))
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
        grounds: Grounds,
        now: Instant,
    ) {
        let cooled = self.with(|state| state.cool(upstream, failure, time, grounds, now));
        let Some(until) = cooled else {
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

    /// Whether anybody may be cooling down.
    #[inline]
    pub(super) fn are_any(&self) -> bool {
        self.shared.any.load(Ordering::Acquire)
    }

    /// The cooldown of this upstream, if there is one.
    #[inline]
    pub(super) fn entry(&self, upstream: &Upstream, now: Instant) -> Option<Entry> {
        if !self.are_any() {
            return None;
        }
        self.with(|state| state.entry(upstream, now))
    }

    /// This upstream has answered, and may have been left alone meanwhile.
    pub(super) fn answered(&self, upstream: &Upstream, is_probe: bool) {
        self.with(|state| state.answered(upstream, is_probe));
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
