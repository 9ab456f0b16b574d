//! The course of one request along a chain: the clock, the ledger, the copies and the events.

use std::{sync::Arc, time::Instant};

use http::{Request, Response};

use super::{
    config::Chain,
    handle::Cooldowns,
    state::{Turn, Walk},
};
use crate::{
    body::{Replay, replay_request},
    classify,
    clock::Sleep,
    error::{Error, Exhausted},
    observe::Event,
    outcome::{Failure, FailureKind},
    request::{Attempts, Deadline, Next},
    upstream::Upstream,
};

/// One request on its way along a chain of several upstreams.
#[derive(Debug)]
pub(super) struct Course {
    cooldowns: Cooldowns,
    chain: Arc<Chain>,
    walk: Walk,
    ledger: Attempts,
    alternatives: u32,
    /// Whether somebody could be asked next, were the body one that can be sent again.
    cannot_repeat: bool,
}

/// What happens to the request next.
pub(super) enum Move {
    /// It goes to this upstream.
    Ask(Upstream),
    /// It waits for the soonest.
    Wait(Sleep),
    /// It fails.
    Fail(Error),
}

impl Course {
    /// Opens the request's ledger, or goes on with the one that it carries, and sets out.
    pub(super) fn begin<B>(
        cooldowns: &Cooldowns,
        chain: &Arc<Chain>,
        request: &Request<B>,
    ) -> (Self, Move) {
        let now = cooldowns.time().now();
        let extensions = request.extensions();
        let deadline = extensions.get().map(|Deadline(at)| *at);
        let ledger = extensions.get().cloned().unwrap_or_else(|| chain.ledger());
        let mut course = Self {
            cooldowns: cooldowns.clone(),
            chain: chain.clone(),
            walk: Walk::new(chain, deadline, now),
            ledger,
            alternatives: 0,
            cannot_repeat: false,
        };
        let turn = course.turn(true, now);
        let next = course.take(turn, now);
        (course, next)
    }

    /// Goes on after a wait. Somebody else's failure may have made it longer meanwhile.
    pub(super) fn wake(&mut self) -> Move {
        let now = self.cooldowns.time().now();
        let turn = self.turn(true, now);
        self.take(turn, now)
    }

    /// Makes the request ready for this upstream. Gives back a copy for the next, where there may be one.
    pub(super) fn address<B: Replay>(
        &mut self,
        request: &mut Request<B>,
        upstream: &Upstream,
    ) -> Option<Request<B>> {
        // Even if all others are cooling down now: one of them may be back by the time that this one fails.
        let may_go_on = self.walk.goes_on(&self.chain) && self.ledger.allows_another();
        let copy = may_go_on.then(|| replay_request(request)).flatten();
        self.cannot_repeat = may_go_on && copy.is_none();
        // The retry layer is less patient with this upstream while there is another.
        let alternatives = if copy.is_some() { self.alternatives } else { 0 };
        self.ledger.set_alternatives(alternatives);
        // After the copy is made, so that it need not carry them.
        request.extensions_mut().insert(self.ledger.clone());
        request.extensions_mut().insert(upstream.clone());
        copy
    }

    /// What follows from what this upstream gave back; `None` where the caller gets it.
    pub(super) fn judge<R>(
        &mut self,
        upstream: &Upstream,
        result: &Result<Response<R>, Error>,
    ) -> Option<Move> {
        let failure = classify::failure(result, self.cooldowns.time())?;
        let now = self.cooldowns.time().now();
        let cooldown = self.chain.cooldown_after(&failure);
        if let Some(time) = cooldown {
            self.cooldowns.cool_for(upstream, &failure, time, now);
        }
        self.walk.failed(cooldown.or_else(|| failure.hint()), now);
        if !self.chain.falls_back(&failure) || self.cannot_repeat {
            self.record(upstream, failure, Next::Stop, now);
            return None;
        }
        // What is too large for a quota, ours or theirs, may well fit the context.
        if failure.kind == FailureKind::RequestTooLarge && failure.limit.is_none() && result.is_ok()
        {
            self.walk.too_large_for(upstream);
        }
        let turn = self.turn(self.ledger.allows_another(), now);
        let next = match turn {
            Turn::Try { index, .. } => {
                self.cooldowns.tell(&Event::Switched {
                    from: upstream.id(),
                    to: self.chain.upstreams[index].id(),
                    failure: &failure,
                });
                Next::FallBack
            }
            Turn::Wait { .. } | Turn::Exhausted { .. } => Next::Stop,
        };
        self.record(upstream, failure, next, now);
        Some(self.take(turn, now))
    }

    fn turn(&mut self, allowed: bool, now: Instant) -> Turn {
        self.cooldowns
            .turn(&mut self.walk, &self.chain, allowed, now)
    }

    fn take(&mut self, turn: Turn, now: Instant) -> Move {
        match turn {
            Turn::Try {
                index,
                alternatives,
            } => {
                self.alternatives = alternatives;
                self.ledger.begin(now);
                Move::Ask(self.chain.upstreams[index].clone())
            }
            Turn::Wait { until } => Move::Wait(self.cooldowns.time().sleep_until(until)),
            Turn::Exhausted { soonest } => Move::Fail(self.exhausted(soonest, now)),
        }
    }

    fn exhausted(&self, soonest: Option<Instant>, now: Instant) -> Error {
        let retry_after = soonest
            .map(|soonest| soonest.saturating_duration_since(now))
            // Zero would invite a hot loop.
            .filter(|wait| !wait.is_zero());
        self.cooldowns.tell(&Event::Exhausted {
            attempts: self.ledger.count(),
            retry_after,
        });
        Error::Exhausted(Exhausted {
            attempts: self.ledger.failed(),
            cooling: self.cooldowns.reasons(&self.chain, now),
            retry_after,
        })
    }

    fn record(&self, upstream: &Upstream, failure: Failure, next: Next, now: Instant) {
        let upstream = Some(upstream.shared_id().clone());
        self.ledger.record(upstream, failure, next, now);
    }
}
