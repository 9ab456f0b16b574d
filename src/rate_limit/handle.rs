//! [`RateLimiter`]: the windows and queues of all keys, shared by whoever holds a clone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError},
    task::Waker,
    time::Duration,
};

use super::{
    config::Quota,
    epoch::{Epoch, Nanos, WallNanos},
    news::News,
    settings::Settings,
    state::State,
};
use crate::{
    clock::Clock,
    config_error::ConfigError,
    cost::Price,
    instant::nanos,
    keys::{Begun, Keys, Locked, Spot},
    observe::{Event, Events, Observer},
    request::{Key, RequestHead, Scope},
    sync::{Mutex, MutexGuard},
    upstream::Upstream,
};

/// The windows and queues of all keys. Cheap to clone; clones share them. Its setters make a new limiter, without state: call
/// them first, and clone afterwards.
///
/// ```
/// use tower_upstream::{Limit, Quota, RateLimiter};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let limiter = RateLimiter::new(Quota::new().limit(Limit::requests(60).per_minute()))?;
/// let status = limiter.status("");
/// assert_eq!(status.limits[0].remaining, 60);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    epoch: Epoch,
    keys: Keys<State>,
    /// When the snapshots were saved that it has taken up.
    restored: Mutex<BTreeSet<WallNanos>>,
    /// What upstreams bring that are known before their first request.
    foreseen: Mutex<BTreeMap<Arc<str>, Arc<Quota>>>,
}

/// The state of a key that a request falls under, while it is locked.
pub(super) struct Found<'a> {
    pub(super) limiter: &'a RateLimiter,
    pub(super) state: &'a mut State,
    pub(super) key: &'a str,
    pub(super) spot: Spot,
    pub(super) begun: &'a mut Begun,
    /// The time as the limiter counts it.
    pub(super) now: Nanos,
}

impl<'a> Found<'a> {
    #[inline(always)]
    pub(super) fn new(
        limiter: &'a RateLimiter,
        locked: &'a mut Locked<'_, State>,
        now: Nanos,
    ) -> Self {
        // Where any number may be under way, nobody asks how many are, and what others end need not be fetched.
        if locked.is_capped() {
            let held = locked.held();
            locked.heed_holds(held);
        }
        let spot = locked.spot();
        let (state, key, begun) = locked.parts_to_hold();
        Self {
            limiter,
            state,
            key,
            spot,
            begun,
            now,
        }
    }
}

impl RateLimiter {
    /// A limiter that grants this quota to each upstream, or to all requests together where they name none. An upstream
    /// with a quota of its own is granted that one.
    ///
    /// # Errors
    ///
    /// When a limit of the quota cannot work; the error names it.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        quota.check()?;
        Ok(Self::from(Settings::new(quota)))
    }

    /// A limiter with the same settings, no state, and this scope. Default: [`Scope::Upstream`].
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        self.with(|settings| settings.scope = scope)
    }

    /// A limiter with the same settings, no state, and this longest wait in its queue; `None` for no longest. A request
    /// that would wait longer is refused at once. One that waits for others to end, under a concurrency limit, cannot know
    /// how long that takes, and is refused when the longest wait has passed. Default: 90 s.
    #[must_use]
    pub fn max_wait(self, wait: impl Into<Option<Duration>>) -> Self {
        self.with(|settings| settings.max_wait = wait.into())
    }

    /// A limiter with the same settings, no state, and at most so many requests waiting per key; 0 for no waiting at all.
    /// Default: any number.
    #[must_use]
    pub fn queue_capacity(self, requests: usize) -> Self {
        self.with(|settings| settings.queue_capacity = requests)
    }

    /// A limiter with the same settings, no state, and at most so many keys that are not idle, at least 1. A key beyond
    /// them shares one state with all others beyond, whose key is `(others)`: nobody is refused for the number of keys, and
    /// nobody gets more for making up new ones. Default: 1,000,000.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.with(|settings| settings.max_keys = keys.max(1))
    }

    /// A limiter with the same settings, no state, and this price of tokens, for limits of [money](crate::Limit::money)
    /// where the request names no upstream with a [price](crate::Upstream::price) of its own. Default: none.
    #[must_use]
    pub fn price(self, price: Price) -> Self {
        self.with(|settings| settings.price = Some(price))
    }

    /// A limiter with the same settings, no state, that heeds what answers say of quotas and waits, or does not. Default: it
    /// does.
    ///
    /// In a server, what is answered is said to its callers: one tenant's 429 is no reason to hold back all that come from the
    /// same address, nor is a quota that a provider's answer tells on its way through. What an answer used is settled all
    /// the same.
    #[must_use]
    pub fn heed_answers(self, heed: bool) -> Self {
        self.with(|settings| settings.heeds_answers = heed)
    }

    /// A limiter with the same settings, no state, and this clock. Default: [`TokioClock`](crate::clock::TokioClock).
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// A limiter with the same settings, no state, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        self.with(|settings| settings.events = Events::to(observer))
    }

    /// Grants this key another quota, whatever the limiter's or its upstream's own is, until it is unset. What is taken of
    /// limits that only change their amount stays taken; whoever waits and fits now goes on, and who never will is refused.
    ///
    /// A key that no request has come under yet is as good as any other, for it may come. So one that is misspelt is taken without
    /// a word; [`keys`](Self::keys) shows it.
    ///
    /// # Errors
    ///
    /// When a limit of the quota cannot work; the error names it, and the key keeps the quota that it had.
    pub fn set_quota(&self, key: &str, quota: Quota) -> Result<(), ConfigError> {
        quota.check()?;
        let now = self.now();
        self.change(self.insist(key, now), |state, epoch| {
            state.set_quota(Arc::new(quota), now, epoch.wall());
        });
        Ok(())
    }

    /// Grants this key the quota again that it had before one was set.
    pub fn unset_quota(&self, key: &str) {
        let now = self.now();
        if let Some(state) = self.shared.keys.find(key) {
            self.change(state, |state, epoch| state.unset_quota(now, epoch.wall()));
        }
    }

    /// Holds back every request of this key for so long. A pause is only ever extended; [`resume`](Self::resume) ends it.
    pub fn pause(&self, key: &str, wait: Duration) {
        let now = self.now();
        self.pause_locked(self.insist(key, now), wait, now);
    }

    /// Ends a pause, whether you or the upstream asked for it.
    pub fn resume(&self, key: &str) {
        if let Some(state) = self.shared.keys.find(key) {
            self.change(state, |state, _| state.resume());
        }
    }

    /// Forgets what this key has taken and what its upstream told, and lifts its pause. What is under way, or waits, stays so.
    pub fn reset(&self, key: &str) {
        let now = self.now();
        if let Some(state) = self.shared.keys.find(key) {
            self.change(state, |state, epoch| state.reset(now, epoch.wall()));
        }
    }

    /// Changes the state of a key, and wakes the first of its queue, whose turn may have come.
    fn change(&self, mut state: Locked<'_, State>, change: impl FnOnce(&mut State, Epoch)) {
        change(&mut state, self.shared.epoch);
        let waker = state.first_waker();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The state of a key of which its owner speaks, made whatever the number of keys is.
    fn insist(&self, key: &str, now: Nanos) -> Locked<'_, State> {
        let fresh = || State::new(self.quota_of_new(key), now, self.epoch().wall());
        self.shared.keys.insist(key, fresh)
    }

    /// Holds everybody back. Who waits is woken, for the wait may have become too long for him.
    pub(super) fn pause_locked(&self, mut state: Locked<'_, State>, wait: Duration, now: Nanos) {
        if !state.pause(now.saturating_add(nanos(wait)), now) {
            return;
        }
        let (key, waker) = (Box::<str>::from(state.key()), state.first_waker());
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        self.settings()
            .events
            .tell(&Event::Paused { key: &key, wait });
    }

    /// Looks at every key and its state.
    pub(super) fn for_each(&self, mut look: impl FnMut(&str, &mut State)) {
        self.shared.keys.for_each(|key, state, held| {
            state.heed_holds(held);
            look(key, state);
        });
    }

    /// The state of this key, made if it is new.
    #[inline(always)]
    pub(super) fn enter(&self, key: &str, now: Nanos) -> Locked<'_, State> {
        let is_idle = |state: &mut State| {
            // Nobody is asked about who is held.
            state.heed_holds(0);
            state.is_idle(now)
        };
        self.shared.keys.enter(key, || self.fresh(now), is_idle)
    }

    pub(super) fn fresh(&self, now: Nanos) -> State {
        let Shared {
            settings, epoch, ..
        } = &*self.shared;
        State::new(settings.quota.clone(), now, epoch.wall())
    }

    pub(super) fn now(&self) -> Nanos {
        self.epoch().nanos(self.settings().clock.now())
    }

    /// The key that a request falls under.
    #[inline]
    pub(super) fn key<'a>(&self, head: &RequestHead<'a>) -> Key<'a> {
        self.settings().scope.key(head)
    }

    /// Lets the state of the key that a request falls under go by the quota that holds for it. An upstream's own quota takes
    /// the place of the limiter's: the first of the queue may pass earlier for it, and is to be woken when the lock is free.
    /// The state is lent, for to hand the lock through here would move it once more.
    #[inline(always)]
    pub(super) fn grant(
        &self,
        head: &RequestHead<'_>,
        key: &str,
        state: &mut Locked<'_, State>,
        now: Nanos,
        news: &mut News,
    ) {
        let is_other =
            |own: &&Arc<Quota>| !Arc::ptr_eq(own, state.quota()) && *own != state.quota();
        let own = match self.granted(head) {
            None if state.is_quota_restored() => Some(&self.settings().quota),
            granted => granted.filter(is_other),
        };
        // What is set for the key stands, and the state of all keys beyond the bound is nobody's own.
        let own = own.filter(|_| !state.is_quota_set() && state.key() == key);
        if let Some(own) = own {
            state.change_quota(own.clone(), now, self.epoch().wall());
            news.wake(state.first_waker());
        }
    }

    /// The quota of whom the request is sent to, where the scope goes by that.
    #[inline]
    pub(super) fn granted<'a>(&self, head: &RequestHead<'a>) -> Option<&'a Arc<Quota>> {
        self.grants(head.upstream()?)
    }

    /// The quota that this upstream brings to such a scope.
    #[inline]
    pub(crate) fn grants<'a>(&self, upstream: &'a Upstream) -> Option<&'a Arc<Quota>> {
        self.settings().grants(upstream)
    }

    /// The state at a spot that somebody holds on to.
    pub(super) fn lock(&self, spot: Spot) -> Locked<'_, State> {
        told(self.shared.keys.lock(spot))
    }

    /// Ends a request under the key at this spot of which nothing is to be settled. Returns `false`, and does nothing, where
    /// somebody waits for that: then it is to be ended under the lock.
    #[inline]
    pub(super) fn try_end(&self, spot: Spot) -> bool {
        self.shared.keys.try_release(spot)
    }

    /// The upstream of the key at this spot refused a request, admitted at `sent`, for its rate, and may have named a wait.
    pub(super) fn refused_at(&self, spot: Spot, sent: Nanos, wait: Option<Duration>) {
        let now = self.now();
        let mut state = self.lock(spot);
        let named = wait.map_or(0, nanos);
        state.refused(sent, named, now);
        if let Some(wait) = wait {
            self.pause_locked(state, wait, now);
        }
    }

    /// What upstreams bring that are known before their first request, by their keys.
    pub(super) fn foreseen(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Quota>>> {
        let foreseen = self.shared.foreseen.lock();
        foreseen.unwrap_or_else(PoisonError::into_inner)
    }

    /// The quota that a key stands under which was never seen.
    pub(super) fn quota_of_new(&self, key: &str) -> Arc<Quota> {
        let foreseen = self.foreseen().get(key).cloned();
        foreseen.unwrap_or_else(|| self.settings().quota.clone())
    }

    /// The state of a key, if there is one, or of all keys beyond the bound.
    pub(super) fn find(&self, key: &str) -> Option<Locked<'_, State>> {
        self.shared.keys.find_or_others(key).map(told)
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Where it stands in the order in which several are locked.
    pub(super) fn lock_order(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// When the snapshots were saved that it has taken up.
    pub(super) fn restored(&self) -> MutexGuard<'_, BTreeSet<WallNanos>> {
        let restored = self.shared.restored.lock();
        restored.unwrap_or_else(PoisonError::into_inner)
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self::from(settings)
    }
}

/// Requests end without the lock, so a state is told how many have.
fn told(mut state: Locked<'_, State>) -> Locked<'_, State> {
    let held = state.held();
    state.heed_holds(held);
    state
}

impl From<Settings> for RateLimiter {
    fn from(settings: Settings) -> Self {
        let epoch = Epoch::new(settings.clock.now(), settings.clock.wall());
        let keys = Keys::new(settings.max_keys);
        Self {
            shared: Arc::new(Shared {
                settings,
                epoch,
                keys,
                restored: Mutex::default(),
                foreseen: Mutex::default(),
            }),
        }
    }
}

/// A limiter without limits of its own: it holds requests back while an upstream asks for that, keeps to limits that headers
/// tell, and cuts the rate after a 429 where they tell none.
impl Default for RateLimiter {
    fn default() -> Self {
        Self::new(Quota::new()).expect("a quota without limits is valid")
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings();
        f.debug_struct("RateLimiter")
            .field("quota", &settings.quota)
            .field("scope", &settings.scope)
            .field("max_wait", &settings.max_wait)
            .field("queue_capacity", &settings.queue_capacity)
            .field("max_keys", &settings.max_keys)
            .field("keys", &self.shared.keys.len())
            .finish_non_exhaustive()
    }
}
