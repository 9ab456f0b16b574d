//! The crate's layers, ready to be compared.

use tower_upstream::{
    Chain, CircuitBreakerLayer, FallbackLayer, Limit, Provider, Quota, RateLimitLayer, RateLimiter,
    RetryLayer, Stack, Upstream,
    stack::{StackBuilder, StackLayer},
};

/// More than any of these benches sends.
pub const PLENTY: u64 = 1_000_000_000_000;

pub fn limit() -> RateLimitLayer {
    RateLimitLayer::new(limiter())
}

fn limiter() -> RateLimiter {
    let quota = Quota::new().limit(Limit::requests(PLENTY).per_minute());
    RateLimiter::new(quota).expect("the quota is valid")
}

pub fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::default()
}

pub fn retry() -> RetryLayer {
    RetryLayer::default()
}

pub fn fallback() -> FallbackLayer {
    chain(upstreams())
}

/// Over a chain of one.
pub fn lone() -> FallbackLayer {
    let [first, _] = upstreams();
    chain([first])
}

fn chain(upstreams: impl IntoIterator<Item = Upstream>) -> FallbackLayer {
    FallbackLayer::new(Chain::new(upstreams)).expect("the chain is valid")
}

/// All six layers.
pub fn stack(change: impl FnOnce(StackBuilder) -> StackBuilder) -> StackLayer {
    let [first, second] = upstreams();
    let builder = Stack::builder()
        .limiter(limiter())
        .upstream(first)
        .upstream(second);
    change(builder).build().expect("the stack is valid").layer()
}

fn upstreams() -> [Upstream; 2] {
    [
        Provider::groq().model("llama-3.3-70b-versatile"),
        Provider::openai().model("gpt-4o-mini"),
    ]
}
