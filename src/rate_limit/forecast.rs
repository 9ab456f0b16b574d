//! What would become of a request, for those who choose among upstreams.

use std::{slice, time::Duration};

use super::{
    asking::patience,
    decision::{Asked, Look},
    handle::RateLimiter,
};
use crate::{
    forecast::{Forecast, Prospect},
    outcome::RefusedBy,
    request::{Cost, RequestHead},
    upstream::Upstream,
};

/// A request that would wait for longer than the limiter's longest wait or its own [`Deadline`](crate::Deadline) allows would be
/// refused.
impl Forecast for RateLimiter {
    fn forecast(&self, upstream: &Upstream, head: &RequestHead<'_>) -> Prospect {
        let key = self.key(head);
        let quota = self.granted(head).unwrap_or(&self.settings().quota);
        let cost: Cost = head.extensions.get().copied().unwrap_or_default();
        self.look_under(quota, &key, |state, now| {
            let cost = self.reckoned(upstream.own_price(), state.likely(cost));
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
                    let wait = Duration::from_nanos(until.saturating_sub(now));
                    self.waiting(wait, state.is_spoken_for(), head)
                }
                Look::TooLarge { .. } => Prospect::TooLarge,
            }
        })
    }
}

impl RateLimiter {
    fn waiting(&self, wait: Duration, is_open_ended: bool, head: &RequestHead<'_>) -> Prospect {
        let now = self.settings().clock.now();
        match patience(head, slice::from_ref(self), now) {
            Some(longest) if wait > longest.time() => Prospect::Refuse {
                by: RefusedBy::Limit,
                retry_after: Some(wait),
            },
            _ if is_open_ended => Prospect::Full { at_least: wait },
            _ => Prospect::Queue { wait },
        }
    }
}
