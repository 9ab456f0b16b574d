//! The ledger of one request.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::HeaderValue;

use super::elsewhere::Elsewhere;
use crate::outcome::Failure;

/// The ledger of one request: every attempt that failed, over retries and fallbacks together.
///
/// The fallback layer opens one for each request and the retry layer writes into the same. Put one into the request's
/// extensions yourself to keep a handle on it, or to cap the attempts of that one request.
#[derive(Clone, Debug)]
pub struct Attempts {
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    max: u32,
    alternatives: AtomicU32,
    elsewhere: Elsewhere,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Whether a layer keeps the ledger, which then records how the last attempt ended.
    is_kept: bool,
    /// When the attempt under way began, once somebody has noted it.
    began: Option<Instant>,
    left_to_others: Option<LeftToOthers>,
    failed: Vec<Attempt>,
    /// The idempotency keys that were given to the request, each for an upstream.
    keys: Vec<(Option<Arc<str>>, HeaderValue)>,
}

/// Why the retry layer does not send a request again, which it would have sent, had there been nobody else to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftToOthers {
    /// The upstream was silent.
    Silence,
    /// It asked for a wait, and then would have been asked again, at the latest by this time.
    Hint { latest: Instant },
}

/// One attempt that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Where it was sent, where a layer chose that.
    pub upstream: Option<Arc<str>>,
    /// What came back.
    pub failure: Failure,
    /// How long it took, from when it was begun to its response head or its error: with the time that it waited in line at a limiter
    /// inside, so it is what its caller saw and not the upstream's own time. That is in the
    /// [`Receipt`](crate::observe::Receipt), and the wait in [`Event::Admitted`](crate::observe::Event::Admitted).
    pub took: Duration,
    /// What was done next.
    pub next: Next,
}

#[cfg(test)]
impl Attempt {
    pub(crate) fn example(upstream: &str, kind: crate::outcome::FailureKind) -> Self {
        Self {
            upstream: Some(upstream.into()),
            failure: Failure::new(kind),
            took: Duration::ZERO,
            next: Next::Stop,
        }
    }
}

/// What a layer did after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Waited so long and sent the request to the same upstream again.
    Retry {
        /// The wait.
        wait: Duration,
    },
    /// Sent the request to the next upstream.
    FallBack,
    /// Gave up.
    Stop,
}

impl Attempts {
    /// An empty ledger for at most `max` attempts in all; 0 counts as 1.
    pub fn new(max: u32) -> Self {
        let ledger = Ledger {
            max: max.max(1),
            alternatives: AtomicU32::new(0),
            elsewhere: Elsewhere::default(),
            log: Mutex::default(),
        };
        Self {
            ledger: Arc::new(ledger),
        }
    }

    /// The attempts that failed, in the order in which they were made.
    pub fn failed(&self) -> Vec<Attempt> {
        self.log().failed.clone()
    }

    /// How many attempts have failed.
    pub fn count(&self) -> u32 {
        u32::try_from(self.log().failed.len()).unwrap_or(u32::MAX)
    }

    /// How many more upstreams the fallback layer could still turn to.
    pub fn alternatives(&self) -> u32 {
        self.ledger.alternatives.load(Relaxed)
    }

    /// Whether one more attempt may follow the one that is under way.
    #[inline]
    pub(crate) fn allows_another(&self) -> bool {
        let max = self.ledger.max;
        max == u32::MAX || self.log().failed.len() + 1 < max as usize
    }

    /// Says how many more upstreams could still be turned to; a fallback of your own calls it before each attempt.
    ///
    /// While there are any, the retry layer waits for short hints only.
    pub fn set_alternatives(&self, alternatives: u32) {
        // Whoever reads it was given the request after that.
        self.ledger.alternatives.store(alternatives, Relaxed);
    }

    /// Keeps the ledger from now on. False where a layer outside keeps it already.
    pub(crate) fn keep(&self) -> bool {
        !mem::replace(&mut self.log().is_kept, true)
    }

    /// The next attempt begins, at this time where that is known already: else it is what [`note_start`](Self::note_start) says.
    pub(crate) fn begin(&self, now: impl Into<Option<Instant>>) {
        let mut log = self.log();
        (log.is_kept, log.began) = (true, now.into());
        log.left_to_others = None;
    }

    /// The request would be sent again where it was, had nobody else been told of.
    pub(crate) fn leave_to_others(&self, why: LeftToOthers) {
        self.log().left_to_others = Some(why);
    }

    /// Why the attempt under way is the last at its upstream, where it is so only because others could be asked.
    pub(crate) fn left_to_others(&self) -> Option<LeftToOthers> {
        self.log().left_to_others
    }

    /// Whether the attempt under way, while it waits in line, would be served sooner somewhere else.
    #[inline]
    pub(crate) fn elsewhere(&self) -> &Elsewhere {
        &self.ledger.elsewhere
    }

    /// When the attempt under way began: now, where nobody has noted it. So the time is read once for all layers, and not at all
    /// for an attempt that has ended already.
    pub(crate) fn note_start(&self, now: impl FnOnce() -> Instant) -> Instant {
        *self.log().began.get_or_insert_with(now)
    }

    /// The idempotency key of the request at this upstream: the one that was given before, where it comes back to it. Another
    /// upstream is sent another body, for another model, which it would refuse under the same key.
    pub(crate) fn idempotency_key(
        &self,
        upstream: Option<&Arc<str>>,
        make: impl FnOnce() -> HeaderValue,
    ) -> HeaderValue {
        let mut log = self.log();
        let given = log.keys.iter().find(|(to, _)| to.as_ref() == upstream);
        if let Some((_, key)) = given {
            return key.clone();
        }
        let key = make();
        log.keys.push((upstream.cloned(), key.clone()));
        key
    }

    pub(crate) fn record(
        &self,
        upstream: Option<Arc<str>>,
        failure: Failure,
        next: Next,
        now: Instant,
    ) {
        let mut log = self.log();
        let took = log
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        log.failed.push(Attempt {
            upstream,
            failure,
            took,
            next,
        });
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.ledger
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Attempts {
    /// A ledger without a cap of its own.
    fn default() -> Self {
        Self::new(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_allows_its_cap_and_no_more() {
        let attempts = Attempts::new(2);
        assert!(attempts.allows_another());
        let failure = Failure::new(crate::outcome::FailureKind::ServerError);
        let now = crate::clock::Clock::now(&crate::clock::TokioClock);
        attempts.begin(now);
        attempts.record(
            None,
            failure,
            Next::FallBack,
            now + Duration::from_millis(3),
        );
        assert!(!attempts.allows_another());
        assert_eq!(attempts.failed()[0].took, Duration::from_millis(3));
    }
}
