//! The course of one request along a chain: the clock, the ledger, the copies and the events.

use std::{iter, sync::Arc, time::Instant};

use http::{Request, Response};

use super::{
    config::speaks_of_the_next_request,
    handle::Cooldowns,
    plan::Plan,
    preferences::Preferences,
    walk::{Sight, Turn, Walk},
};
use crate::{
    body::{Replay, RequestCopy},
    classify,
    clock::Sleep,
    error::{Error, Exhausted},
    forecast::Prospect,
    observe::Event,
    outcome::{Failure, FailureKind},
    request::{Attempts, Deadline, Next, RequestHead},
    upstream::Upstream,
};

/// One request on its way along a chain of several upstreams.
#[derive(Debug)]
pub(super) struct Course {
    cooldowns: Cooldowns,
    plan: Arc<Plan>,
    walk: Walk,
    ledger: Attempts,
    alternatives: u32,
    /// When the one asked last was chosen.
    chosen: Instant,
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
        plan: &Arc<Plan>,
        request: &Request<B>,
    ) -> (Self, Move) {
        let now = cooldowns.time().now();
        let (chain, extensions) = (&plan.chain, request.extensions());
        let deadline = extensions.get().map(|Deadline(at)| *at);
        let preferences = extensions.get::<Preferences>().cloned();
        let cost = extensions.get().copied();
        let ledger = extensions.get().cloned().unwrap_or_else(|| chain.ledger());
        let mut course = Self {
            cooldowns: cooldowns.clone(),
            plan: plan.clone(),
            walk: Walk::new(chain, cost, preferences, deadline, now),
            ledger,
            alternatives: 0,
            chosen: now,
            cannot_repeat: false,
        };
        plan.goes_by(course.walk.order());
        let turn = course.turn(Some(request), true, now);
        let next = course.take(turn, now);
        (course, next)
    }

    /// Goes on after a wait. Somebody else's failure may have made it longer meanwhile.
    pub(super) fn wake<B>(&mut self, request: Option<&Request<B>>) -> Move {
        let now = self.cooldowns.time().now();
        let turn = self.turn(request, true, now);
        self.take(turn, now)
    }

    /// Makes the request ready for this upstream. Gives back a copy for the next, where there may be one.
    pub(super) fn address<B: Replay>(
        &mut self,
        request: &mut Request<B>,
        upstream: &Upstream,
    ) -> Option<Request<B>> {
        // Even if all others are cooling down now: one of them may be back by the time that this one fails.
        let may_go_on = self.walk.goes_on(&self.plan.chain) && self.ledger.allows_another();
        let copy = may_go_on.then(|| RequestCopy::of(request)).flatten();
        let copy = copy.map(RequestCopy::into_request);
        self.cannot_repeat = may_go_on && copy.is_none();
        // The retry layer is less patient with this upstream while there is another.
        let alternatives = if copy.is_some() { self.alternatives } else { 0 };
        self.ledger.set_alternatives(alternatives);
        // After the copy is made, so that it need not carry them.
        request.extensions_mut().insert(self.ledger.clone());
        request.extensions_mut().insert(upstream.clone());
        copy
    }

    /// What follows from what this upstream gave back; `None` where the caller gets it. `request` is what would be sent to
    /// the next.
    pub(super) fn judge<R, B: Replay>(
        &mut self,
        upstream: &Upstream,
        result: &Result<Response<R>, Error>,
        mut request: Option<&mut Request<B>>,
    ) -> Option<Move> {
        let Some(failure) = classify::failure(result, self.cooldowns.time()) else {
            self.learn_of_answer();
            return None;
        };
        let now = self.cooldowns.time().now();
        if speaks_of_the_next_request(failure.kind) {
            let asked = self.walk.asked();
            asked
                .into_iter()
                .for_each(|index| self.plan.failed(index, now));
        }
        let chain = &self.plan.chain;
        let cooldown = chain.cooldown_after(&failure);
        if let Some(time) = cooldown {
            self.cooldowns.cool_for(upstream, &failure, time, now);
        }
        self.walk.failed(cooldown.or_else(|| failure.hint()), now);
        let is_over = !chain.falls_back(&failure) || self.cannot_repeat || self.walk.is_final();
        let can_claim = |request: &mut &mut Request<B>| request.body_mut().claim();
        if is_over || !request.as_mut().is_none_or(can_claim) {
            self.record(upstream, failure, Next::Stop, now);
            return None;
        }
        // What is too large for a quota, ours or theirs, may well fit the context.
        if failure.kind == FailureKind::RequestTooLarge && failure.limit.is_none() && result.is_ok()
        {
            self.walk.too_large_for(upstream);
        }
        let turn = self.turn(request.as_deref(), self.ledger.allows_another(), now);
        let next = match turn {
            Turn::Try { index, .. } => {
                self.cooldowns.tell(&Event::Switched {
                    from: upstream.id(),
                    to: self.plan.chain.upstreams[index].id(),
                    failure: &failure,
                });
                Next::FallBack
            }
            Turn::Wait { .. } | Turn::Exhausted { .. } => Next::Stop,
        };
        self.record(upstream, failure, next, now);
        Some(self.take(turn, now))
    }

    fn learn_of_answer(&self) {
        if let Some(index) = self.walk.asked().filter(|_| self.plan.learns()) {
            let now = self.cooldowns.time().now();
            let after = now.saturating_duration_since(self.chosen);
            self.plan.answered(index, after, now);
        }
    }

    fn turn<B>(&mut self, request: Option<&Request<B>>, is_allowed: bool, now: Instant) -> Turn {
        let (plan, cooldowns) = (&self.plan, &self.cooldowns);
        let head = request.map(RequestHead::of);
        let prospect = |upstream: &Upstream| match &head {
            Some(head) => plan.chain.prospect(upstream, head),
            None => Prospect::FREE,
        };
        let sight = Sight {
            now,
            is_allowed,
            cooling: |upstream: &Upstream| cooldowns.until(upstream, now),
            prospect,
        };
        self.walk.turn(plan, sight)
    }

    fn take(&mut self, turn: Turn, now: Instant) -> Move {
        match turn {
            Turn::Try {
                index,
                alternatives,
            } => {
                self.alternatives = alternatives;
                self.chosen = now;
                self.ledger.begin(now);
                Move::Ask(self.plan.chain.upstreams[index].clone())
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
        let mut passed_by = self.cooldowns.reasons(&self.plan.chain, now);
        passed_by.extend(iter::repeat_n(FailureKind::Refused, self.walk.refused()));
        let exhausted = Exhausted {
            attempts: self.ledger.failed(),
            cooling: passed_by,
            excluded: self.walk.excluded(&self.plan.chain),
            retry_after,
        };
        self.cooldowns.tell(&Event::Exhausted {
            attempts: self.ledger.count(),
            is_rate_limited: exhausted.is_rate_limited(),
            retry_after,
        });
        Error::Exhausted(exhausted)
    }

    fn record(&self, upstream: &Upstream, failure: Failure, next: Next, now: Instant) {
        let upstream = Some(upstream.shared_id().clone());
        self.ledger.record(upstream, failure, next, now);
    }
}
