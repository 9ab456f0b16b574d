//! The course of one request along a chain: the clock, the ledger, the copies and the events.

mod again;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, Response};

use super::{
    config::speaks_of_the_next_request,
    preferences::Preferences,
    shared::Shared,
    state::Grounds,
    walk::{Left, Sight, Turn, Walk},
};
use crate::{
    body::{Replay, RequestCopy},
    classify,
    clock::Sleep,
    current::Kit,
    error::{Error, Exhausted, PassedBy, WhyNot},
    forecast::Prospect,
    instant::after,
    observe::Event,
    outcome::{Failure, FailureKind},
    request::{Attempts, Deadline, LeftToOthers, Next, RequestHead},
    upstream::Upstream,
};

/// One request on its way along a chain of several upstreams.
pub(super) struct Course<S> {
    kit: Arc<Kit<Shared, S>>,
    walk: Walk,
    ledger: Attempts,
    /// After it nobody else is asked.
    deadline: Option<Instant>,
    alternatives: u32,
    /// When the one asked last was chosen, where that was to be known.
    chosen: Option<Instant>,
    /// Whether the ledger knows when the attempt under way began.
    is_noted: bool,
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

impl<S> Course<S> {
    /// Opens the request's ledger, or goes on with the one that it carries.
    #[inline(always)]
    pub(super) fn begin<B>(
        kit: &Arc<Kit<Shared, S>>,
        request: &Request<B>,
        deadline: Option<Instant>,
    ) -> Self {
        let (chain, extensions) = (&kit.shared.plan.chain, request.extensions());
        let walk = Walk::new(
            chain,
            extensions.get().copied(),
            extensions.get::<Preferences>().cloned(),
        );
        let ledger = extensions.get().cloned();
        Self {
            kit: kit.clone(),
            walk,
            ledger: ledger.unwrap_or_else(|| chain.ledger()),
            deadline,
            alternatives: 0,
            chosen: None,
            is_noted: false,
            cannot_repeat: false,
        }
    }

    /// Whom the request goes to first.
    pub(super) fn set_out<B>(&mut self, request: &Request<B>) -> Move {
        let Shared { plan, cooldowns } = &*self.kit.shared;
        let is_calm = plan.chain.consulted.is_empty() && !cooldowns.are_any();
        // To read the time takes as long as all that is decided here.
        if let Some((index, alternatives)) = self.walk.first(plan, is_calm) {
            let now = plan.learns().then(|| cooldowns.time().now());
            return self.ask(index, alternatives, now);
        }
        let now = cooldowns.time().now();
        self.walk.limit(&plan.chain, self.deadline, now);
        plan.goes_by(self.walk.order());
        let turn = self.turn(Some(RequestHead::of(request)), true, now);
        self.take(turn, now)
    }

    /// Goes on after a wait. Somebody else's failure may have made it longer meanwhile.
    pub(super) fn wake<B>(&mut self, request: Option<&mut RequestCopy<B>>) -> Move {
        let now = self.kit.shared.cooldowns.time().now();
        let turn = self.turn(self.head(request), true, now);
        self.take(turn, now)
    }

    /// Makes the request ready for this upstream. Gives back a copy for the next, where there may be one.
    #[inline(always)]
    pub(super) fn address<B: Replay>(
        &mut self,
        request: &mut Request<B>,
        upstream: &Upstream,
    ) -> Option<RequestCopy<B>> {
        let (goes_on, patience) = (self.goes_on(), self.kit.shared.plan.patience());
        let may_go_on = goes_on && self.ledger.allows_another();
        // To leave a line for another is no attempt.
        let copy = match may_go_on || (goes_on && patience > 0) {
            true => RequestCopy::of(request),
            false => None,
        };
        self.cannot_repeat = may_go_on && copy.is_none();
        // The retry layer is less patient with this upstream while there is another.
        let repeats = self.kit.shared.plan.chain.repeats_all || request.method().is_idempotent();
        let alternatives = match may_go_on && copy.is_some() && repeats {
            true => self.alternatives,
            false => 0,
        };
        self.ledger.set_alternatives(alternatives);
        let patience = if copy.is_some() { patience } else { 0 };
        self.ledger.elsewhere().offer(patience);
        // After the copy is made, so that it need not carry them.
        request.extensions_mut().insert(self.ledger.clone());
        request.extensions_mut().insert(upstream.clone());
        copy
    }

    /// A service for the attempts after the first.
    pub(super) fn service(&self) -> S
    where
        S: Clone,
    {
        self.kit.service()
    }

    /// Whether there may be somebody else. Even if all others are cooling down now: one of them may be back by the time that this
    /// attempt fails.
    #[inline]
    fn goes_on(&self) -> bool {
        match self.alternatives {
            0 => self.walk.goes_on(&self.kit.shared.plan.chain),
            _ => !self.walk.is_final(),
        }
    }

    /// The attempt was not answered at once: when it began will be asked for if it fails.
    #[inline]
    pub(super) fn note_start(&mut self) {
        if !mem::replace(&mut self.is_noted, true) {
            let clock = self.kit.shared.cooldowns.time();
            self.ledger.note_start(|| clock.now());
        }
    }

    /// The caller gets an answer.
    #[inline]
    pub(super) fn succeed(&self) {
        let Shared { plan, cooldowns } = &*self.kit.shared;
        let asked = self.walk.asked().filter(|_| cooldowns.are_any());
        if let Some(index) = asked {
            cooldowns.answered(&plan.chain.upstreams[index], self.walk.is_probe());
        }
        if let (Some(index), Some(chosen), true) = (self.walk.asked(), self.chosen, plan.learns()) {
            let now = cooldowns.time().now();
            plan.answered(index, now.saturating_duration_since(chosen), now);
        }
    }

    /// Gives the ledger to the caller with his answer, where anything is in it.
    #[inline]
    pub(super) fn attach<R>(&self, response: &mut Response<R>) {
        if self.ledger.count() > 0 {
            response.extensions_mut().insert(self.ledger.clone());
        }
    }

    /// What follows from what this upstream gave back; `None` where the caller gets it. `request` is what would be sent to
    /// the next.
    pub(super) fn judge<R, B: Replay>(
        &mut self,
        upstream: &Upstream,
        result: &Result<Response<R>, Error>,
        mut request: Option<&mut RequestCopy<B>>,
    ) -> Option<Move> {
        let Shared { plan, cooldowns } = &*self.kit.shared;
        let Some(failure) = classify::failure(result, cooldowns.time()) else {
            self.succeed();
            return None;
        };
        let now = cooldowns.time().now();
        if speaks_of_the_next_request(failure.kind) {
            let asked = self.walk.asked();
            asked.into_iter().for_each(|index| plan.failed(index, now));
        }
        let chain = &plan.chain;
        if let Some(time) = chain.cooldown_after(&failure) {
            let grounds = match failure.kind {
                _ if failure.hint().is_some() => Grounds::Asked,
                FailureKind::Timeout if result.is_err() => Grounds::Silence,
                kind if kind.is_ill_health() => Grounds::Failure,
                _ => Grounds::Asked,
            };
            cooldowns.cool_for(upstream, &failure, time, grounds, now);
        }
        // It stood in line and was not sent: the same upstream can be asked as if it had not been.
        let has_left_line = self.ledger.elsewhere().take_left();
        if has_left_line {
            self.walk.leave_line();
        } else {
            let back_in = match speaks_of_the_next_request(failure.kind) {
                true => Some(Duration::ZERO),
                false => failure.hint(),
            };
            self.walk.failed(back_in, now);
            match (self.ledger.left_to_others(), failure.hint()) {
                (Some(LeftToOthers::Hint { latest }), Some(wait)) => {
                    let back = after(now, wait);
                    self.walk.leave(Left::Hint { back, latest });
                }
                (Some(LeftToOthers::Silence), _) => self.walk.leave(Left::Silence),
                _ => {}
            }
        }
        let is_late = self
            .deadline
            .is_some_and(|end| Deadline(end).late(now).is_some());
        let cannot_go_on = is_late || self.cannot_repeat || self.walk.is_final();
        let unsent = result.as_ref().is_err_and(Error::is_unsent);
        let may_repeat = chain.repeats_all || failure.is_unprocessed(unsent) || {
            let head = request.as_deref_mut().map(RequestCopy::head);
            head.is_some_and(|head| head.method.is_idempotent())
        };
        let is_over = cannot_go_on || !may_repeat || !chain.falls_back(&failure);
        let is_allowed = has_left_line || self.ledger.allows_another();
        request = request.filter(|_| is_allowed);
        let can_claim = |request: &mut &mut RequestCopy<B>| request.claim();
        if is_over || !request.as_mut().is_none_or(can_claim) {
            self.record(upstream, failure, Next::Stop, now);
            return None;
        }
        // What is too large for a quota, ours or theirs, may well fit the context.
        if failure.kind == FailureKind::RequestTooLarge && failure.limit.is_none() && result.is_ok()
        {
            self.walk.too_large_for(upstream);
        }
        let head = self.head(request);
        let turn = self.turn(head, is_allowed, now);
        let (turn, next) = match turn {
            Turn::Try { index, .. } => {
                let next = self.go_on(upstream, index, Duration::ZERO, &failure);
                (turn, next)
            }
            Turn::WaitFor { .. } | Turn::Wait { .. } | Turn::Exhausted { .. } if has_left_line => {
                let chain = &self.kit.shared.plan.chain;
                (self.walk.line_up_again(chain).unwrap_or(turn), Next::Stop)
            }
            Turn::WaitFor { index, until } => {
                let wait = until.saturating_duration_since(now);
                (turn, self.go_on(upstream, index, wait, &failure))
            }
            Turn::Wait { .. } | Turn::Exhausted { .. } => (turn, Next::Stop),
        };
        // Nor was that an attempt.
        if !has_left_line {
            self.record(upstream, failure, next, now);
        }
        Some(self.take(turn, now))
    }

    /// The request as those who are consulted see it; to unfold it for nobody would take a while.
    fn head<'a, B>(&self, request: Option<&'a mut RequestCopy<B>>) -> Option<RequestHead<'a>> {
        let is_wanted = !self.kit.shared.plan.chain.consulted.is_empty();
        request.filter(|_| is_wanted).map(RequestCopy::head)
    }

    fn turn(&mut self, head: Option<RequestHead<'_>>, is_allowed: bool, now: Instant) -> Turn {
        let Shared { plan, cooldowns } = &*self.kit.shared;
        let prospect = |upstream: &Upstream| match &head {
            Some(head) => plan.chain.consulted.prospect(upstream, head),
            None => Prospect::FREE,
        };
        let sight = Sight {
            now,
            is_allowed,
            cooling: |upstream: &Upstream| cooldowns.entry(upstream, now),
            prospect,
        };
        self.walk.turn(plan, sight)
    }

    fn take(&mut self, turn: Turn, now: Instant) -> Move {
        match turn {
            Turn::Try {
                index,
                alternatives,
            } => self.ask(index, alternatives, Some(now)),
            Turn::Wait { until } | Turn::WaitFor { until, .. } => {
                Move::Wait(self.kit.shared.cooldowns.time().sleep_until(until))
            }
            Turn::Exhausted { soonest } => Move::Fail(self.exhausted(soonest, now)),
        }
    }

    /// The next attempt begins, with the time where it was read.
    fn ask(&mut self, index: usize, alternatives: u32, now: Option<Instant>) -> Move {
        self.alternatives = alternatives;
        (self.chosen, self.is_noted) = (now, now.is_some());
        self.ledger.begin(now);
        Move::Ask(self.kit.shared.plan.chain.upstreams[index].clone())
    }

    fn exhausted(&self, soonest: Option<Instant>, now: Instant) -> Error {
        let Shared { plan, cooldowns } = &*self.kit.shared;
        let retry_after = soonest
            .map(|soonest| soonest.saturating_duration_since(now))
            // Zero would invite a hot loop.
            .filter(|wait| !wait.is_zero());
        let passed_by = self.walk.passed_by().iter().map(|passed| {
            let upstream = plan.chain.upstreams[passed.index].shared_id().clone();
            let wait = passed.back.map(|back| back.saturating_duration_since(now));
            PassedBy::new(upstream, passed.why, wait)
        });
        let unknown = self.walk.unknown(&plan.chain);
        let unknown = unknown.map(|name| PassedBy::new(name, WhyNot::NotInChain, None));
        let exhausted = Exhausted {
            attempts: self.ledger.failed(),
            passed_by: passed_by.chain(unknown).collect(),
            retry_after,
        };
        cooldowns.tell(&Event::Exhausted {
            attempts: self.ledger.count(),
            is_rate_limited: exhausted.is_rate_limited(),
            retry_after,
            passed_by: &exhausted.passed_by,
        });
        Error::Exhausted(exhausted)
    }

    fn record(&self, upstream: &Upstream, failure: Failure, next: Next, now: Instant) {
        let upstream = Some(upstream.shared_id().clone());
        self.ledger.record(upstream, failure, next, now);
    }
}
