//! The service around a client.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    admission::{Admission, GoodHead, Watched},
    future::ResponseFuture,
    handle::CircuitBreaker,
    passes::Found,
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

    // Where it is not inlined, the request is moved once more.
    #[inline(always)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let head = RequestHead::of(&request);
        let key = self.breaker.key(&head);
        match self.breaker.find(&key) {
            Found::Open(pass, ticket) => {
                let admission = Admission::by_lane(pass, ticket, &head);
                drop(key);
                admitted(&mut self.inner, request, admission)
            }
            Found::Ask { wants_lane } => {
                let asked = self.breaker.ask(&key, wants_lane, &head);
                drop(key);
                match asked {
                    Ok(admission) => admitted(&mut self.inner, request, admission),
                    Err(refusal) => ResponseFuture::refused(refusal),
                }
            }
        }
    }
}

/// Makes a call. In the place where it was admitted, not where the ways come together: an admission that comes now from here
/// and now from there is written to memory and moved, which takes longer than all that is decided.
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
