//! The same upstream again, where nobody else is left; and another, out of a line.

use std::time::{Duration, Instant};

use super::Course;
use crate::{
    body::RequestCopy,
    fallback::{
        shared::Shared,
        walk::{Sight, Turn},
    },
    observe::Event,
    outcome::Failure,
    request::{LeftToOthers, Next},
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
            is_allowed: self.ledger.allows_another(),
            cooling: |upstream: &Upstream| cooldowns.entry(upstream, now),
            prospect: |upstream: &Upstream| plan.chain.consulted.prospect(upstream, &head),
        };
        let calls_back = sight.is_allowed && self.walk.is_anybody_free(plan, sight);
        if calls_back {
            elsewhere.call_back();
        }
        calls_back
    }

    /// What becomes of a request for which nobody else is left now.
    pub(super) fn stay<B>(
        &mut self,
        turn: Turn,
        upstream: &Upstream,
        failure: &Failure,
        request: Option<&mut RequestCopy<B>>,
        now: Instant,
    ) -> (Turn, Next) {
        if let Some(again) = self.ask_again(upstream, failure, request) {
            let wait = Duration::ZERO;
            return (again, Next::Retry { wait });
        }
        let Turn::WaitFor { index, until } = turn else {
            return (turn, Next::Stop);
        };
        let wait = until.saturating_duration_since(now);
        let to = &self.kit.shared.plan.chain.upstreams[index];
        if to == upstream {
            self.tell_again(to, wait, failure);
            return (turn, Next::Retry { wait });
        }
        let failed = self.ledger.failed().into_iter();
        let of_it = failed.filter(|it| it.upstream.as_deref() == Some(to.id()));
        match of_it.last() {
            Some(attempt) => self.tell_again(to, wait, &attempt.failure),
            None => self.kit.shared.cooldowns.tell(&Event::Switched {
                from: upstream.id(),
                to: to.id(),
                failure,
            }),
        }
        (turn, Next::FallBack)
    }

    /// Where the retry layer inside has left a request to the others because its upstream was silent, it goes there once more, and
    /// is told of none.
    fn ask_again<B>(
        &mut self,
        upstream: &Upstream,
        failure: &Failure,
        request: Option<&mut RequestCopy<B>>,
    ) -> Option<Turn> {
        let is_silent = self.ledger.left_to_others() == Some(LeftToOthers::Silence);
        if !is_silent || !self.ledger.allows_another() {
            return None;
        }
        let consulted = &self.kit.shared.plan.chain.consulted;
        let prospect = consulted.prospect(upstream, &request?.head());
        if prospect.refused_for().is_some() {
            return None;
        }
        let turn = self.walk.again()?;
        // Silence has lasted for many times any backoff.
        self.tell_again(upstream, Duration::ZERO, failure);
        Some(turn)
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
