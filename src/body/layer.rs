//! The layer that makes any request body one that can be sent again.

use std::task::{Context, Poll};

use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::replay_body::ReplayBody;

/// Makes the body of each request a [`ReplayBody`]; stands outside of the layers that send it again. Errors and responses are
/// those of the service inside.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_upstream::{RetryLayer, body::{ReplayBody, ReplayBodyLayer}};
///
/// # type Upload = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;
/// # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
/// #     .build_http::<ReplayBody<Upload>>();
/// let service = ServiceBuilder::new()
///     .layer(ReplayBodyLayer::new(16 * 1024 * 1024)) // uploads of up to 16 MiB are retried
///     .layer(RetryLayer::default())
///     .service(client);
/// # fn check<S: tower::Service<http::Request<Upload>>>(_: S) {}
/// # check(service);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ReplayBodyLayer {
    cap: usize,
}

/// The service of [`ReplayBodyLayer`].
#[derive(Clone, Copy, Debug)]
pub struct ReplayBodyService<S> {
    inner: S,
    cap: usize,
}

impl ReplayBodyLayer {
    /// Bodies of up to so many bytes can be sent again, longer ones are sent once. Default: 65,536.
    pub fn new(cap: usize) -> Self {
        Self { cap }
    }
}

/// 64 KiB, as in linkerd2-proxy (`linkerd/app/outbound/src/http/retry.rs`).
impl Default for ReplayBodyLayer {
    fn default() -> Self {
        Self::new(64 * 1024)
    }
}

impl<S> Layer<S> for ReplayBodyLayer {
    type Service = ReplayBodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReplayBodyService {
            inner,
            cap: self.cap,
        }
    }
}

impl<S, B> Service<Request<B>> for ReplayBodyService<S>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.inner
            .call(request.map(|body| ReplayBody::new(body, self.cap)))
    }
}
