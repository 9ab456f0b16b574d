//! An attempt that takes too long, seen by the layers inside of the one that cuts it off.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    CircuitBreaker, CircuitBreakerLayer, CircuitState, Error, Limit, Provider, Quota,
    RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy, Stack,
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

/// A new user's test: of twenty requests to an upstream that takes ten a minute and answers each in a second, those that waited for
/// 59.5 s were cut off half a second after they had been sent. Its circuit opened, and ten were lost.
#[tokio::test(start_paused = true)]
async fn an_attempt_has_all_of_its_time_after_it_has_waited_in_line() {
    let quota = Quota::new().limit(Limit::requests(10).per_minute());
    let provider = Provider::new("p", "http://host/v1").expect("a URL");
    let upstream = provider.model("m").quota(quota).expect("a quota");
    let stack = Stack::builder()
        .upstream(upstream)
        .retry(RetryPolicy::llm().attempt_timeout(Duration::from_secs(60)));
    let stack = stack.build().expect("a stack");
    let sent = AtomicU32::new(0);
    let client = service_fn(|_: Request<Body>| async {
        sent.fetch_add(1, Ordering::Relaxed);
        TokioClock
            .sleep_until(TokioClock.now() + Duration::from_secs(1))
            .await;
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = stack.layer().layer(client);
    let start = TokioClock.now();
    let calls = (0..20_u64).map(|number| {
        let service = service.clone();
        async move {
            let late = Duration::from_millis(number / 10 * 500);
            TokioClock.sleep_until(start + late).await;
            let request = Request::post("/v1/chat/completions").body(Body::from("{}"));
            service.oneshot(request.expect("a request")).await
        }
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(sent.load(Ordering::Relaxed), 20);
    assert_eq!(TokioClock.now() - start, Duration::from_secs(61));
}

/// Its clock goes on where it is sent, and a silent upstream is cut off all the same.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_waited_in_line_is_cut_off_after_its_own_time() {
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let limiter = RateLimiter::new(quota).expect("a limiter");
    let policy = RetryPolicy::default().max_attempts(1);
    let policy = policy.attempt_timeout(Duration::from_secs(5));
    let silent = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy).expect("a policy"))
        .layer(RateLimitLayer::new(limiter))
        .service(silent);
    for seconds in [5, 65] {
        let request = Request::get("http://host/").body(Body::default());
        let start = TokioClock.now();
        let call = service.clone().oneshot(request.expect("a request"));
        let error = call.await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        let took = TokioClock.now() - start;
        assert_eq!(took, Duration::from_secs(seconds.min(60)));
    }
}

/// Where a task of its own stands between, nobody is polled when the request leaves the line: it is looked at now and then.
#[tokio::test(start_paused = true)]
async fn an_attempt_in_a_task_of_its_own_is_cut_off_as_well() {
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let limiter = RateLimiter::new(quota).expect("a limiter");
    let policy = RetryPolicy::default().max_attempts(1);
    let policy = policy.attempt_timeout(Duration::from_secs(5));
    let silent = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
    let inner = RateLimitLayer::new(limiter).layer(silent);
    let apart = service_fn(move |request: Request<Body>| {
        let call = tokio::spawn(inner.clone().oneshot(request));
        async { call.await.expect("no panic") }
    });
    let service = RetryLayer::new(policy).expect("a policy").layer(apart);
    for seconds in [5, 60] {
        let request = Request::get("http://host/").body(Body::default());
        let start = TokioClock.now();
        let call = service.clone().oneshot(request.expect("a request"));
        let error = call.await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert_eq!(TokioClock.now() - start, Duration::from_secs(seconds));
    }
}

/// Who waits for a minute with 10 ms an attempt was woken each 10 ms of it, to see that its time had not begun.
#[tokio::test(start_paused = true)]
async fn a_short_attempt_that_waits_in_line_is_seldom_woken() {
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let limiter = RateLimiter::new(quota).expect("a limiter");
    let policy = RetryPolicy::default().attempt_timeout(Duration::from_millis(10));
    let inner = service_fn(|_: Request<Body>| async {
        TokioClock
            .sleep_until(TokioClock.now() + Duration::from_millis(9))
            .await;
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy).expect("a policy"))
        .layer(RateLimitLayer::new(limiter))
        .service(inner);
    let request = || Request::get("http://host/").body(Body::default());
    let call = || service.clone().oneshot(request().expect("a request"));
    call().await.expect("an answer");
    let (mut call, mut polls) = (Box::pin(call()), 0);
    let answer = poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    });
    answer.await.expect("an answer");
    assert!(polls < 100, "{polls}");
}
