//! An attempt that takes too long, seen by the layers inside of the one that cuts it off.

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    CircuitBreaker, CircuitBreakerLayer, CircuitState, Provider, RetryLayer, RetryPolicy, ServedBy,
    Stack, Upstream,
    clock::{Clock, TokioClock},
};

type Body = Full<Bytes>;

/// PITFALLS 37: in the recommended order, sixty timeouts left the circuit closed.
#[tokio::test(start_paused = true)]
async fn attempts_that_time_out_open_the_circuit_inside() {
    let breaker = CircuitBreaker::default();
    let policy = RetryPolicy::default().attempt_timeout(Duration::from_secs(5));
    let silent = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy).expect("a policy"))
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .service(silent);
    for _ in 0..2 {
        let request = Request::get("http://host/").body(Body::default());
        service
            .clone()
            .oneshot(request.expect("a request"))
            .await
            .unwrap_err();
    }
    assert_eq!(breaker.state("host"), CircuitState::Open);
}

/// A new user's test: an upstream that took a request and never answered was waited for without end, and the other never asked;
/// then it was asked three times, for ten minutes each.
#[tokio::test(start_paused = true)]
async fn a_stack_gives_a_silent_upstream_ten_minutes_and_turns_to_the_next() {
    let [silent, other] = ["silent", "other"].map(|name| {
        let provider = Provider::new(name, "http://host/v1").expect("a URL");
        provider.model("m")
    });
    let stack = Stack::builder().upstream(silent).upstream(other);
    let stack = stack.build().expect("a stack");
    let client = service_fn(async |request: Request<Body>| {
        let upstream = request.extensions().get::<Upstream>();
        if upstream.is_some_and(|upstream| upstream.provider().name() == "silent") {
            pending::<()>().await;
        }
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let request = Request::post("/v1/chat/completions").body(Body::from("{}"));
    let began = TokioClock.now();
    let answer = stack
        .layer()
        .layer(client)
        .oneshot(request.expect("a request"));
    let answer = answer.await.expect("an answer");
    let served_by = answer.extensions().get::<ServedBy>();
    assert_eq!(served_by.expect("it is told").0.id(), "other/m");
    assert_eq!(TokioClock.now() - began, Duration::from_secs(600));
}
