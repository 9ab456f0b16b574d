//! The service around a client.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    admission::{Admission, GoodHead, Times, Watched},
    future::ResponseFuture,
    handle::CircuitBreaker,
    passes::Usual,
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
    usual: Usual,
}

impl<S> CircuitBreak<S> {
    /// Puts a breaker around a service.
    pub fn new(inner: S, breaker: CircuitBreaker) -> Self {
        Self {
            inner,
            breaker,
            usual: Usual::default(),
        }
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

    // Where it is not inlined, the request is moved once more.
    #[inline(always)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let head = RequestHead::of(&request);
        let admission = match self.usual.find(self.breaker.scope_of(), &head) {
            Some((pass, ticket)) => {
                let times = Times::of(&pass.circuits, pass.is_plain, &head);
                Admission::by_lane(pass.clone(), ticket, times)
            }
            None => match self.breaker.enter(&head, &mut self.usual) {
                Ok(admission) => admission,
                Err(refusal) => return ResponseFuture::refused(refusal),
            },
        };
        let watched = Watched::new(admission);
        let call = self.inner.call(request);
        ResponseFuture::admitted(call, watched.end())
    }
}
