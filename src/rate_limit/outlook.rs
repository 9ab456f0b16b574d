//! How the limits of a key stand, and what would become of a request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    config::Quota,
    decision::{Asked, Look},
    epoch::Nanos,
    handle::RateLimiter,
    state::State,
    status::{LimitStatus, Status},
};
use crate::{
    money::Money,
    period::in_words,
    request::{Cost, Price, Priority, RequestHead, Scope},
    upstream::Upstream,
};

impl RateLimiter {
    /// How the limits of this key stand; the key of a limiter over all requests is empty. A key that was never seen stands as
    /// a new one would; none is made for it.
    ///
    /// The quota that an upstream brings is heard of with its first request: before, and again after a long idle time, its key
    /// stands under the limiter's own. That of an upstream that a [`Stack`](crate::Stack) is built with is known from the beginning.
    pub fn status(&self, key: &str) -> Status {
        self.status_under(&self.quota_of_new(key), key)
    }

    /// The same for the key of an upstream, under its own quota also before its first request; `None` where the key is not the
    /// same for all its requests.
    pub(crate) fn status_of(&self, upstream: &Upstream) -> Option<Status> {
        let key = self.key_of_all(upstream)?;
        let Some(own) = self.grants(upstream) else {
            return Some(self.status(key));
        };
        let mut status = self.status_under(own, key);
        // A key that was paused, before its first request, has not heard of it either.
        if status.limits.is_empty() && !self.is_quota_set(key) {
            status.limits = LimitStatus::untouched(own);
        }
        Some(status)
    }

    fn status_under(&self, quota: &Arc<Quota>, key: &str) -> Status {
        self.look_under(quota, key, |state, now| {
            let until = |at: Nanos| Duration::from_nanos(at.saturating_sub(now));
            let limits = state.usage(now).map(|usage| {
                let reset_after = until(usage.free());
                LimitStatus::new(usage.limit, usage.used, reset_after, usage.is_learned)
            });
            Status {
                limits: limits.collect(),
                in_flight: state.in_flight(),
                queued: state.queued(),
                paused: Some(until(state.paused())).filter(|paused| !paused.is_zero()),
            }
        })
    }

    /// How long a request of this cost and of normal priority would wait if it came now, as far as limits and queue tell;
    /// `None` where it could never pass. What the concurrency limit adds cannot be known.
    ///
    /// Of a key that was never seen, the limiter's price is known, not its upstream's own, and of quotas what
    /// [`status`](Self::status) says. The same holds for
    /// [`can_admit`](Self::can_admit) and [`risk`](Self::risk).
    pub fn wait_time(&self, key: &str, cost: Cost) -> Option<Duration> {
        match self.look_at(key, cost) {
            (Look::Pass, _) => Some(Duration::ZERO),
            (Look::Wait { until }, now) => Some(Duration::from_nanos(until.saturating_sub(now))),
            (Look::TooLarge { .. }, _) => None,
        }
    }

    /// Whether a request of this cost would pass at once if it came now. Under several limiters ask each: a request passes when
    /// all say so.
    pub fn can_admit(&self, key: &str, cost: Cost) -> bool {
        self.look_at(key, cost).0 == Look::Pass
    }

    /// The share of the tightest limit that would be taken if a request of this cost came now: near 0 there is room, at
    /// 1.0 the last of it goes, and above 1.0 the request would wait. Without limits it is 0. Pauses, spacing, the queue and a
    /// rate that was cut are not in it.
    pub fn risk(&self, key: &str, cost: Cost) -> f64 {
        self.look(key, |state, now| {
            let cost = self.reckoned(None, state.likely(cost));
            state.risk(cost, now)
        })
    }

    /// The key that a request falls under, by the limiter's [scope](Self::scope).
    pub fn key_of(&self, head: &RequestHead<'_>) -> Arc<str> {
        self.key(head).named().unwrap_or_default()
    }

    /// The key of all requests to this upstream; `None` where it is read from each.
    pub(crate) fn key_of_all<'a>(&self, upstream: &'a Upstream) -> Option<&'a str> {
        match self.settings().scope {
            Scope::All => Some(""),
            Scope::Upstream | Scope::Host => Some(upstream.id()),
            Scope::Provider => Some(upstream.provider().name()),
            Scope::By(_) => None,
        }
    }

    /// Whether both share one state.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.lock_order() == other.lock_order()
    }

    /// The quota of a key that has no other.
    pub(crate) fn own_quota(&self) -> &Arc<Quota> {
        &self.settings().quota
    }

    /// Whether it knows what tokens cost.
    pub(crate) fn has_price(&self) -> bool {
        self.settings().price.is_some()
    }

    /// The name of its scope.
    pub(crate) fn scope_name(&self) -> &'static str {
        self.settings().scope.as_str()
    }

    /// Whether each upstream has a state of its own, and with it its own quota.
    pub(crate) fn goes_by_upstreams(&self) -> bool {
        matches!(self.settings().scope, Scope::Upstream | Scope::Host)
    }

    /// Whether each provider has a state of its own, and with it the quota of its account.
    pub(crate) fn goes_by_providers(&self) -> bool {
        matches!(self.settings().scope, Scope::Provider)
    }

    /// Its quota, scope and longest wait, in words.
    pub(crate) fn in_words(&self) -> String {
        let settings = self.settings();
        let scope = settings.scope.in_words();
        let quota = match settings.quota.in_words() {
            quota if quota.is_empty() => "no limits of its own".into(),
            quota => quota,
        };
        let wait = match settings.max_wait {
            Some(wait) => format!("waits of up to {}", in_words(wait)),
            None => "waits of any length".into(),
        };
        format!("{scope}: {quota}; {wait}")
    }

    /// The keys for which a quota was set, in their order, and which.
    pub(crate) fn set_quotas(&self) -> BTreeMap<Arc<str>, Arc<Quota>> {
        let mut set = BTreeMap::new();
        self.for_each(|key, state| {
            if state.is_quota_set() {
                set.insert(key.into(), state.quota().clone());
            }
        });
        set
    }

    /// Whether a quota was set for this key.
    pub(crate) fn is_quota_set(&self, key: &str) -> bool {
        self.look(key, |state, _| state.is_quota_set())
    }

    /// The keys that have been seen and are not idle.
    pub fn keys(&self) -> Vec<Arc<str>> {
        let (mut keys, now) = (Vec::new(), self.now());
        self.for_each(|key, state| {
            if !state.is_idle(now) {
                keys.push(key.into());
            }
        });
        keys
    }

    /// Looks at the state of a key without making one: a key that was never seen stands as a new one would, or, where there
    /// is no room for it, as all others do.
    fn look<R>(&self, key: &str, look: impl FnOnce(&mut State, Nanos) -> R) -> R {
        self.look_under(&self.quota_of_new(key), key, look)
    }

    /// The same, where a new key would stand under this quota.
    pub(super) fn look_under<R>(
        &self,
        quota: &Arc<Quota>,
        key: &str,
        look: impl FnOnce(&mut State, Nanos) -> R,
    ) -> R {
        let now = self.now();
        match self.find(key) {
            Some(mut state) => look(&mut state, now),
            None => look(
                &mut State::new(quota.clone(), now, self.epoch().wall()),
                now,
            ),
        }
    }

    /// The quotas of these upstreams hold for their keys before their first requests as well.
    pub(crate) fn foresee(&self, upstreams: &[Upstream]) {
        let granted = upstreams
            .iter()
            .filter_map(|it| Some((self.key_of_all(it)?.into(), self.grants(it)?.clone())));
        self.foreseen().extend(granted);
    }

    fn look_at(&self, key: &str, cost: Cost) -> (Look, Nanos) {
        self.look(key, |state, now| {
            let cost = self.reckoned(None, state.likely(cost));
            let asked = Asked {
                cost,
                priority: Priority::Normal,
                at: now,
            };
            (state.look(&asked, now), now)
        })
    }

    /// What a cost comes to in money by the upstream's own price, else by the limiter's, where it does not say so.
    pub(super) fn reckoned(&self, own: Option<&Price>, cost: Cost) -> Cost {
        let price = own.or(self.settings().price.as_ref());
        match price {
            Some(price) if cost.money == Money::default() => cost.with_money(price.of(cost)),
            _ => cost,
        }
    }
}
