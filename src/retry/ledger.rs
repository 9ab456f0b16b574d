//! A call's part in the ledger of its request.

use std::time::{Duration, Instant};

use http::{Extensions, HeaderValue, Request, Response};

use crate::{
    outcome::Failure,
    request::{Attempt, Attempts, LeftToOthers, Next},
    upstream::Upstream,
};

/// The ledger of a request, as far as there is one, and for whom this call writes into it.
#[derive(Debug)]
pub(super) struct Ledger {
    attempts: Option<Attempts>,
    upstream: Option<Upstream>,
    /// Whether the last failure is ours to record, because nobody outside keeps the ledger.
    is_ours: bool,
    /// How many attempts of the request this upstream has had before this call, where that is to be told.
    earlier: u32,
}

impl Ledger {
    /// None: most calls never fail, so a request without a ledger gets one only when it is sent again.
    #[inline]
    pub(super) fn none() -> Self {
        Self {
            attempts: None,
            upstream: None,
            is_ours: true,
            earlier: 0,
        }
    }

    pub(super) fn of(extensions: &Extensions) -> Self {
        let attempts = extensions.get::<Attempts>().cloned();
        Self {
            earlier: 0,
            is_ours: attempts.as_ref().is_none_or(Attempts::keep),
            attempts,
            upstream: extensions.get().cloned(),
        }
    }

    /// Counts the attempts that this upstream has had already: a fallback may come back to it.
    #[cold]
    pub(super) fn count_earlier(&mut self) {
        let failed = self.attempts.iter().flat_map(Attempts::failed);
        let id = self.upstream.as_ref().map(Upstream::id);
        let is_here = |attempt: &Attempt| attempt.upstream.as_deref() == id;
        self.earlier = failed.filter(is_here).count() as u32;
    }

    /// The idempotency key for all attempts of the request here.
    pub(super) fn idempotency_key(&self, make: impl FnOnce() -> HeaderValue) -> HeaderValue {
        let upstream = self.upstream.as_ref().map(Upstream::shared_id);
        match &self.attempts {
            Some(attempts) => attempts.idempotency_key(upstream, make),
            None => make(),
        }
    }

    /// How many attempts of the request this upstream has had before this call, where they were counted.
    pub(super) fn earlier(&self) -> u32 {
        self.earlier
    }

    /// When the attempt under way began: now, where no layer has noted it.
    pub(super) fn note_start(&self, now: impl FnOnce() -> Instant) -> Instant {
        match &self.attempts {
            Some(attempts) => attempts.note_start(now),
            None => now(),
        }
    }

    /// Another attempt begins, with this request.
    pub(super) fn resend<B>(&self, request: &mut Request<B>, now: Instant) {
        if let Some(attempts) = &self.attempts {
            attempts.begin(now);
            request.extensions_mut().insert(attempts.clone());
        }
    }

    #[inline]
    pub(super) fn allows(&self) -> bool {
        self.attempts.as_ref().is_none_or(Attempts::allows_another)
    }

    pub(super) fn has_alternatives(&self) -> bool {
        let attempts = self.attempts.as_ref();
        attempts.is_some_and(|attempts| attempts.alternatives() > 0)
    }

    /// There is no other attempt here, only because others can be asked.
    pub(super) fn leave_to_others(&self, why: LeftToOthers) {
        if let Some(attempts) = &self.attempts {
            attempts.leave_to_others(why);
        }
    }

    /// Whom a layer has chosen.
    pub(super) fn chosen(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }

    /// Whom the request is for; empty where no layer chose that.
    pub(super) fn upstream(&self) -> &str {
        self.upstream.as_ref().map_or("", Upstream::id)
    }

    /// An attempt has failed, the first of which began then, and another follows after this wait.
    pub(super) fn record_retry(
        &mut self,
        failure: Failure,
        wait: Duration,
        began: Instant,
        now: Instant,
    ) {
        self.attempts.get_or_insert_with(|| {
            let attempts = Attempts::default();
            attempts.begin(began);
            attempts
        });
        self.record(failure, Next::Retry { wait }, now);
    }

    /// The last attempt has failed.
    pub(super) fn record_end(&self, failure: Failure, now: impl FnOnce() -> Instant) {
        if self.is_ours && self.attempts.is_some() {
            self.record(failure, Next::Stop, now());
        }
    }

    /// Gives the ledger to the caller with his answer, where nobody outside does.
    pub(super) fn attach<R>(&self, response: &mut Response<R>) {
        if let (Some(attempts), true) = (&self.attempts, self.is_ours) {
            response.extensions_mut().insert(attempts.clone());
        }
    }

    fn record(&self, failure: Failure, next: Next, now: Instant) {
        if let Some(attempts) = &self.attempts {
            let upstream = self.upstream.as_ref().map(Upstream::shared_id).cloned();
            attempts.record(upstream, failure, next, now);
        }
    }
}
