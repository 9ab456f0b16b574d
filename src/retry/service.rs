//! The service around a client.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{course::Course, future::ResponseFuture, shared::Shared};
use crate::{
    body::{Replay, RequestCopy},
    current::{Current, Held},
    error::{BoxError, Error},
    observe::Event,
    request::Deadline,
    upstream::Upstream,
};

/// Sends a request again when that can help. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    held: Held<Shared, S>,
}

impl<S: Clone> Retry<S> {
    pub(super) fn new(inner: S, current: Arc<Current<Shared>>) -> Self {
        let held = Held::of(current, &inner);
        Self { inner, held }
    }
}

impl<S> Retry<S> {
    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError> + 'static,
    B: Replay,
    R: Body,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, B, S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    // Where it is not inlined, the request is moved once more.
    #[inline(always)]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let kit = self.held.latest();
        if let Some(late) = Deadline::missed(request.extensions(), || kit.shared.clock.now()) {
            kit.shared.events.tell(&Event::DeadlineExceeded {
                layer: "retry",
                upstream: request.extensions().get().map_or("", Upstream::id),
                late,
            });
            // The readiness of the inner service goes, for nobody uses it.
            self.inner = kit.service();
            return ResponseFuture::refused(Error::DeadlineExceeded, Course::idle(kit));
        }
        let mut course = Course::begin(kit, &mut request);
        let copy = match course.may_go_on() {
            true => RequestCopy::of(&request),
            false => None,
        };
        let timeout = course.send(&mut request);
        ResponseFuture::new(self.inner.call(request), timeout, course, copy)
    }
}

#[cfg(test)]
#[path = "service/tests.rs"]
mod tests;
