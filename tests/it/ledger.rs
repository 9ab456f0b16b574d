//! One ledger over retries and fallbacks.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_upstream::{
    Attempts, Chain, Error, FallbackLayer, Jitter, Provider, RetryLayer, RetryPolicy,
    request::{Attempt, Next},
};

type Body = Full<Bytes>;

async fn send(chain: Chain, attempts: &Attempts) -> Result<Response<Body>, Error> {
    let policy = RetryPolicy::default().max_attempts(2).jitter(Jitter::None);
    let client = service_fn(async |_: Request<Body>| {
        let mut down = Response::new(Body::default());
        *down.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok::<_, Infallible>(down)
    });
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).expect("a chain"))
        .layer(RetryLayer::new(policy).expect("a policy"))
        .service(client);
    let mut request = Request::new(Body::default());
    request.extensions_mut().insert(attempts.clone());
    service.oneshot(request).await
}

fn chain() -> Chain {
    Chain::new([Provider::groq().model("a"), Provider::openai().model("b")])
}

fn told(attempts: &Attempts) -> Vec<(String, Next)> {
    let line = |attempt: &Attempt| {
        (
            attempt.upstream.as_deref().unwrap_or("").to_owned(),
            attempt.next,
        )
    };
    attempts.failed().iter().map(line).collect()
}

const RETRY: Next = Next::Retry {
    wait: Duration::from_secs(1),
};

/// caura PR #859: 12 requests were logged as 4.
#[tokio::test(start_paused = true)]
async fn every_attempt_of_retries_and_fallbacks_is_told_once() {
    let attempts = Attempts::default();
    let error = send(chain(), &attempts).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error:?}");
    let expected = [
        ("groq/a", RETRY),
        ("groq/a", Next::FallBack),
        ("openai/b", RETRY),
        ("openai/b", Next::Stop),
    ];
    let expected = expected.map(|(upstream, next)| (upstream.to_owned(), next));
    assert_eq!(told(&attempts), expected);
}

/// llm-gateway#1119: one request made 75 calls in 14 s.
#[tokio::test(start_paused = true)]
async fn one_cap_holds_over_retries_and_fallbacks() {
    let attempts = Attempts::new(3);
    send(chain(), &attempts).await.unwrap_err();
    assert_eq!(attempts.count(), 3);
}

/// The last failure is told although nothing but the cap of the chain brought the ledger.
#[tokio::test(start_paused = true)]
async fn the_cap_of_a_chain_of_one_holds_for_the_retries_inside() {
    let calls = AtomicU32::new(0);
    let client = service_fn(async |_: Request<Body>| {
        calls.fetch_add(1, Ordering::Relaxed);
        let mut down = Response::new(Body::default());
        *down.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok::<_, Infallible>(down)
    });
    let chain = Chain::new([Provider::groq().model("a")]).max_attempts(2);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).expect("a chain"))
        .layer(RetryLayer::default())
        .service(client);
    let response = service.oneshot(Request::new(Body::default())).await;
    let response = response.expect("the upstream's answer");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let attempts = response.extensions().get::<Attempts>();
    assert_eq!(attempts.map(Attempts::count), Some(2));
}
