//! The right to have one request under way.

use std::{fmt, task::Waker, time::Duration};

use http::{HeaderMap, Response};
use tracing::Level;

use super::{
    asking::Asking, counts::Shadow, decision::Admitted, epoch::Nanos, handle::RateLimiter,
    learned::Told, limiters::Limiters, mark::Mark, state::State,
};
use crate::{
    body::Guard,
    classify,
    clock::Clock,
    cost::Cost,
    error::Error,
    keys::{Locked, Spot},
    observe::Event,
    outcome::{FailureKind, UsageCell, Window},
    signal::{self, QuotaReading},
    upstream::Upstream,
};

/// The right to have one request under way. Rides on the body of the response.
///
/// When the body has ended, or is dropped, the real cost is settled where the answer has told it; else what was reserved
/// stands, for the upstream has counted it. When nothing was sent, everything is given back.
#[must_use]
pub struct Permit {
    first: Share,
    others: Box<[Share]>,
    /// The index of the share whose limiter heeds what the answer says.
    learner: usize,
    cost: Cost,
    /// Where its tokens have a price.
    upstream: Option<Upstream>,
    usage: Option<UsageCell>,
    is_sent: bool,
}

/// What was taken from one limiter.
struct Share {
    limiter: RateLimiter,
    spot: Spot,
    at: Nanos,
    mark: Mark,
}

impl Permit {
    /// Takes what a request costs from all limiters. What there is to tell of it is told by whoever holds the permit, so
    /// that an observer that panics leaks nothing.
    #[inline(always)]
    pub(super) fn take<'a, 'b: 'a>(
        limiters: &'b Limiters,
        states: impl Iterator<Item = (&'a mut Locked<'b, State>, Nanos)>,
        asking: &Asking,
    ) -> (Self, Vec<Tale<'b>>) {
        let mut tales = Vec::new();
        let mut shares = limiters
            .all()
            .iter()
            .zip(states)
            .map(|(limiter, (state, now))| {
                state.hold();
                let Admitted { at, mark, shadow } = state.admit(asking.cost, now);
                tales.extend(Tale::of(limiter, state, shadow, at));
                Share {
                    limiter: limiter.clone(),
                    spot: state.spot(),
                    at,
                    mark,
                }
            });
        let permit = Self {
            first: shares.next().expect("a layer has a limiter"),
            others: shares.collect(),
            learner: limiters.learner(),
            cost: asking.cost,
            upstream: asking.upstream.clone(),
            usage: None,
            is_sent: false,
        };
        (permit, tales)
    }

    /// The request goes out: from here on the upstream may have counted it.
    pub(super) fn send(&mut self) {
        self.is_sent = true;
    }

    /// Looks at what came back, and rides on if there is a body to wait for.
    pub(super) fn ride<B>(mut self, result: &Result<Response<B>, Error>) -> Option<Self> {
        match result {
            Ok(response) => {
                self.usage = response.extensions().get().cloned();
                self.heed_quotas(response.headers());
                self.heed_failure(response);
                Some(self)
            }
            Err(error) => {
                self.is_sent = !error.is_unsent();
                None
            }
        }
    }

    /// A rate limit that names a wait holds back everybody under this key: they would only be refused as well.
    fn heed_failure<B>(&self, response: &Response<B>) {
        if let Some(failure) = classify::failure_of_response(response, self.clock())
            && failure.kind == FailureKind::RateLimited
        {
            let Share {
                limiter, spot, at, ..
            } = self.learner();
            limiter.refused_at(*spot, *at, failure.retry_after);
        }
    }

    /// Where the upstream says what is left, that is all that is left.
    fn heed_quotas(&self, headers: &HeaderMap) {
        // The time is read only where it is needed: most answers tell nothing.
        if !signal::tells_quotas(headers) {
            return;
        }
        let clock = self.clock();
        let (quotas, now) = (signal::quotas(headers, clock.wall()), clock.now());
        let share = self.learner();
        let limiter = &share.limiter;
        let mut state = limiter.lock(share.spot);
        let now = limiter.epoch().nanos(now);
        let mut eased = false;
        for told in quotas.iter().filter_map(told) {
            eased |= state.heed(&share.mark, told, now, limiter.epoch().wall());
        }
        let waker = eased.then(|| state.first_waker()).flatten();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn learner(&self) -> &Share {
        self.shares().nth(self.learner).unwrap_or(&self.first)
    }

    #[inline(always)]
    fn shares(&self) -> impl Iterator<Item = &Share> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn clock(&self) -> &dyn Clock {
        &*self.first.limiter.settings().clock
    }

    /// What the request really cost, where its answer has told.
    fn used(&self) -> Option<Cost> {
        let usage = self.usage.as_ref()?.get()?;
        let used = self.cost.settled(usage);
        let own = self.upstream.as_ref().and_then(Upstream::own_price);
        let first = || {
            self.shares()
                .find_map(|share| share.limiter.settings().price.as_ref())
        };
        let money = own
            .or_else(first)
            .map(|price| price.of_usage(&usage, self.cost));
        Some(used.with_money(money.unwrap_or(used.money)))
    }

    /// Ends the request; everything of it is accounted for once.
    fn end(&mut self) {
        let used = self.used().filter(|_| self.is_sent);
        if used.is_none() && self.is_sent {
            // Nothing is given back, and there is no need to know the time.
            self.shares().for_each(|share| share.end(|_, _| false));
            return;
        }
        let (now, reserved) = (self.clock().now(), self.cost);
        let mut keys = Vec::new();
        for share in self.shares() {
            let now = share.limiter.epoch().nanos(now);
            share.end(|state, key| {
                if used.is_some() && share.limiter.settings().events.are_heard(Level::DEBUG) {
                    keys.push((share, Box::<str>::from(key)));
                }
                if let Some(used) = used.filter(|used| used.is_guess) {
                    state.learn(used);
                }
                match used {
                    Some(used) => state.settle(share.at, reserved, used, now),
                    None => state.refund(share.at, reserved, now),
                }
            });
        }
        for (share, key) in keys {
            share.limiter.settings().events.tell(&Event::Settled {
                key: &key,
                reserved,
                used: used.unwrap_or(reserved),
            });
        }
    }
}

impl Share {
    /// Ends it, and wakes the first of the queue if the end, or the settlement, may let him pass earlier.
    fn end(&self, settle: impl FnOnce(&mut State, &str) -> bool) {
        let mut state = self.limiter.lock(self.spot);
        state.release();
        let may_pass = state.finish();
        let (state_of_key, key) = state.parts();
        let may_pass = settle(state_of_key, key) || may_pass;
        let waker = may_pass.then(|| state.first_waker()).flatten();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// What a limiter has to tell of an admission, once the locks are free. Where nobody listens there is none: the key has to
/// be copied.
pub(super) struct Tale<'a> {
    limiter: &'a RateLimiter,
    key: Box<str>,
    /// The shadow limit that would have held the request back, in words, and for how long.
    shadow: Option<(String, Duration)>,
}

impl<'a> Tale<'a> {
    fn of(
        limiter: &'a RateLimiter,
        state: &Locked<'_, State>,
        shadow: Option<Shadow>,
        at: Nanos,
    ) -> Option<Self> {
        let level = match shadow {
            Some(_) => Level::INFO,
            None => Level::DEBUG,
        };
        limiter.settings().events.are_heard(level).then(|| Self {
            limiter,
            key: state.key().into(),
            shadow: shadow.and_then(|shadow| {
                let wait = Duration::from_nanos(shadow.until.saturating_sub(at));
                Some((state.shadowed(shadow)?.to_string(), wait))
            }),
        })
    }

    pub(super) fn tell(&self, waited: Duration) {
        let key = &*self.key;
        self.limiter
            .settings()
            .events
            .tell(&Event::Admitted { key, waited });
        if let Some((limit, wait)) = &self.shadow {
            let wait = *wait;
            self.limiter
                .settings()
                .events
                .tell(&Event::Shadowed { key, limit, wait });
        }
    }
}

fn told(reading: &QuotaReading<'_>) -> Option<Told> {
    // A cast saturates, and makes nothing of what is no number.
    let whole = |amount: f64| amount.max(0.0) as u64;
    Some(Told {
        dimension: reading.dimension,
        period: reading.window.map(Window::duration),
        limit: reading.limit.map(whole),
        remaining: whole(reading.remaining?),
        reset_after: reading.reset_after,
    })
}

// However the body ends, what the answer told of its usage is better than the estimate.
impl Guard for Permit {
    fn complete(self) {}

    fn fail(self) {}
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("cost", &self.cost)
            .field("is_sent", &self.is_sent)
            .finish_non_exhaustive()
    }
}
