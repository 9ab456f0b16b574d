//! What would become of a request, for those who choose among upstreams.

use std::time::Duration;

use super::{
    decision::{Asked, Look},
    handle::RateLimiter,
};
use crate::{
    cost::Cost,
    forecast::{Forecast, Prospect},
    money::Money,
    request::{Deadline, RequestHead},
    upstream::Upstream,
};

/// A request that would wait longer than the limiter's longest wait, or than its own [`Deadline`], would be refused.
impl Forecast for RateLimiter {
    fn forecast(&self, upstream: &Upstream, head: &RequestHead<'_>) -> Prospect {
        let key = self.key(head);
        let quota = self.granted(head).unwrap_or(&self.settings().quota);
        let cost = self.cost_at(upstream, head);
        self.look_under(quota, &key, |state, now| {
            let cost = match cost.is_guess {
                true => state.make_fit(state.expect(cost)),
                false => cost,
            };
            let asked = Asked {
                cost,
                priority: head.extensions.get().copied().unwrap_or_default(),
                at: now,
            };
            match state.look(&asked, now) {
                Look::Pass => Prospect::Pass {
                    taken: state.risk(cost, now),
                },
                Look::Wait { until } => {
                    self.waiting(Duration::from_nanos(until.saturating_sub(now)), head)
                }
                Look::TooLarge { .. } => Prospect::TooLarge,
            }
        })
    }
}

impl RateLimiter {
    fn waiting(&self, wait: Duration, head: &RequestHead<'_>) -> Prospect {
        let now = self.settings().clock.now();
        let left = |Deadline(at): &Deadline| at.saturating_duration_since(now);
        let longest = [self.settings().max_wait, head.extensions.get().map(left)];
        match longest.into_iter().flatten().min() {
            Some(longest) if wait > longest => Prospect::Refuse {
                retry_after: Some(wait),
            },
            _ => Prospect::Queue { wait },
        }
    }

    /// What the request costs, reckoned in money by the upstream's price, else by the limiter's.
    fn cost_at(&self, upstream: &Upstream, head: &RequestHead<'_>) -> Cost {
        let cost: Cost = head.extensions.get().copied().unwrap_or_default();
        let price = upstream.own_price().or(self.settings().price.as_ref());
        match price {
            Some(price) if cost.money == Money::default() => cost.with_money(price.of(cost)),
            _ => cost,
        }
    }
}
