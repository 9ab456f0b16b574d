//! The service around a stack.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited, combinators::Collect};
use tower_service::Service;

use super::{future::ResponseFuture, settings::Settings};
use crate::error::{BoxError, Error};

/// Takes request bodies into memory and estimates what they cost. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Intake<S> {
    inner: S,
    settings: Settings,
}

impl<S> Intake<S> {
    pub(super) fn new(inner: S, settings: Settings) -> Self {
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
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S, Collect<Limited<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mut collecting = Box::pin(Limited::new(body, self.settings.max_bytes).collect());
        match collecting.as_mut().now_or_never() {
            Some(Ok(body)) => {
                let request = self.settings.request(parts, body.to_bytes());
                ResponseFuture::call(self.inner.call(request))
            }
            Some(Err(error)) => ResponseFuture::failed(error),
            None => {
                // The readiness of the inner service must not be held while a body arrives.
                self.inner = self.inner.clone();
                ResponseFuture::collect(collecting, parts, self.inner.clone(), self.settings)
            }
        }
    }
}
