//! The crate's layers, ready to be compared.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower_layer::Layer;
use tower_service::Service;
use tower_upstream::{
    Chain, CircuitBreaker, CircuitBreakerLayer, Cooldowns, Deadline, FallbackLayer, Limit,
    Provider, Quota, RateLimitLayer, RateLimiter, RetryLayer, Scope, Stack, Upstream,
    circuit_breaker::CircuitBreak,
    clock::TokioClock,
    fallback::{Fallback, Preferences},
    observe::Stats,
    rate_limit::RateLimit,
    retry::Retry,
    stack::{Caller, StackBuilder, StackLayer},
};

use crate::exchange::{Body, Inner};

/// More than any of these benches sends.
pub const PLENTY: u64 = 1_000_000_000_000;

/// All four layers, by default.
pub fn four<S: Clone>(inner: S) -> Four<S> {
    (fallback(), retry(), breaker(), limit()).layer(inner)
}

pub type Four<S> = Fallback<Retry<CircuitBreak<RateLimit<S>>>>;

/// All four layers, and everything that they do is told.
pub fn four_watched<S: Clone>(stats: Stats, inner: S) -> Four<S> {
    let cooldowns = Cooldowns::new().observe(stats.clone());
    let breaker = CircuitBreaker::default().observe(stats.clone());
    (
        fallback().cooldowns(cooldowns),
        retry().observe(stats.clone()),
        CircuitBreakerLayer::new(breaker),
        RateLimitLayer::new(limiter(PLENTY).observe(stats)),
    )
        .layer(inner)
}

pub fn limit() -> RateLimitLayer {
    RateLimitLayer::new(limiter(PLENTY))
}

/// Of one request, after which nobody waits.
pub fn used_up() -> RateLimitLayer {
    RateLimitLayer::new(limiter(1).max_wait(Duration::ZERO))
}

fn limiter(a_minute: u64) -> RateLimiter {
    let quota = Quota::new().limit(Limit::requests(a_minute).per_minute());
    RateLimiter::new(quota).expect("the quota is valid")
}

pub fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::default()
}

/// For all of them.
pub fn open_breaker() -> CircuitBreakerLayer {
    let breaker = CircuitBreaker::default().scope(Scope::All);
    breaker.force_open("");
    CircuitBreakerLayer::new(breaker)
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

/// Puts one value into the extensions of each request, and one into those of its answer.
pub fn marks<B, R>() -> impl Layer<Inner, Service: Service<Request<B>, Response = Response<R>>>
where
    Inner: Service<Request<B>, Response = Response<R>>,
{
    #[derive(Clone)]
    struct To(#[expect(dead_code, reason = "nobody reads it")] Arc<str>);
    #[derive(Clone)]
    struct By(#[expect(dead_code, reason = "nobody reads it")] Arc<str>);
    let to: Arc<str> = "groq/llama".into();
    let by = to.clone();
    (
        MapResponseLayer::new(move |mut response: Response<R>| {
            response.extensions_mut().insert(By(by.clone()));
            response
        }),
        MapRequestLayer::new(move |mut request: Request<B>| {
            request.extensions_mut().insert(To(to.clone()));
            request
        }),
    )
}

/// All six layers.
pub fn stack(change: impl FnOnce(StackBuilder) -> StackBuilder) -> StackLayer {
    let [first, second] = upstreams();
    let builder = Stack::builder()
        .limiter(limiter(PLENTY))
        .upstream(first)
        .upstream(second);
    change(builder).build().expect("the stack is valid").layer()
}

/// All six layers around one upstream, with the quota that it grants, as gateways have them.
pub fn granted() -> StackLayer {
    let [upstream, _] = upstreams();
    let quota = Quota::new()
        .limit(Limit::requests(PLENTY).per_minute())
        .limit(Limit::tokens(PLENTY).per_minute());
    let upstream = upstream.quota(quota).expect("the quota is valid");
    let stack = Stack::builder().upstream(upstream).build();
    stack.expect("the stack is valid").layer()
}

/// The request with what a gateway says of its caller.
pub fn asked(mut request: Request<Body>) -> Request<Body> {
    let extensions = request.extensions_mut();
    extensions.insert(Preferences::new().only(["groq"]));
    extensions.insert(Caller("a tenant".into()));
    extensions.insert(Deadline::after(Duration::from_secs(60), &TokioClock));
    request
}

fn upstreams() -> [Upstream; 2] {
    [
        Provider::groq().model("llama-3.3-70b-versatile"),
        Provider::openai().model("gpt-4o-mini"),
    ]
}
