//! The layer.

use tower_layer::Layer;

use super::{handle::RateLimiter, service::RateLimit};

/// Admits, queues or refuses requests by every limit at once. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct RateLimitLayer {
    limiter: RateLimiter,
}

impl RateLimitLayer {
    /// A layer over this limiter. Every service that it makes shares the limiter's windows and queues.
    pub fn new(limiter: RateLimiter) -> Self {
        Self { limiter }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.limiter.clone())
    }
}
