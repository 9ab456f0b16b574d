//! Under a gRPC client, for unary calls. Channel, server and classifier are those of the program.

use std::{error::Error as _, time::Duration};

use http::HeaderMap;
use tonic::{Code, Status, transport::Endpoint};
use tower_upstream::{
    CircuitBreaker, CircuitBreakerPolicy, CircuitState, Error, FailureKind, Limit, Quota,
    RateLimiter, RetryPolicy,
};

use super::{
    programs::tonic::{Greeter, client, greet, outcome},
    rig::{ms, within},
};

async fn greeter() -> (Greeter, tonic::transport::Channel) {
    let greeter = Greeter::default();
    let url = greeter.clone().start().await.unwrap();
    (greeter, Endpoint::new(url).unwrap().connect_lazy())
}

fn retry() -> RetryPolicy {
    RetryPolicy::llm().max_attempts(3).backoff(ms(1), ms(1))
}

#[tokio::test]
async fn a_call_that_is_refused_by_its_status_is_tried_again() {
    let (greeter, channel) = greeter().await;
    greeter.script([Status::unavailable("busy"), Status::internal("broken")]);
    let (breaker, limiter) = (CircuitBreaker::default(), RateLimiter::default());
    let mut client = client(channel, retry(), breaker, limiter).unwrap();
    let greeting = within(greet(&mut client, "Anna")).await.unwrap();
    assert_eq!((&*greeting, greeter.calls()), ("Good day, Anna.", 3));
}

#[tokio::test]
async fn a_call_that_nobody_can_answer_is_not_tried_again() {
    let (greeter, channel) = greeter().await;
    greeter.script([Status::invalid_argument("no such name")]);
    let (breaker, limiter) = (CircuitBreaker::default(), RateLimiter::default());
    let mut client = client(channel, retry(), breaker, limiter).unwrap();
    let status = within(greet(&mut client, "")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "no such name")
    );
    assert_eq!(greeter.calls(), 1);
}

#[tokio::test]
async fn calls_that_fail_open_the_circuit_and_its_refusal_is_found_in_the_status() {
    let (greeter, channel) = greeter().await;
    greeter.script((0..3).map(|_| Status::unavailable("busy")));
    let policy = CircuitBreakerPolicy::never().consecutive_failures(3);
    let breaker = CircuitBreaker::new(policy).unwrap();
    let limiter = RateLimiter::default();
    let mut client = client(channel, retry(), breaker.clone(), limiter).unwrap();
    let status = within(greet(&mut client, "Anna")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "the last answer");
    let key = breaker.keys().into_iter().next().unwrap_or_default();
    assert_eq!(breaker.state(&key), CircuitState::Open);
    let status = within(greet(&mut client, "Anna")).await.unwrap_err();
    let refusal: &Error = status
        .source()
        .unwrap()
        .downcast_ref()
        .expect("one of ours");
    assert!(matches!(refusal, Error::CircuitOpen(_)), "{refusal:?}");
    assert_eq!(greeter.calls(), 3);
}

#[tokio::test]
async fn a_limit_refuses_before_anything_is_sent() {
    let (greeter, channel) = greeter().await;
    let quota = Quota::new()
        .limit(Limit::requests(1).per_hour())
        .max_concurrent(1);
    let limiter = RateLimiter::new(quota).unwrap().max_wait(Duration::ZERO);
    let mut client = client(channel, retry(), CircuitBreaker::default(), limiter.clone()).unwrap();
    within(greet(&mut client, "Anna")).await.unwrap();
    assert_eq!(
        limiter.status("").in_flight,
        0,
        "the body with its trailers has ended"
    );
    let status = within(greet(&mut client, "Ben")).await.unwrap_err();
    let refusal: &Error = status
        .source()
        .unwrap()
        .downcast_ref()
        .expect("one of ours");
    assert!(refusal.retry_after().is_some());
    assert_eq!(greeter.calls(), 1);
}

#[test]
fn the_status_and_the_pushback_are_read_from_the_head() {
    let head = |fields: &[(&'static str, &'static str)]| {
        let field = |(name, value): &(&'static str, &'static str)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        };
        outcome(&fields.iter().map(field).collect::<HeaderMap>())
    };
    assert_eq!(head(&[]), None, "its status is behind its body");
    assert!(head(&[("grpc-status", "0")]).unwrap().is_success());
    let slowly = head(&[("grpc-status", "8"), ("grpc-retry-pushback-ms", "250")]);
    let slowly = slowly.unwrap().failure().cloned().unwrap();
    assert_eq!(
        (slowly.kind, slowly.hint()),
        (FailureKind::RateLimited, Some(ms(250)))
    );
}
