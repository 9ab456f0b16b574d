//! The layer.

use tower::util::Either;
use tower_layer::Layer;

use crate::{
    circuit_breaker::{CircuitBreak, CircuitBreakerLayer},
    fallback::{Fallback, FallbackLayer},
    intake::{Intake, IntakeLayer},
    observe::{SpanLayer, Spanned},
    provider::{Provide, ProviderLayer},
    rate_limit::{RateLimit, RateLimitLayer},
    retry::{Retry, RetryLayer},
};

/// All six layers in their order. See the [module docs](super).
///
/// Every service that it makes shares the state of its [`Stack`](super::Stack).
#[derive(Clone, Debug)]
pub struct StackLayer {
    pub(super) intake: IntakeLayer,
    /// None where there are no upstreams to choose from.
    pub(super) fallback: Option<FallbackLayer>,
    pub(super) retry: RetryLayer,
    pub(super) circuit_breaker: CircuitBreakerLayer,
    pub(super) rate_limit: RateLimitLayer,
    pub(super) provider: ProviderLayer,
}

/// All six layers around a client, within a span for each request. Without upstreams to choose from, there is no fallback among them.
pub type StackService<S> = Spanned<Intake<Either<Fallback<Attempted<S>>, Attempted<S>>>>;

/// What makes the attempts at one upstream.
type Attempted<S> = Retry<CircuitBreak<RateLimit<Provide<S>>>>;

impl<S: Clone> Layer<S> for StackLayer {
    type Service = StackService<S>;

    fn layer(&self, client: S) -> Self::Service {
        let limited = self.rate_limit.layer(self.provider.layer(client));
        let attempted = self.retry.layer(self.circuit_breaker.layer(limited));
        let chosen = match &self.fallback {
            Some(fallback) => Either::Left(fallback.layer(attempted)),
            None => Either::Right(attempted),
        };
        SpanLayer::new().layer(self.intake.layer(chosen))
    }
}
