//! The layer.

use tower_layer::Layer;

use super::{handle::CircuitBreaker, service::CircuitBreak};

/// Fails at once while an upstream is down. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct CircuitBreakerLayer {
    breaker: CircuitBreaker,
}

impl CircuitBreakerLayer {
    /// A layer over this breaker. Every service that it makes shares the breaker's circuits.
    pub fn new(breaker: CircuitBreaker) -> Self {
        Self { breaker }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreak<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreak::new(inner, self.breaker.clone())
    }
}
