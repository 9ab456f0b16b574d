//! tower-resilience's layers, ready to be compared.

use std::time::Duration;

use tower_resilience_circuitbreaker::{CircuitBreakerLayer, DefaultClassifier};
use tower_resilience_fallback::FallbackLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::RetryLayer;

use super::ours::PLENTY;
use crate::exchange::Answer;

pub fn limit() -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(PLENTY as usize)
        .refresh_period(Duration::from_secs(60))
        .build()
        .expect("the settings are valid")
}

pub fn breaker() -> CircuitBreakerLayer<DefaultClassifier> {
    CircuitBreakerLayer::builder()
        .build()
        .expect("the settings are valid")
}

pub fn retry<R, E>() -> RetryLayer<R, Answer, E> {
    RetryLayer::builder().max_attempts(3).build()
}

pub fn fallback<R, E>() -> FallbackLayer<R, Answer, E> {
    FallbackLayer::value_fn(Answer::default)
}
