//! [`Admission`]: one call that the circuit let through, until its verdict.

use std::{fmt, mem, sync::Arc, time::Duration};

use http::Response;

use super::{
    circuits::{Circuits, Granted, NEVER},
    decision::{Ticket, Verdict},
    judge::{self, Answer},
    passes::Pass,
    place::{Place, Probe},
};
use crate::{
    body::Guard,
    classify,
    error::Error,
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
    /// None once the verdict is told, or left to the body.
    place: Option<Place>,
    times: Times,
    is_polled: bool,
}

/// Of a call.
pub(super) struct Times {
    /// When it began, where it matters how long it takes: in nanoseconds since the breaker was made, or [`NEVER`].
    began: u64,
    /// When the layer outside cuts it off, if it does.
    end: Option<AttemptDeadline>,
}

/// An admitted call whose response had a good head.
pub struct GoodHead(Option<Place>);

impl Admission {
    #[inline(always)]
    pub(super) fn by_lane(pass: Arc<Pass>, ticket: Ticket, times: Times) -> Self {
        let place = Place {
            is_plain: pass.is_plain,
            lane: Some(pass),
            lock: None,
            ticket,
            is_slow: false,
            probe: Probe::No,
            head_at: 0,
        };
        Self::new(place, times)
    }

    pub(super) fn by_lock(circuits: Arc<Circuits>, granted: &Granted, times: Times) -> Self {
        let place = Place {
            is_plain: circuits.settings.is_plain(),
            lane: None,
            lock: Some((circuits, granted.spot)),
            ticket: granted.ticket,
            is_slow: false,
            probe: match granted.is_probe {
                true => Probe::Yes,
                false => Probe::No,
            },
            head_at: 0,
        };
        Self::new(place, times)
    }

    #[inline(always)]
    fn new(place: Place, times: Times) -> Self {
        Self {
            place: Some(place),
            times,
            is_polled: false,
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

    /// Whether the response has a good head, and no more is asked of it.
    #[inline(always)]
    pub(super) fn is_plainly_good<B>(&self, response: &Response<B>) -> bool {
        let is_plain = self.place.as_ref().is_some_and(|place| place.is_plain);
        is_plain && classify::is_success(response)
    }

    /// Judges the head of a response. A good one leaves the verdict to the end of the body.
    pub(super) fn judge<B>(&mut self, response: &Response<B>) {
        let circuits = self.place.as_ref().expect(TOLD).circuits();
        let failure = classify::failure_of_response(response, &*circuits.settings.clock);
        let verdict = self.verdict(Answer::of_response(response, failure.as_ref()));
        if verdict != Verdict::Success {
            self.tell(verdict, failure.and_then(|failure| failure.retry_after));
        }
    }

    /// The body has ended already.
    #[inline(always)]
    pub(super) fn succeed(&mut self) {
        Place::succeed(&mut self.place);
    }

    /// What is to ride on the body: nothing where the verdict is told.
    #[inline(always)]
    pub(super) fn guard(&mut self) -> Option<GoodHead> {
        if let Some(place) = &mut self.place
            && place.probe == Probe::Yes
        {
            place.begin_flow();
        }
        let place = self.place.take();
        place.map(|place| GoodHead(Some(place)))
    }

    pub(super) fn judge_error(&mut self, error: &Error) {
        let failure = error.failure();
        let verdict = self.verdict(Answer::of_error(error, &failure));
        self.tell(verdict, failure.retry_after);
    }

    /// The verdict on what came back, and whether it took too long.
    fn verdict(&mut self, mut answer: Answer<'_>) -> Verdict {
        let took = self.took();
        let place = self.place.as_mut().expect(TOLD);
        let settings = &place.circuits().settings;
        let (policy, judge) = (&settings.policy, &settings.judge);
        if let Some(failure) = answer.failure {
            answer.verdict = judge::verdict(failure, policy.rate_limited);
        }
        let verdict = match judge {
            None => answer.verdict,
            Some(judge) => judge.verdict(&answer),
        };
        place.is_slow = match policy.slow_calls {
            None => false,
            Some(slow) => took.is_some_and(|took| took > slow.longer_than),
        };
        verdict
    }

    /// How long the call has taken, where that matters.
    fn took(&self) -> Option<Duration> {
        let place = self.place.as_ref().filter(|_| self.times.began != NEVER)?;
        let took = place.circuits().nanos().saturating_sub(self.times.began);
        Some(Duration::from_nanos(took))
    }

    /// Whether whoever drops this call now does so because it has taken too long. Timers may be late, never early.
    fn is_overdue(&self, circuits: &Circuits) -> bool {
        let most = circuits.policy().dropped_after.filter(|_| self.is_polled);
        let has_taken = |most| self.took().is_some_and(|took| took >= most);
        let has_ended = |end: &AttemptDeadline| {
            let now = circuits.now();
            now >= end.ends(now)
        };
        self.times.end.as_ref().is_some_and(has_ended) || most.is_some_and(has_taken)
    }

    fn tell(&mut self, verdict: Verdict, hint: Option<Duration>) {
        Place::tell(&mut self.place, verdict, hint);
    }

    #[cold]
    #[inline(never)]
    fn end_early(&mut self) {
        let place = self.place.as_ref().expect(TOLD);
        let verdict = match self.is_overdue(place.circuits()) {
            true => Verdict::Failure,
            false => Verdict::Ignore,
        };
        self.tell(verdict, None);
    }
}

impl Times {
    /// Of a call that begins now.
    #[inline(always)]
    pub(super) fn of(circuits: &Circuits, is_plain: bool, head: &RequestHead<'_>) -> Self {
        let began = match is_plain {
            true => NEVER,
            false => circuits.began(),
        };
        let end = head.extensions.get().cloned();
        Self { began, end }
    }
}

/// An attempt that was cut off had no answer in time; a call that its caller dropped, or that the caller's own panic took
/// along, says nothing.
impl Drop for Admission {
    #[inline]
    fn drop(&mut self) {
        if self.place.is_some() {
            self.end_early();
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
    pub(super) fn end(mut self) -> Admission {
        self.0.take().expect(TOLD)
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
    #[inline]
    fn data(&mut self) {
        if let Some(place) = &mut self.0
            && place.probe == Probe::Yes
        {
            place.flow();
        }
    }

    #[inline]
    fn complete(mut self) {
        Place::succeed(&mut self.0);
    }

    fn fail(mut self) {
        Place::tell(&mut self.0, Verdict::Failure, None);
    }
}

impl Drop for GoodHead {
    #[inline]
    fn drop(&mut self) {
        Place::succeed(&mut self.0);
    }
}

const TOLD: &str = "an admission is told once, and has its place until then";

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl fmt::Debug for GoodHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoodHead").finish_non_exhaustive()
    }
}
