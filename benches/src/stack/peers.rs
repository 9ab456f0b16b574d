//! tower-resilience's layers, ready to be compared.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use http::Request;
use tower_layer::Layer;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, DefaultClassifier};
use tower_resilience_fallback::FallbackLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::RetryLayer;
use tower_service::Service;

use super::ours::PLENTY;
use crate::exchange::{Answer, Body};

/// All four layers.
pub fn four<S>(
    inner: S,
) -> impl Service<Request<Body>, Response = Answer, Error: Send, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
where
    S: Service<Request<Body>, Response = Answer, Error: Send + Sync, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    (fallback(), retry(), breaker(), limit()).layer(inner)
}

pub fn limit() -> RateLimiterLayer {
    limit_of(PLENTY as usize)
}

/// Of two requests, after which nobody waits.
pub fn used_up() -> RateLimiterLayer {
    limit_of(2)
}

fn limit_of(a_minute: usize) -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(a_minute)
        .timeout_duration(Duration::ZERO)
        .refresh_period(Duration::from_secs(60))
        .build()
        .expect("the settings are valid")
}

pub fn breaker() -> CircuitBreakerLayer<DefaultClassifier> {
    CircuitBreakerLayer::builder()
        .build()
        .expect("the settings are valid")
}

pub fn open_breaker() -> CircuitBreakerLayer<DefaultClassifier> {
    let (layer, handle) = CircuitBreakerLayer::builder()
        .wait_duration_in_open(Duration::from_secs(3_600))
        .build_with_handle()
        .expect("the settings are valid");
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(handle.force_open()).poll(&mut context).is_ready());
    layer
}

pub fn retry<R, A, E>() -> RetryLayer<R, A, E> {
    RetryLayer::builder().max_attempts(3).build()
}

/// That does not retry what the layers inside refuse.
pub fn retry_of_none<R, E>() -> RetryLayer<R, Answer, E> {
    RetryLayer::builder().retry_on(|_| false).build()
}

pub fn fallback<R, E>() -> FallbackLayer<R, Answer, E> {
    FallbackLayer::value_fn(Answer::default)
}
