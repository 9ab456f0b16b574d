//! The service around a client.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    admission::{Admission, GoodHead},
    future::ResponseFuture,
    handle::CircuitBreaker,
};
use crate::{
    body::Tracked,
    error::{BoxError, Error},
    request::RequestHead,
};

/// Fails at once while an upstream is down. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct CircuitBreak<S> {
    inner: S,
    breaker: CircuitBreaker,
}

impl<S> CircuitBreak<S> {
    /// Puts a breaker around a service.
    pub fn new(inner: S, breaker: CircuitBreaker) -> Self {
        Self { inner, breaker }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for CircuitBreak<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<Tracked<R, GoodHead>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match Admission::ask(&self.breaker, &RequestHead::of(&request)) {
            Ok(mut admission) => {
                let call = admission.watch(|| self.inner.call(request));
                ResponseFuture::admitted(call, admission)
            }
            Err(refusal) => ResponseFuture::refused(refusal),
        }
    }
}
