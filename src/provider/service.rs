//! The service around a client.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::{
    asked::Asked, body::ProviderBody, future::ResponseFuture, rewrite::address, settings::Settings,
    witness::Witness,
};
use crate::{
    error::{BoxError, Error},
    request::RequestHead,
    upstream::Upstream,
};

/// Speaks to the upstream that a request is for. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Provide<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Provide<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, R> Service<Request<Full<Bytes>>> for Provide<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError> + 'static,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<ProviderBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let upstream = request.extensions().get::<Upstream>().cloned();
        let mut asked = Asked::of(&request, upstream.as_ref());
        let witness = Witness::call(&self.settings, &RequestHead::of(&request));
        if let Some(upstream) = &upstream {
            asked.is_stream = address(&mut request, upstream, self.settings.include_usage);
        }
        let call = match &witness {
            None => self.inner.call(request),
            Some(witness) => witness.in_scope(|| self.inner.call(request)),
        };
        ResponseFuture::new(call, asked, witness, self.settings.clone())
    }
}
