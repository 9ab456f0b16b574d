//! [`Admission`]: one call that the circuit let through, until its verdict.

use std::{fmt, mem, sync::Arc, time::Duration};

use http::Response;
use http_body::Body;

use super::{
    circuits::{Circuits, Granted},
    decision::{Ending, Ticket, Verdict},
    judge::{self, Answer},
    passes::Pass,
};
use crate::{
    body::Guard,
    classify,
    error::Error,
    keys::Spot,
    request::{AttemptDeadline, RequestHead},
};

/// One admitted call: tells the circuit how it ended.
///
/// Rides on the body of the response, because a stream that breaks is a failure. Dropped before the head of the response
/// came, it gives its place back without a verdict, unless a layer outside had told that it would cut the attempt off by
/// then, or the call has taken as long as the policy [allows](super::CircuitBreakerPolicy::dropped_after): nobody else will
/// tell that there was no answer in time. Dropped in the middle of a good answer, it is a success: nothing had failed until
/// the reader went.
#[must_use]
pub struct Admission {
    way: Way,
    ticket: Ticket,
    /// When the call began, where it matters how long it takes. In nanoseconds since the breaker was made, as the next.
    began: u64,
    /// When the layer outside cuts the call off, if it does.
    end: u64,
    is_told: bool,
    is_polled: bool,
    is_slow: bool,
}

/// No time that a clock ever shows.
const NEVER: u64 = u64::MAX;

/// How a call came in, and how its verdict goes back: by a lane, or else by the lock. An enum of the two would be the same, but
/// the optimizer keeps none in registers.
struct Way {
    lane: Option<Arc<Pass>>,
    lock: Option<(Arc<Circuits>, Spot)>,
}

/// An admitted call whose response had a good head.
pub struct GoodHead(Admission);

impl Admission {
    #[inline(always)]
    pub(super) fn by_lane(pass: Arc<Pass>, ticket: Ticket, head: &RequestHead<'_>) -> Self {
        let way = Way {
            lane: Some(pass),
            lock: None,
        };
        Self::new(way, ticket, head)
    }

    pub(super) fn by_lock(
        circuits: Arc<Circuits>,
        granted: &Granted,
        head: &RequestHead<'_>,
    ) -> Self {
        let spot = granted.spot;
        let way = Way {
            lane: None,
            lock: Some((circuits, spot)),
        };
        Self::new(way, granted.ticket, head)
    }

    #[inline(always)]
    fn new(way: Way, ticket: Ticket, head: &RequestHead<'_>) -> Self {
        let circuits = way.circuits();
        let began = match circuits.policy().asks_how_long() {
            true => circuits.nanos(),
            false => NEVER,
        };
        let end = match head.extensions.get() {
            Some(AttemptDeadline(end)) => circuits.nanos_of(*end),
            None => NEVER,
        };
        Self {
            way,
            ticket,
            began,
            end,
            is_told: false,
            is_polled: false,
            is_slow: false,
        }
    }

    #[cold]
    #[inline(never)]
    fn fail(mut self) {
        self.tell(Verdict::Failure, None);
    }

    /// The call is being polled: from here on it may have been sent.
    #[inline(always)]
    pub(super) fn poll(&mut self) {
        self.is_polled = true;
    }

    /// Judges the head of a response. A good one leaves the verdict to the end of the body, and is told from here only where
    /// that has come.
    #[inline]
    pub(super) fn judge<B: Body>(&mut self, response: &Response<B>) {
        let circuits = self.way.circuits();
        let failure = classify::failure_of_response(response, &*circuits.settings.clock);
        let verdict = self.verdict(Answer::of_response(response, failure.as_ref()));
        if verdict != Verdict::Success || response.body().is_end_stream() {
            self.tell(verdict, failure.and_then(|failure| failure.retry_after));
        }
    }

    pub(super) fn judge_error(&mut self, error: &Error) {
        let failure = error.failure();
        let verdict = self.verdict(Answer::of_error(error, &failure));
        self.tell(verdict, failure.retry_after);
    }

    /// The verdict on what came back, and whether it took too long.
    #[inline(always)]
    fn verdict(&mut self, mut answer: Answer<'_>) -> Verdict {
        let settings = &self.way.circuits().settings;
        let (policy, judge) = (&settings.policy, &settings.judge);
        if let Some(failure) = answer.failure {
            answer.verdict = judge::verdict(failure, policy.rate_limited);
        }
        let verdict = match judge {
            None => answer.verdict,
            Some(judge) => judge.verdict(&answer),
        };
        if let Some(slow) = policy.slow_calls {
            self.is_slow = self.took().is_some_and(|took| took > slow.longer_than);
        }
        verdict
    }

    /// What is to ride on the body, where the verdict is not told yet.
    #[inline(always)]
    pub(super) fn good_head(admission: &mut Option<Self>) -> Option<GoodHead> {
        match admission {
            Some(Self { is_told: false, .. }) => admission.take().map(GoodHead),
            _ => None,
        }
    }

    /// How long the call has taken, where that matters.
    fn took(&self) -> Option<Duration> {
        if self.began == NEVER {
            return None;
        }
        let took = self.way.circuits().nanos().saturating_sub(self.began);
        Some(Duration::from_nanos(took))
    }

    /// Whether whoever drops this call now does so because it has taken too long. Timers may be late, never early.
    fn is_overdue(&self) -> bool {
        let circuits = self.way.circuits();
        let most = circuits.policy().dropped_after.filter(|_| self.is_polled);
        let has_taken = |most| self.took().is_some_and(|took| took >= most);
        (self.end != NEVER && circuits.nanos() >= self.end) || most.is_some_and(has_taken)
    }

    #[inline]
    fn tell(&mut self, verdict: Verdict, hint: Option<Duration>) {
        if mem::replace(&mut self.is_told, true) {
            return;
        }
        let Self {
            ticket, is_slow, ..
        } = *self;
        if let Some(pass) = &self.way.lane {
            let is_good = verdict == Verdict::Success && !is_slow;
            // Who had no place has none to give back.
            if verdict == Verdict::Ignore
                || is_good && pass.lane.count(ticket, pass.circuits.lane_time())
            {
                return;
            }
        }
        let ending = Ending {
            verdict,
            is_slow,
            hint,
        };
        match (&self.way.lane, &self.way.lock) {
            (Some(pass), _) => pass.circuits.record(pass.spot, ticket, ending, false),
            (None, Some((circuits, spot))) => circuits.record(*spot, ticket, ending, true),
            (None, None) => {}
        }
    }
}

impl Way {
    #[inline]
    fn circuits(&self) -> &Arc<Circuits> {
        match (&self.lane, &self.lock) {
            (Some(pass), _) => &pass.circuits,
            (None, Some((circuits, _))) => circuits,
            (None, None) => unreachable!("a call comes in by a lane or by the lock"),
        }
    }
}

/// An attempt that was cut off had no answer in time; a call that its caller dropped, or that the caller's own panic took
/// along, says nothing.
impl Drop for Admission {
    fn drop(&mut self) {
        if !self.is_told {
            let verdict = match self.is_overdue() {
                true => Verdict::Failure,
                false => Verdict::Ignore,
            };
            self.tell(verdict, None);
        }
    }
}

/// Watches over a call of the service inside. A panic there is no health, whether or not somebody catches it.
///
/// It owns the admission, and gives it away by value: so the optimizer keeps it in registers until it stands in the future. To
/// write it somewhere and to move it then takes longer than all that is decided.
pub(super) struct Watched(Option<Admission>);

impl Watched {
    #[inline(always)]
    pub(super) fn new(admission: Admission) -> Self {
        Self(Some(admission))
    }

    /// There was no panic.
    #[inline(always)]
    pub(super) fn end(mut self) -> Option<Admission> {
        self.0.take()
    }
}

impl Drop for Watched {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.fail();
        }
    }
}

/// As [`Watched`], where the admission stays where it is.
pub(super) struct Unwound<'a>(pub(super) &'a mut Admission);

impl Unwound<'_> {
    /// There was no panic.
    #[inline(always)]
    pub(super) fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for Unwound<'_> {
    fn drop(&mut self) {
        self.0.tell(Verdict::Failure, None);
    }
}

impl Guard for GoodHead {
    fn complete(mut self) {
        self.0.tell(Verdict::Success, None);
    }

    fn fail(mut self) {
        self.0.tell(Verdict::Failure, None);
    }
}

impl Drop for GoodHead {
    fn drop(&mut self) {
        self.0.tell(Verdict::Success, None);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl fmt::Debug for GoodHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
