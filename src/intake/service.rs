//! The service around a stack.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::{collect::Collect, future::ResponseFuture, settings::Settings};
use crate::error::{BoxError, Error};

/// Takes request bodies into memory and estimates what they cost. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Intake<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Intake<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B> Service<Request<B>> for Intake<S>
where
    S: Service<Request<Full<Bytes>>> + Clone,
    S::Error: Into<BoxError> + 'static,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            let request = self.settings.request(parts, Bytes::new());
            return ResponseFuture::call(self.inner.call(request));
        }
        let mut collect = Collect::new(body, self.settings.max_bytes);
        // If it is not there yet, the future asks again, with a waker.
        match collect.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(body)) => {
                let request = self.settings.request(parts, body);
                ResponseFuture::call(self.inner.call(request))
            }
            Poll::Ready(Err(error)) => ResponseFuture::failed(error),
            Poll::Pending => {
                // The readiness of the inner service must not be held while a body arrives.
                self.inner = self.inner.clone();
                ResponseFuture::collect(collect, parts, self.inner.clone(), self.settings.clone())
            }
        }
    }
}
