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
    S::Error: Into<BoxError> + 'static,
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
        let Some((pass, ticket)) = self.usual.find(self.breaker.scope_of(), &head) else {
            return self.ask(request);
        };
        let times = Times::of(&pass.circuits, pass.is_plain, &head);
        let admission = Admission::by_lane(pass.clone(), ticket, times);
        admitted(&mut self.inner, request, admission)
    }
}

impl<S> CircuitBreak<S> {
    /// Makes a call that does not go the usual way. Not inlined, so that the request of one that does is not moved once more: it
    /// is, where its address is known to a function.
    #[inline(never)]
    fn ask<B>(&mut self, request: Request<B>) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>>,
    {
        let head = RequestHead::of(&request);
        match self.breaker.enter(&head, &mut self.usual) {
            Ok(admission) => admitted(&mut self.inner, request, admission),
            Err(refusal) => ResponseFuture::refused(refusal),
        }
    }
}

#[inline(always)]
fn admitted<S, B>(
    inner: &mut S,
    request: Request<B>,
    admission: Admission,
) -> ResponseFuture<S::Future>
where
    S: Service<Request<B>>,
{
    let watched = Watched::new(admission);
    let call = inner.call(request);
    ResponseFuture::admitted(call, watched.end())
}
