//! An attempt that takes too long, seen by the layers inside of the one that cuts it off.

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_upstream::{CircuitBreaker, CircuitBreakerLayer, CircuitState, RetryLayer, RetryPolicy};

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
