//! The service around a client.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    entrance::{Entry, enter},
    future::ResponseFuture,
    handle::RateLimiter,
    limiters::Limiters,
    permit::Permit,
};
use crate::{
    body::Tracked,
    error::{BoxError, Error},
    request::RequestHead,
};

/// Admits, queues or refuses requests by every limit at once. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    limiters: Limiters,
}

impl<S> RateLimit<S> {
    /// Puts a limiter around a service.
    pub fn new(inner: S, limiter: RateLimiter) -> Self {
        Self::under(inner, Limiters::one(limiter))
    }

    pub(super) fn under(inner: S, limiters: Limiters) -> Self {
        Self { inner, limiters }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError> + 'static,
    R: Body,
{
    type Response = Response<Tracked<R, Permit>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    // Where it is not inlined, the request is moved once more, which takes as long as a lock.
    #[inline(always)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut permit = None;
        match enter(
            &self.limiters,
            &RequestHead::of(&request).with_upstream(),
            &mut permit,
        ) {
            Entry::Admitted => ResponseFuture::admitted(self.inner.call(request), permit),
            Entry::Queued(waiter) => {
                // The readiness of the inner service must not be held through the wait: the service that has it goes, and
                // an unready clone takes its place.
                self.inner = self.inner.clone();
                ResponseFuture::queued(waiter, self.inner.clone(), request)
            }
            Entry::Refused(error) => {
                // Nor held by a service whose request never came to it.
                self.inner = self.inner.clone();
                ResponseFuture::refused(error)
            }
        }
    }
}
