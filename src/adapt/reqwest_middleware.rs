//! The layers and `reqwest_middleware`, both ways: its client under the layers, and the layers in its chain.
//!
//! 1. As the client, [`ReqwestService`] takes a `ClientWithMiddleware` as it takes a `reqwest::Client`, by the same rules: all
//!    that it says of bodies, errors and reqwest's own retries holds here. Each attempt goes through the whole chain.
//! 2. In the chain, a [`TowerMiddleware`] is a middleware like any other; what was added to the chain after it stands inside of
//!    the layers, and each attempt goes through it. State is in the layers' handles, so that all requests share it; the services
//!    are made for each request, because the rest of the chain is lent for one.
//! 3. Extensions go both ways. The layers see the chain's as the request's ([`Cost`](crate::Cost),
//!    [`Priority`](crate::Priority), [`Upstream`](crate::Upstream) by `RequestBuilder::with_extension`), the middlewares
//!    inside see the request's as the chain's. What they put there is in the response's extensions, where the layers read
//!    an [`Outcome`](crate::Outcome); and who reads the chain's after an answer finds what the layers told.
//! 4. Errors come out as they went in: a `reqwest::Error` as `Error::Reqwest`, another middleware's as it was. What the layers
//!    say themselves is found by downcast in `Error::Middleware`:
//!    `error.downcast_ref::<tower_upstream::Error>()`. Layers that stand in the chain twice pass each other's errors on.
//! 5. A body that lies in memory can be sent again; a stream is sent once.
//!
//! # Examples
//!
//! ```no_run
//! use reqwest_middleware::ClientBuilder;
//! use tower::ServiceBuilder;
//! use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter, RetryLayer, adapt::reqwest_middleware::TowerMiddleware};
//!
//! # async fn fetch() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = RateLimiter::new(Quota::new().limit(Limit::requests(60).per_minute()))?;
//! let layers = ServiceBuilder::new().layer(RetryLayer::default()).layer(RateLimitLayer::new(limiter)).into_inner();
//! let reqwest = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
//! let client = ClientBuilder::new(reqwest).with(TowerMiddleware::new(layers)).build();
//! match client.get("http://127.0.0.1:8080/").send().await {
//!     Ok(response) => println!("{}", response.status()),
//!     Err(reqwest_middleware::Error::Middleware(error)) => match error.downcast_ref::<tower_upstream::Error>() {
//!         Some(refusal) => println!("{}", refusal.user_message()),
//!         None => println!("another middleware failed: {error}"),
//!     },
//!     Err(error) => println!("{error}"),
//! }
//! # Ok(()) }
//! ```
//!
//! ```no_run
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_upstream::{CircuitBreakerLayer, adapt::reqwest::ReqwestService};
//!
//! # async fn fetch(with_middleware: reqwest_middleware::ClientWithMiddleware) -> Result<(), Box<dyn std::error::Error>> {
//! let client = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::default())
//!     .service(ReqwestService::new(with_middleware));
//! let request = http::Request::get("http://127.0.0.1:8080/").body(Full::<bytes::Bytes>::default())?;
//! let response = client.oneshot(request).await?;
//! # let _ = response;
//! # Ok(()) }
//! ```

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Extensions, Request, Response};
use http_body::Body;
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::reqwest::{
    RequestBody, ReqwestService,
    body::outgoing,
    convert::{incoming, without_query},
    from_http, to_http,
};
use crate::error::{BoxError, Error, ServiceError};

/// Layers as a middleware. See the [module docs](self).
#[derive(Clone, Debug)]
pub struct TowerMiddleware<L> {
    layers: L,
}

impl<L> TowerMiddleware<L> {
    /// A middleware of a layer, or of several that a [`tower::ServiceBuilder`] or a [`tower_layer::Stack`] puts together.
    pub fn new(layers: L) -> Self {
        Self { layers }
    }
}

#[async_trait::async_trait]
impl<L> Middleware for TowerMiddleware<L>
where
    L: for<'a> Layer<NextService<'a>, Service: Answer<'a>> + Send + Sync + 'static,
{
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let mut request = to_http(request)?;
        // What reqwest itself keeps there, a timeout of this request, must stay.
        request.extensions_mut().extend(extensions.clone());
        let answer = self.layers.layer(NextService { next }).answer(request);
        let response = answer.await.map_err(outward)?;
        extensions.extend(response.extensions().clone());
        Ok(response)
    }
}

/// The rest of a chain as a service: what stands innermost in the layers of a [`TowerMiddleware`].
#[derive(Clone)]
pub struct NextService<'a> {
    next: Next<'a>,
}

impl<'a, B> Service<Request<B>> for NextService<'a>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = Error;
    type Future = BoxFuture<'a, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (next, sent) = (self.next.clone(), prepare(request));
        Box::pin(async move {
            let (request, mut extensions) = sent?;
            let result = next.run(request, &mut extensions).await;
            result
                .map(|response| told(response, extensions))
                .map_err(inward)
        })
    }
}

impl std::fmt::Debug for NextService<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextService").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for ReqwestService<ClientWithMiddleware>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (client, sent) = (self.client().clone(), prepare(request));
        Box::pin(async move {
            let (request, mut extensions) = sent?;
            let result = client
                .execute_with_extensions(request, &mut extensions)
                .await;
            result
                .map(|response| told(response, extensions))
                .map_err(inward)
        })
    }
}

/// A service that answers requests of reqwest: what the layers of a [`TowerMiddleware`] must make of a [`NextService`].
/// Every tower service over [`http::Request`] that may go to another thread is one.
pub trait Answer<'a>: sealed::Sealed<'a> {
    /// The answer to this request.
    #[doc(hidden)]
    fn answer(
        self,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Result<reqwest::Response, Error>>;
}

impl<'a, S, R> Answer<'a> for S
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Send + 'a,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'a,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    fn answer(
        self,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Result<reqwest::Response, Error>> {
        self.oneshot(request)
            .map(|result| result.map(from_http).map_err(Error::from_service))
            .boxed()
    }
}

/// Nobody else's type can be one: what such a service is may change.
mod sealed {
    use super::*;

    pub trait Sealed<'a> {}

    impl<'a, S, R> Sealed<'a> for S
    where
        S: Service<Request<RequestBody>, Response = Response<R>> + Send + 'a,
        S::Error: Into<BoxError> + 'static,
        S::Future: Send + 'a,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
    }
}

/// A request as a chain takes it, with its extensions beside it.
fn prepare<B>(request: Request<B>) -> Result<(reqwest::Request, Extensions), Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let extensions = request.extensions().clone();
    let request = reqwest::Request::try_from(request.map(outgoing));
    let request = request.map_err(|error| inward(error.into()))?;
    Ok((request, extensions))
}

/// The answer, with what the chain left in its extensions. What the answer brought itself wins.
fn told(response: reqwest::Response, mut extensions: Extensions) -> Response<reqwest::Body> {
    let mut response = incoming(response);
    extensions.extend(std::mem::take(response.extensions_mut()));
    *response.extensions_mut() = extensions;
    response
}

/// An error of a chain as the layers see it. What other layers in the chain said stays what it is.
fn inward(error: reqwest_middleware::Error) -> Error {
    Error::Service(match error {
        reqwest_middleware::Error::Reqwest(error) => ServiceError::new(without_query(error)),
        reqwest_middleware::Error::Middleware(error) => match error.downcast() {
            Ok(ours) => return ours,
            Err(error) => ServiceError::new(reqwest_middleware::Error::Middleware(error)),
        },
    })
}

/// An error of the layers as the chain outside sees it. What came from inside comes out as it went in.
fn outward(error: Error) -> reqwest_middleware::Error {
    let ServiceError { upstream, error } = match error {
        Error::Service(inner) => inner,
        ours => return reqwest_middleware::Error::middleware(ours),
    };
    let error = match error.downcast() {
        Ok(error) => return reqwest_middleware::Error::Reqwest(*error),
        Err(error) => error,
    };
    match error.downcast() {
        Ok(error) => *error,
        Err(error) => {
            let inner = ServiceError { upstream, error };
            reqwest_middleware::Error::middleware(Error::Service(inner))
        }
    }
}
