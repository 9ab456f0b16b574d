//! The clients: bare, below our layers, and below those of others.

use std::future::ready;

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_resilience_fallback::FallbackLayer;
use tower_service::Service;
use tower_upstream::{
    adapt::{reqwest::ReqwestService, reqwest_middleware::TowerMiddleware},
    error::BoxError,
};

use super::samples::{Answered, Row};
use crate::{
    exchange::{Body, real},
    stack::{ours, peers},
};

pub fn hyper(port: u16) -> Vec<Row> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // Each has a pool of its own.
    let client = || Client::builder(TokioExecutor::new()).build::<_, Body>(connector.clone());
    vec![
        Row::new("hyper", exchanges(client(), port)),
        Row::new(
            "tower-resilience's four over hyper",
            exchanges(theirs(client()), port),
        ),
        Row::new(
            "four layers over hyper",
            exchanges(ours::four(client()), port),
        )
        .against("tower-resilience's four over hyper")
        .goals(),
    ]
}

pub fn reqwest(port: u16) -> Result<Vec<Row>, String> {
    let client = || {
        let client = reqwest::Client::builder().retry(reqwest::retry::never());
        client.no_proxy().build().map_err(|error| error.to_string())
    };
    let service = || client().map(ReqwestService::new);
    let chain = |client| reqwest_middleware::ClientBuilder::new(client);
    let policy = ExponentialBackoff::builder().build_with_max_retries(2);
    let theirs_in_chain = chain(client()?)
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .build();
    let ours_in_chain = chain(client()?)
        .with(TowerMiddleware::new(ours::retry()))
        .build();
    let bare = client()?;
    Ok(vec![
        Row::new("reqwest", {
            let request = Asked::at(port);
            move || -> Answered {
                let sent = bare
                    .post(request.url.clone())
                    .headers(request.headers.clone());
                let sent = sent.body(request.body.clone()).send();
                Box::pin(async move { Ok(sent.await?.bytes().await?) })
            }
        }),
        Row::new("reqwest as a service", exchanges(service()?, port)),
        Row::new(
            "tower-resilience's four over reqwest",
            exchanges(theirs(service()?), port),
        ),
        Row::new(
            "four layers over reqwest",
            exchanges(ours::four(service()?), port),
        )
        .against("tower-resilience's four over reqwest")
        .goals(),
        Row::new("reqwest-retry", in_chain(theirs_in_chain, port)),
        Row::new("our retry in the chain", in_chain(ours_in_chain, port)).against("reqwest-retry"),
    ])
}

/// A request as reqwest is told of it.
struct Asked {
    url: reqwest::Url,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Asked {
    fn at(port: u16) -> Self {
        let (parts, body) = request(port).into_parts();
        let body = body.collect().now_or_never().and_then(Result::ok);
        let url = parts.uri.to_string();
        Self {
            url: reqwest::Url::parse(&url).expect("a URL"),
            headers: parts.headers,
            body: body.expect("it lies in memory").to_bytes(),
        }
    }
}

fn in_chain(client: reqwest_middleware::ClientWithMiddleware, port: u16) -> impl Fn() -> Answered {
    let request = Asked::at(port);
    move || {
        let sent = client
            .post(request.url.clone())
            .headers(request.headers.clone());
        let sent = sent.body(request.body.clone()).send();
        Box::pin(async move { Ok(sent.await?.bytes().await?) })
    }
}

/// tower-resilience's four; what it falls back to is a service, for these answers cannot be copied.
fn theirs<S, R>(
    inner: S,
) -> impl Service<Request<Body>, Response = Response<R>, Error: Into<BoxError>, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
where
    S: Service<
            Request<Body>,
            Response = Response<R>,
            Error: std::error::Error + Send + Sync,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
    R: Send + 'static,
{
    let nobody = tower::service_fn(|_: Request<Body>| {
        ready(Err::<Response<R>, BoxError>("there is nobody else".into()))
    });
    let fallback = FallbackLayer::tower_service(nobody);
    (fallback, peers::retry(), peers::breaker(), peers::limit())
        .layer(inner)
        .map_err(|error| -> BoxError { format!("{error:?}").into() })
}

/// Sends a request through a clone of the service, and reads the answer.
fn exchanges<S, R>(service: S, port: u16) -> impl Fn() -> Answered
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send,
{
    let request = request(port);
    move || {
        let answer = service.clone().oneshot(request.clone());
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            let body = answer.into_body().collect().await.map_err(Into::into)?;
            Ok(body.to_bytes())
        })
    }
}

fn request(port: u16) -> Request<Body> {
    let mut request = real();
    let uri = format!("http://127.0.0.1:{port}/v1/chat/completions");
    *request.uri_mut() = uri.parse::<Uri>().expect("a URI");
    request
}
