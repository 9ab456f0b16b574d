//! The right to have one request under way.

use std::{fmt, task::Waker};

use http::{HeaderMap, Response, header::AGE};
use tracing::Level;

use super::{
    handle::RateLimiter,
    limiters::Limiters,
    mark::Mark,
    state::State,
    takings::{Rare, Taken},
    told::Told,
    uses::{is_news, uses},
};
use crate::{
    body::Guard,
    classify,
    cost::Cost,
    error::Error,
    instant::nanos,
    observe::Event,
    outcome::{Failure, FailureKind, UsageCell, Window},
    signal::{self, QuotaReading},
};

/// The right to have one request under way. Rides on the body of the response.
///
/// When the body has ended, or is dropped, the real cost is settled where the answer has told it; else what was reserved
/// stands, for the upstream has counted it. When nothing was sent, everything is given back.
#[must_use]
pub struct Permit {
    limiters: Limiters,
    first: Taken,
    cost: Cost,
    usage: Option<UsageCell>,
    rare: Option<Box<Rare>>,
    is_sent: bool,
    is_turned_away: bool,
}

impl Permit {
    /// The right to what was taken. Where the request is sent at once, the upstream may count it from then on. What there is to
    /// tell of it is told by whoever holds the permit, so that an observer that panics leaks nothing.
    #[inline(always)]
    pub(super) fn of(
        limiters: &Limiters,
        first: Taken,
        rare: Option<Box<Rare>>,
        cost: Cost,
        is_sent: bool,
    ) -> Self {
        Self {
            limiters: limiters.clone(),
            first,
            cost,
            usage: None,
            rare,
            is_sent,
            is_turned_away: false,
        }
    }

    /// The request goes out: from here on the upstream may have counted it.
    pub(super) fn send(&mut self) {
        self.is_sent = true;
    }

    /// The request has failed, and there is no body to wait for.
    pub(super) fn fail(mut self, error: &Error) {
        self.is_sent = !error.is_unsent();
    }

    /// Looks at what came back.
    #[inline]
    pub(super) fn heed<B>(&mut self, response: &Response<B>) {
        self.usage = response.extensions().get().cloned();
        // The time is read only where it is needed: most answers tell nothing.
        let headers = response.headers();
        if !headers.is_empty() && signal::tells_quotas(headers) && !is_cached(headers) {
            self.heed_quotas(headers);
        }
        if !classify::is_success(response)
            && let Some(failure) = classify::failure_of_response(response, self.limiters.clock())
        {
            self.is_turned_away = failure.kind.is_turned_away();
            self.heed_failure(&failure);
        }
    }

    /// A rate limit that names a wait holds back everybody under this key: they would only be refused as well.
    fn heed_failure(&self, failure: &Failure) {
        if failure.kind == FailureKind::RateLimited
            && let Some((limiter, taken)) = self.learner()
        {
            limiter.refused_at(taken.spot, taken.at, failure.retry_after);
        }
    }

    /// Where the upstream says what is left, that is all that is left.
    #[inline(never)]
    fn heed_quotas(&self, headers: &HeaderMap) {
        let Some((limiter, taken)) = self.learner() else {
            return;
        };
        let clock = self.limiters.clock();
        let (quotas, now) = (signal::quotas(headers, clock.wall()), clock.now());
        let mut state = limiter.lock(taken.spot);
        let now = limiter.epoch().nanos(now);
        let mark = Mark {
            admitted: taken.admitted,
            then: self.rare.as_ref().and_then(|rare| rare.then.as_deref()),
        };
        let (mut eased, mut closed_for) = (false, None);
        let is_heard = limiter.settings().events.are_heard(Level::DEBUG);
        let mut news = Vec::new();
        for told in quotas.iter().filter_map(told) {
            let before = is_heard.then(|| uses(&mut state, now));
            let heard = state.heed(mark, told, now, limiter.epoch().wall());
            eased |= heard.eased;
            closed_for = closed_for.max(heard.closed_for);
            let is_new = before.and_then(|before| is_news(&before, &uses(&mut state, now)));
            news.extend(is_new.map(|is_new| (told, is_new, Box::<str>::from(state.key()))));
        }
        let waker = eased.then(|| state.first_waker()).flatten();
        match closed_for {
            // The next would have been refused.
            Some(wait) => {
                state.refused(taken.at, nanos(wait), now);
                limiter.pause_locked(state, wait, now);
            }
            None => drop(state),
        }
        waker.into_iter().for_each(Waker::wake);
        for (told, is_new, key) in news {
            limiter.settings().events.tell(&Event::Learned {
                key: &key,
                dimension: told.dimension,
                per: told.period,
                amount: told.limit,
                remaining: told.remaining,
                is_new,
            });
        }
    }

    /// The limiter that heeds what answers say, if one does.
    fn learner(&self) -> Option<(&RateLimiter, &Taken)> {
        let learner = self.shares().nth(self.limiters.learner());
        learner.filter(|(limiter, _)| limiter.settings().heeds_answers)
    }

    /// The limiters, and what was taken from each.
    fn shares(&self) -> impl Iterator<Item = (&RateLimiter, &Taken)> {
        let others = self.rare.as_ref().map_or(&[][..], |rare| &rare.others);
        let taken = std::iter::once(&self.first).chain(others);
        self.limiters.all().iter().zip(taken)
    }

    /// What the request really cost, where that is known and not what was reserved.
    #[inline]
    fn used(&self) -> Option<Cost> {
        let Some(usage) = self.usage.as_ref().and_then(UsageCell::get) else {
            return self
                .is_turned_away
                .then(|| self.cost_of_nothing())
                .flatten();
        };
        let expected = match self.is_turned_away {
            true => self.cost_of_nothing().unwrap_or(self.cost),
            false => self.cost,
        };
        let used = expected.counted(usage);
        let upstream = self.rare.as_ref().and_then(|rare| rare.upstream.as_ref());
        let price = self.limiters.price(upstream);
        let money = price.map(|price| price.of_usage(&usage, expected));
        Some(used.with_money(money.unwrap_or(used.money)))
    }

    /// What a request costs for which nothing was done, where that is less than was reserved: it was one request.
    #[cold]
    fn cost_of_nothing(&self) -> Option<Cost> {
        let nothing = Cost {
            is_guess: self.cost.is_guess,
            ..Cost::default()
        };
        (nothing != self.cost).then_some(nothing)
    }

    /// Ends the request, of which nothing is given back: there is no need to know the time, nor, where nobody waits for it, of
    /// a lock.
    #[inline]
    fn end(&self) {
        let is_ended = self.limiters.all()[0].try_end(self.first.spot);
        if !is_ended || self.rare.is_some() {
            self.end_from(usize::from(is_ended));
        }
    }

    /// Ends what is left of it, from this limiter on.
    #[cold]
    fn end_from(&self, limiter: usize) {
        let left = self.shares().skip(limiter);
        let watched = left.filter(|(limiter, taken)| !limiter.try_end(taken.spot));
        wake(watched.map(|(limiter, taken)| end(limiter, taken, |_, _| false)));
    }

    /// Ends the request, and corrects what was taken to what was used: nothing, where it was not sent.
    fn settle(&self, used: Option<Cost>) {
        let (now, reserved) = (self.limiters.clock().now(), self.cost);
        let mut keys = Vec::new();
        let shares = self.shares().enumerate();
        wake(shares.map(|(index, (limiter, taken))| {
            let (now, events) = (limiter.epoch().nanos(now), &limiter.settings().events);
            let is_told = used.is_some() && events.want_settled(Level::DEBUG);
            end(limiter, taken, |state, key| {
                if is_told {
                    keys.push((events, Box::<str>::from(key)));
                }
                if let Some(used) =
                    used.filter(|_| index == self.limiters.learner() && self.learns())
                {
                    state.learn(used);
                }
                match used {
                    Some(used) => state.settle(taken.when(), reserved, used, now),
                    None => state.refund(taken.when(), reserved, now),
                }
            })
        }));
        for (events, key) in keys {
            events.tell(&Event::Settled {
                key: &key,
                reserved,
                used: used.unwrap_or(reserved),
            });
        }
    }

    /// Whether the answer tells how long it was, and the request had not said how long it may be.
    fn learns(&self) -> bool {
        let usage = self.usage.as_ref().and_then(UsageCell::get);
        let tells = usage.is_some_and(|usage| usage.output_tokens.or(usage.total()).is_some());
        self.cost.is_guess && tells
    }
}

/// Ends what one limiter let through. Returns the first of its queue, if the end, or the settlement, may let him pass earlier.
#[inline]
fn end(
    limiter: &RateLimiter,
    taken: &Taken,
    settle: impl FnOnce(&mut State, &str) -> bool,
) -> Option<Waker> {
    let mut locked = limiter.lock(taken.spot);
    locked.ends().end();
    let (state, key) = locked.parts();
    let may_pass = state.finish();
    let may_pass = settle(state, key) || may_pass;
    may_pass.then(|| state.first_waker()).flatten()
}

/// Wakes once all is ended: a waker that panics leaves nothing behind.
#[inline]
fn wake(ends: impl Iterator<Item = Option<Waker>>) {
    let mut wakers = Vec::new();
    ends.for_each(|waker| wakers.extend(waker));
    wakers.into_iter().for_each(Waker::wake);
}

/// Whether a cache kept the answer, and what it says of quotas is of a time that is past
/// (draft-ietf-httpapi-ratelimit-headers).
fn is_cached(headers: &HeaderMap) -> bool {
    headers.get(AGE).is_some_and(|age| age != "0")
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
        is_refilling: reading.is_refilling,
    })
}

// However the body ends, what the answer told of its usage is better than the estimate.
impl Guard for Permit {
    #[inline]
    fn complete(self) {}

    #[inline]
    fn fail(self) {}
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        match self.used() {
            None if self.is_sent => self.end(),
            used => self.settle(used.filter(|_| self.is_sent)),
        }
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
