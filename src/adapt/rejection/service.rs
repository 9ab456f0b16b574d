//! The service around layers that refuse.

use std::{
    convert::Infallible,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{body::ResponseBody, future::ResponseFuture, settings::Settings};
use crate::{
    error::{BoxError, Error},
    request::RequestHead,
};

/// Makes a response of every error of the layers inside. See the [module docs](super).
#[derive(Debug)]
pub struct Rejection<S> {
    inner: S,
    settings: Settings,
    /// Why the inner service is dead. Nobody can be told from `poll_ready`, so the next caller is told.
    dead: Option<Error>,
}

impl<S> Rejection<S> {
    pub(super) fn new(inner: S, settings: Settings) -> Self {
        Self {
            inner,
            settings,
            dead: None,
        }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Rejection<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError> + 'static,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.dead = ready!(self.inner.poll_ready(cx))
            .map_err(Error::from_service)
            .err();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let head = RequestHead::of(&request);
        let asked = self.settings.advertised.iter().map(|it| it.ask(&head));
        let asked = asked.collect();
        let settings = self.settings.clone();
        match self.dead.take() {
            Some(error) => ResponseFuture::failed(error, asked, settings),
            None => ResponseFuture::calling(self.inner.call(request), asked, settings),
        }
    }
}

impl<S: Clone> Clone for Rejection<S> {
    /// A clone is not ready, and so does not know yet whether it is dead.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.settings.clone())
    }
}
