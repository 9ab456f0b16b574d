//! The crate's limiter and its peers, ready to be compared.

use std::{
    convert::Infallible,
    future::{self, Future},
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota as Governed, clock::QuantaInstant,
    middleware::NoOpMiddleware,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, limit::RateLimit as TowerRateLimit, limit::rate::Rate};
use tower_governor::{
    GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor,
};
use tower_resilience_ratelimiter::{RateLimiter as Resilience, RateLimiterLayer, WindowType};
use tower_service::Service;
use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter, Scope, rate_limit::RateLimit};

use crate::requests::{Inner, Tenant};

/// More than any of these benches sends.
pub const PLENTY: u64 = 1_000_000_000_000;

pub fn ours(limiter: RateLimiter) -> RateLimit<Inner> {
    RateLimitLayer::new(limiter).layer(Inner)
}

pub fn limiter(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota).expect("the quota is valid")
}

/// A limiter of one limit.
pub fn limited(limit: Limit) -> RateLimiter {
    limiter(Quota::new().limit(limit))
}

pub fn by_tenant() -> Scope {
    Scope::by(|head| Tenant::of(head.extensions))
}

/// tower-resilience's limiter in one of its windows.
pub fn resilience(window: WindowType, limit: u64) -> Resilience<Inner> {
    resilience_layer(
        RateLimiterLayer::builder()
            .limit_for_period(limit as usize)
            .refresh_period(Duration::from_secs(60))
            .timeout_duration(Duration::ZERO)
            .window_type(window),
    )
}

/// tower-resilience's token bucket: one after the other, so many at once.
pub fn resilience_bucket(every: Duration, burst: u32) -> Resilience<Inner> {
    resilience_layer(
        RateLimiterLayer::builder()
            .limit_for_period(1)
            .refresh_period(every)
            .timeout_duration(Duration::from_secs(3_600))
            .burst_size(burst as usize - 1),
    )
}

fn resilience_layer(
    builder: tower_resilience_ratelimiter::RateLimiterConfigBuilder,
) -> Resilience<Inner> {
    let (layer, _) = builder.build_with_handle().expect("the settings are valid");
    layer.layer(Inner)
}

pub fn tower(limit: u64, per: Duration) -> TowerRateLimit<Inner> {
    TowerRateLimit::new(Inner, Rate::new(limit, per))
}

/// A governor quota of so many a minute, or as many as it can do.
pub fn governed(amount: u64) -> Governed {
    let most = NonZeroU32::new(1_000_000_000).expect("not zero");
    match u32::try_from(amount).ok().and_then(NonZeroU32::new) {
        Some(amount) if amount < most => Governed::per_minute(amount),
        _ => Governed::per_second(most),
    }
}

/// Asks governor, for plenty.
pub fn governor<S>(inner: S) -> Governor<S> {
    governor_of(governed(PLENTY), inner)
}

pub fn governor_of<S>(quota: Governed, inner: S) -> Governor<S> {
    Governor {
        limiter: Arc::new(DefaultDirectRateLimiter::direct(quota)),
        inner,
    }
}

/// The shortest service that asks governor.
#[derive(Clone)]
pub struct Governor<S> {
    limiter: Arc<DefaultDirectRateLimiter>,
    inner: S,
}

impl<S> Service<Request<()>> for Governor<S>
where
    S: Service<Request<()>, Response = Answer, Future: Unpin>,
{
    type Response = Answer;
    type Error = S::Error;
    type Future = Answered<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        match self.limiter.check() {
            Ok(()) => Answered::Call(self.inner.call(request)),
            Err(_) => Answered::Refused,
        }
    }
}

/// The shortest service that asks governor by key.
#[derive(Clone)]
pub struct KeyedGovernor {
    limiter: Arc<DefaultKeyedRateLimiter<Arc<str>>>,
    inner: Inner,
}

impl KeyedGovernor {
    pub fn new(quota: Governed) -> Self {
        Self {
            limiter: Arc::new(DefaultKeyedRateLimiter::keyed(quota)),
            inner: Inner,
        }
    }
}

impl Service<Request<()>> for KeyedGovernor {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answered<future::Ready<Result<Answer, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        match self.limiter.check_key(&Tenant::of(request.extensions())) {
            Ok(()) => Answered::Call(self.inner.call(request)),
            Err(_) => Answered::Refused,
        }
    }
}

/// tower_governor's layer, by key, over a service whose body it can answer with.
pub fn tower_governor() -> TowerGovernor {
    let mut config = GovernorConfigBuilder::default().key_extractor(ByTenant);
    let config = config.per_nanosecond(1).burst_size(1_000_000_000).finish();
    GovernorLayer::new(config.expect("the settings are valid")).layer(InAxum(Inner))
}

pub type TowerGovernor = tower_governor::governor::Governor<
    ByTenant,
    NoOpMiddleware<QuantaInstant>,
    InAxum,
    axum_core::body::Body,
>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ByTenant;

impl KeyExtractor for ByTenant {
    type Key = Arc<str>;

    fn extract<T>(&self, request: &Request<T>) -> Result<Arc<str>, GovernorError> {
        Ok(Tenant::of(request.extensions()))
    }
}

/// The service inside, with an empty body of axum's.
#[derive(Clone)]
pub struct InAxum(Inner);

impl Service<Request<()>> for InAxum {
    type Response = Response<axum_core::body::Body>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(self.0.call(request));
        future::ready(Ok(Response::default()))
    }
}

/// The shortest service that waits for governor.
#[derive(Clone)]
pub struct WaitingGovernor(Governor<Inner>);

impl WaitingGovernor {
    pub fn new(quota: Governed) -> Self {
        Self(governor_of(quota, Inner))
    }
}

impl Service<Request<()>> for WaitingGovernor {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let Governor { limiter, mut inner } = self.0.clone();
        Box::pin(async move {
            limiter.until_ready().await;
            inner.call(request).await
        })
    }
}

type Answer = Response<Full<Bytes>>;

/// The answer of the service inside, or one that says no.
pub enum Answered<F> {
    Call(F),
    Refused,
}

impl<F, E> Future for Answered<F>
where
    F: Future<Output = Result<Answer, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Call(call) => Pin::new(call).poll(context),
            Self::Refused => {
                let mut answer = Answer::default();
                *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                Poll::Ready(Ok(answer))
            }
        }
    }
}
