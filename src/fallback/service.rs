//! The service around a client.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    course::{Course, Move},
    future::{Onward, ResponseFuture},
    plan::Plan,
    preferences::Preferences,
    router::Router,
};
use crate::{
    body::Replay,
    current::Held,
    error::{BoxError, Error},
    upstream::Upstream,
};

/// Sends a request to the next upstream when one fails. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Fallback<S> {
    inner: S,
    router: Router,
    plan: Held<Plan>,
}

impl<S> Fallback<S> {
    pub(super) fn new(inner: S, router: Router) -> Self {
        Self {
            inner,
            plan: router.held(),
            router,
        }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Fallback<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let plan = self.plan.latest();
        let chain = &plan.chain;
        let wanted = |upstream: &&Upstream| {
            let preferences = request.extensions().get::<Preferences>();
            preferences.is_none_or(|preferences| preferences.allows(upstream))
        };
        if let Some(upstream) = chain.lone().filter(wanted) {
            let extensions = request.extensions_mut();
            extensions.insert(upstream.clone());
            // Its cap is for the retries inside. Without one, a ledger is theirs to open, once a call has failed.
            if chain.is_capped() {
                extensions.get_or_insert_with(|| chain.ledger());
            }
            return ResponseFuture::calling(self.inner.call(request), upstream.clone(), None);
        }
        // The instance that is ready makes the first call; where none is made, it goes, and its readiness with it.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let (course, next) = Course::begin(self.router.cooldowns(), plan, &request);
        match next {
            Move::Ask(upstream) => {
                let mut onward = Onward {
                    course,
                    service: ready,
                    request: None,
                };
                let call = onward.send(request, &upstream);
                ResponseFuture::calling(call, upstream, Some(onward))
            }
            Move::Wait(sleep) => {
                let onward = Onward {
                    course,
                    service: self.inner.clone(),
                    request: Some(request),
                };
                ResponseFuture::waiting(sleep, onward)
            }
            Move::Fail(error) => ResponseFuture::failed(error),
        }
    }
}

#[cfg(test)]
#[path = "service/tests.rs"]
mod tests;
