//! The same upstream again, where nobody else is left; and another, out of a line.

use std::time::Duration;

use super::Course;
use crate::{
    body::RequestCopy,
    fallback::{shared::Shared, walk::Sight},
    observe::Event,
    outcome::Failure,
    request::Next,
    upstream::Upstream,
};

impl<S> Course<S> {
    /// Whether the attempt, which stands in line, is to leave it for somebody who would take the request sooner: that is polled once
    /// more then, to do so.
    #[inline]
    pub(crate) fn calls_back<B>(&self, request: Option<&mut RequestCopy<B>>) -> bool {
        self.ledger.elsewhere().is_heard() && self.look_elsewhere(request)
    }

    #[cold]
    fn look_elsewhere<B>(&self, request: Option<&mut RequestCopy<B>>) -> bool {
        let Shared { plan, cooldowns } = &*self.kit.shared;
        let elsewhere = self.ledger.elsewhere();
        let Some(request) = request.filter(|_| elsewhere.take_question()) else {
            return false;
        };
        let (head, now) = (request.head(), cooldowns.time().now());
        let sight = Sight {
            now,
            is_allowed: true,
            cooling: |upstream: &Upstream| cooldowns.entry(upstream, now),
            prospect: |upstream: &Upstream| plan.chain.consulted.prospect(upstream, &head),
        };
        let calls_back = self.walk.is_anybody_free(plan, sight);
        if calls_back {
            elsewhere.call_back();
        }
        calls_back
    }

    /// The request goes on from one that has failed to another, or to the same again, after this wait.
    pub(super) fn go_on(
        &self,
        from: &Upstream,
        index: usize,
        wait: Duration,
        failure: &Failure,
    ) -> Next {
        let to = &self.kit.shared.plan.chain.upstreams[index];
        if to == from {
            self.tell_again(to, wait, failure);
            return Next::Retry { wait };
        }
        let failed = self.ledger.failed().into_iter();
        let of_it = failed.filter(|it| it.upstream.as_deref() == Some(to.id()));
        match of_it.last() {
            Some(attempt) => self.tell_again(to, wait, &attempt.failure),
            None => self.kit.shared.cooldowns.tell(&Event::Switched {
                from: from.id(),
                to: to.id(),
                failure,
            }),
        }
        Next::FallBack
    }

    fn tell_again(&self, upstream: &Upstream, wait: Duration, failure: &Failure) {
        self.kit.shared.cooldowns.tell(&Event::Retrying {
            upstream: upstream.id(),
            attempt: self.ledger.count().saturating_add(1),
            wait,
            failure,
        });
    }
}
