//! Tower middleware that keeps calls to rate-limited HTTP APIs going.

pub mod body;
pub mod circuit_breaker;
pub mod clock;
pub mod error;
pub mod fallback;
pub mod intake;
pub mod observe;
pub mod outcome;
pub mod provider;
pub mod rate_limit;
pub mod request;
pub mod retry;
pub mod signal;
pub mod upstream;

mod classify;
mod config_error;
mod instant;
mod keyed;

#[cfg(test)]
mod testing;

pub use circuit_breaker::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, CircuitState,
};
pub use error::{ConfigError, Error};
pub use fallback::{Chain, Cooldowns, FallbackLayer, Order, WhenExhausted};
pub use intake::IntakeLayer;
pub use outcome::{Failure, FailureKind, Outcome};
pub use provider::ProviderLayer;
pub use rate_limit::{Limit, Quota, RateLimitLayer, RateLimiter};
pub use request::{Attempts, Cost, Deadline, Priority, RequestHead, Scope};
pub use retry::{Jitter, RetryBudget, RetryLayer, RetryPolicy, Schedule};
pub use upstream::{Provider, ServedBy, Upstream};
