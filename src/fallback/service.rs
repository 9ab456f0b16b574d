//! The service around a client.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{
    course::{Course, Move},
    future::ResponseFuture,
    preferences::Preferences,
    router::Router,
    shared::Shared,
};
use crate::{
    body::{Replay, RequestCopy},
    current::Held,
    error::{BoxError, Error},
    observe::Event,
    request::Deadline,
    upstream::Upstream,
};

/// Sends a request to the next upstream when one fails. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Fallback<S> {
    inner: S,
    held: Held<Shared, S>,
}

impl<S: Clone> Fallback<S> {
    pub(super) fn new(inner: S, router: &Router) -> Self {
        Self {
            held: router.held(&inner),
            inner,
        }
    }
}

impl<S> Fallback<S> {
    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Fallback<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError> + 'static,
    B: Replay,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    // Where it is not inlined, the request is moved once more.
    #[inline(always)]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let kit = self.held.latest();
        let clock = kit.shared.cooldowns.time();
        let deadline = Deadline::of(request.extensions());
        if let Some(late) = deadline.and_then(|it| it.late(clock.now())) {
            kit.shared.cooldowns.tell(&Event::DeadlineExceeded {
                layer: "fallback",
                upstream: "",
                late,
            });
            // The readiness of the inner service goes, for nobody uses it.
            self.inner = kit.service();
            return ResponseFuture::failed(Error::DeadlineExceeded);
        }
        let chain = &kit.shared.plan.chain;
        let wanted = |upstream: &&Upstream| {
            let preferences = request.extensions().get::<Preferences>();
            preferences.is_none_or(|preferences| preferences.allows(upstream))
        };
        if let Some(upstream) = chain.lone().filter(wanted) {
            let upstream = upstream.clone();
            let extensions = request.extensions_mut();
            extensions.insert(upstream.clone());
            // Its cap is for the retries inside. Without one, a ledger is theirs to open, once a call has failed.
            if chain.is_capped() {
                extensions.get_or_insert_with(|| chain.ledger());
            }
            return ResponseFuture::calling(self.inner.call(request), upstream, None, None);
        }
        let mut course = Course::begin(kit, &request, deadline.map(|Deadline(at)| at));
        match course.set_out(&request) {
            // The instance that is ready makes the first call.
            Move::Ask(upstream) => {
                let again = course.address(&mut request, &upstream);
                let call = self.inner.call(request);
                ResponseFuture::calling(call, upstream, Some(course), again)
            }
            Move::Wait(sleep) => {
                // The readiness of the inner service must not be held through the wait: the service that has it goes.
                self.inner = kit.service();
                ResponseFuture::waiting(sleep, course, RequestCopy::from(request))
            }
            Move::Fail(error) => {
                self.inner = kit.service();
                ResponseFuture::failed(error)
            }
        }
    }
}

#[cfg(test)]
#[path = "service/tests.rs"]
mod tests;
