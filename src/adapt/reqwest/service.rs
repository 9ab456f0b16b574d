//! The service around a client.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use reqwest::Client;
use tower_service::Service;

use super::{body::outgoing, future::ResponseFuture};
use crate::error::BoxError;

/// A client of `reqwest`, or of `reqwest_middleware`, as a service of [`http::Request`]s. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct ReqwestService<C = Client> {
    client: C,
}

impl<C> ReqwestService<C> {
    /// A service over this client.
    pub fn new(client: C) -> Self {
        Self { client }
    }

    /// The client inside.
    pub fn client(&self) -> &C {
        &self.client
    }
}

impl<B> Service<Request<B>> for ReqwestService<Client>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match reqwest::Request::try_from(request.map(outgoing)) {
            Ok(request) => ResponseFuture::calling(self.client.call(request)),
            Err(error) => ResponseFuture::failed(error),
        }
    }
}
