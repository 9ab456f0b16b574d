//! [`Admission`]: one call that the circuit let through, until its verdict.

use std::{fmt, mem, sync::Arc, time::Duration};

use http::Response;

use super::{
    decision::{Ticket, Verdict},
    handle::{Circuit, CircuitBreaker},
};
use crate::{
    body::Guard,
    classify,
    error::{CircuitOpen, Error},
    outcome::Failure,
    request::{AttemptDeadline, RequestHead},
};

/// One admitted call: tells the circuit how it ended.
///
/// Rides on the body of the response, because a stream that breaks is a failure. Dropped before the head of the response
/// came, it gives its place back without a verdict, unless a layer outside had told that it would cut the attempt off by
/// then: nobody else will tell that there was no answer in time. Dropped in the middle of a good answer, it is a success:
/// nothing had failed until the reader went.
#[must_use]
pub struct Admission {
    breaker: CircuitBreaker,
    circuit: Arc<Circuit>,
    ticket: Option<Ticket>,
    end: Option<AttemptDeadline>,
}

/// An admitted call whose response had a good head.
pub struct GoodHead(Admission);

impl Admission {
    /// The right to make one call, or the refusal.
    pub(super) fn ask(breaker: &CircuitBreaker, head: &RequestHead<'_>) -> Result<Self, Error> {
        let circuit = breaker.circuit_of(head);
        let now = breaker.time().now();
        let (admission, transition) = circuit.lock().admit(breaker.policy(), now);
        // Made before the event is told, so that an observer that panics leaks nothing.
        let admission = admission.map(|ticket| Self {
            breaker: breaker.clone(),
            circuit: circuit.clone(),
            ticket: Some(ticket),
            end: head.extensions.get().copied(),
        });
        breaker.tell(&circuit, transition);
        admission.map_err(|refusal| {
            Error::CircuitOpen(CircuitOpen {
                key: circuit.key.clone(),
                reason: refusal.reason,
                retry_after: refusal.until.saturating_duration_since(now),
            })
        })
    }

    /// Runs code of the service inside. A panic there is no health, whether or not somebody catches it.
    pub(super) fn watch<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let unwound = Unwound(self);
        let result = run();
        mem::forget(unwound);
        result
    }

    /// Judges the head of the response, or the error. A good head leaves the verdict to the end of the body.
    pub(super) fn judge<B>(mut self, result: &Result<Response<B>, Error>) -> Option<GoodHead> {
        match classify::failure(result, self.breaker.time()) {
            None => return Some(GoodHead(self)),
            Some(failure) => self.tell(verdict(&failure), failure.retry_after),
        }
        None
    }

    /// Whether whoever drops this call now does so because its attempt has taken too long. Timers may be late, never early.
    fn is_overdue(&self) -> bool {
        self.end
            .is_some_and(|AttemptDeadline(end)| self.breaker.time().now() >= end)
    }

    fn tell(&mut self, verdict: Verdict, hint: Option<Duration>) {
        if let Some(ticket) = self.ticket.take() {
            let policy = self.breaker.policy();
            self.breaker.change(&self.circuit, |state, now| {
                state.record(policy, ticket, verdict, hint, now)
            });
        }
    }
}

/// An attempt that was cut off had no answer in time; a call that its caller dropped, or that the caller's own panic took
/// along, says nothing.
impl Drop for Admission {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            let verdict = match self.is_overdue() {
                true => Verdict::Failure,
                false => Verdict::Ignore,
            };
            self.tell(verdict, None);
        }
    }
}

/// Dropped by unwinding alone.
struct Unwound<'a>(&'a mut Admission);

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
        f.debug_struct("Admission")
            .field("key", &self.circuit.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GoodHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn verdict(failure: &Failure) -> Verdict {
    if failure.kind.is_ill_health() {
        Verdict::Failure
    } else {
        Verdict::Ignore
    }
}
