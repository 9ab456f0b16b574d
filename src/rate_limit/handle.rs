//! [`RateLimiter`]: the windows and queues of all keys, shared by whoever holds a clone.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    config::Quota,
    meter::{Meter, Setup},
    permit::Permit,
    state::{Admission, Patience},
    status::Status,
    waiter::Waiter,
};
use crate::{
    clock::{Clock, TokioClock},
    config_error::ConfigError,
    error::Error,
    keyed::Keyed,
    observe::{Event, Events, Observer},
    request::{AttemptDeadline, Cost, Deadline, RequestHead, Scope},
    upstream::Upstream,
};

/// The windows and queues of all keys. Cheap to clone; clones share them.
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
    settings: Arc<Settings>,
    meters: Arc<Keyed<Meter>>,
}

struct Settings {
    quota: Arc<Quota>,
    scope: Scope,
    max_wait: Option<Duration>,
    queue_capacity: usize,
    setup: Arc<Setup>,
}

/// What a request that asked holds.
pub(super) enum Entry {
    Admitted(Permit),
    Queued(Waiter),
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
        Ok(Self::from(Settings {
            quota: Arc::new(quota),
            scope: Scope::Upstream,
            max_wait: Some(MAX_WAIT),
            queue_capacity: usize::MAX,
            setup: Arc::new(Setup {
                clock: Arc::new(TokioClock),
                events: Events::default(),
            }),
        }))
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

    /// A limiter with the same settings, no state, and this clock. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| {
            let events = settings.setup.events.clone();
            settings.setup = Arc::new(Setup {
                clock: Arc::new(clock),
                events,
            });
        })
    }

    /// A limiter with the same settings, no state, and this observer. Default: none.
    #[must_use]
    pub fn observe(self, observer: impl Observer) -> Self {
        self.with(|settings| {
            let clock = settings.setup.clock.clone();
            settings.setup = Arc::new(Setup {
                clock,
                events: Events::to(observer),
            });
        })
    }

    /// How the limits of this key stand; the key of a limiter over all requests is empty.
    pub fn status(&self, key: &str) -> Status {
        self.look(key, Meter::status)
    }

    /// How long a request of this cost would wait if it came now, as far as limits and queue tell; `None` where it could
    /// never pass. What the concurrency limit adds cannot be known.
    pub fn wait_time(&self, key: &str, cost: Cost) -> Option<Duration> {
        self.look(key, |meter| meter.wait_time(cost))
    }

    /// The keys that have been seen and are not idle.
    pub fn keys(&self) -> Vec<Arc<str>> {
        self.meters
            .all()
            .iter()
            .map(|meter| meter.key.clone())
            .collect()
    }

    /// Holds back every request of this key for so long. A pause is only ever extended.
    pub fn pause(&self, key: &str, wait: Duration) {
        self.meter(key, self.settings.setup.clock.now()).pause(wait);
    }

    /// Forgets what this key has taken, and lifts its pause. What is under way, or waits, stays so.
    pub fn reset(&self, key: &str) {
        if let Some(meter) = self.meters.get(key) {
            meter.reset();
        }
    }

    /// Admits, queues or refuses a request.
    pub(super) fn enter(&self, head: &RequestHead<'_>) -> Result<Entry, Error> {
        let settings = &self.settings;
        let now = settings.setup.clock.now();
        let own_quota = match settings.scope {
            Scope::Upstream | Scope::Host => head.upstream().and_then(Upstream::own_quota),
            _ => None,
        };
        let meter = settings.scope.key(head, |key| self.meter(key, now));
        let extensions = head.extensions;
        let cost = extensions.get().copied().unwrap_or_default();
        let priority = extensions.get().copied().unwrap_or_default();
        let deadline = extensions.get().map(|Deadline(at)| *at);
        let attempt_ends = extensions.get().map(|AttemptDeadline(at)| *at);
        let patience = Patience {
            max_wait: settings.max_wait,
            deadline: deadline.into_iter().chain(attempt_ends).min(),
            queue_capacity: settings.queue_capacity,
        };
        match meter.ask(own_quota, cost, priority, patience, now) {
            Admission::Pass(reservation) => Ok(Entry::Admitted(Permit::admitted(
                meter,
                reservation,
                Duration::ZERO,
            ))),
            Admission::Wait { place, until } => {
                let waiter = Waiter::new(meter.clone(), place, now, patience.until(now));
                let wait = until.saturating_duration_since(now);
                meter.tell(&Event::Queued {
                    key: &meter.key,
                    wait,
                });
                Ok(Entry::Queued(waiter))
            }
            Admission::Reject(rejection) => Err(meter.refusal(rejection, now)),
        }
    }

    /// Looks at the meter of a key without making one: a key that was never seen stands as a new one would.
    fn look<R>(&self, key: &str, look: impl FnOnce(&Meter) -> R) -> R {
        match self.meters.get(key) {
            Some(meter) => look(&meter),
            None => {
                let settings = &self.settings;
                let now = settings.setup.clock.now();
                look(&Meter::new(
                    key.into(),
                    settings.quota.clone(),
                    settings.setup.clone(),
                    now,
                ))
            }
        }
    }

    fn meter(&self, key: &str, now: Instant) -> Arc<Meter> {
        let settings = &self.settings;
        let make = |key| Meter::new(key, settings.quota.clone(), settings.setup.clone(), now);
        self.meters
            .get_or_insert(key, make, |meter| meter.is_idle(now))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let current = &self.settings;
        let mut settings = Settings {
            quota: current.quota.clone(),
            scope: current.scope.clone(),
            max_wait: current.max_wait,
            queue_capacity: current.queue_capacity,
            setup: current.setup.clone(),
        };
        change(&mut settings);
        Self::from(settings)
    }
}

impl From<Settings> for RateLimiter {
    fn from(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            meters: Arc::new(Keyed::new()),
        }
    }
}

/// A limiter without limits: it only holds requests back while an upstream asks for that.
impl Default for RateLimiter {
    fn default() -> Self {
        Self::new(Quota::new()).expect("a quota without limits is valid")
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("quota", &self.settings.quota)
            .field("scope", &self.settings.scope)
            .field("max_wait", &self.settings.max_wait)
            .field("queue_capacity", &self.settings.queue_capacity)
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

// Half as long again as the commonest window, so that who waits for one to free is not refused in that very moment.
const MAX_WAIT: Duration = Duration::from_secs(90);
