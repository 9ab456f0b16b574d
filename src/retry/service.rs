//! The service around a client.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    course::{Course, Shared},
    future::{Again, ResponseFuture},
};
use crate::{
    body::Replay,
    error::{BoxError, Error},
    request::RequestHead,
};

/// Sends a request again when that can help. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut course = Course::begin(&self.shared, &RequestHead::of(&request));
        // The service that was made ready takes this request; the clone is made ready when it is needed.
        let again = course.copy(&request).map(|request| Again {
            service: self.inner.clone(),
            request,
        });
        course.send(&mut request);
        ResponseFuture::new(self.inner.call(request), course, again)
    }
}

#[cfg(test)]
#[path = "service/tests.rs"]
mod tests;
