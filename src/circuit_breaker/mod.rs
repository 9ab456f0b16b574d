//! Fails at once while an upstream is down, and lets few probes through to see whether it is back.
//!
//! ```text
//!            failures in a row, or failure rate
//!  ┌────────┐ ───────────────────────────────────▶ ┌──────┐
//!  │ closed │                                      │ open │ ◀─┐
//!  └────────┘ ◀──┐                                 └──────┘   │
//!                │ `successes` probes      open time │        │ one probe
//!                │  succeeded                is over ▼        │ failed
//!                │                           ┌───────────┐    │
//!                └────────────────────────── │ half-open │ ───┘
//!                                            └───────────┘
//! ```
//!
//! 1. Each key has a circuit of its own: each [`Upstream`](crate::Upstream), or each host where a request names no
//!    upstream, or what [`CircuitBreaker::scope`] says.
//! 2. What counts: transport errors, timeouts (408 is one), 5xx and 529, and 424 and 498, by which some say the same. A
//!    429 is the limiter's business and is ignored; an error about the request (400, 401, 404, 409, 422) and refusals of
//!    this crate's own layers say nothing of its health. An attempt that
//!    [`RetryPolicy::attempt_timeout`](crate::RetryPolicy::attempt_timeout) cuts off is a timeout, although the retry layer
//!    stands outside, and a panic in the service inside is a failure. A call that its caller drops, or that goes down with
//!    its caller's own panic, says nothing.
//! 3. The verdict on a streamed answer falls at the end of its body: a stream that breaks is a failure.
//! 4. A result counts only in the state that admitted the call. Late results change nothing.
//! 5. A half-open circuit admits at most `probes` calls at a time; one failure opens it again, for longer. A probe that
//!    is dropped gives its place back. When probes have held every place for `probe_timeout`, others may pass beside them,
//!    and the results of all count: answers that take longer than that still close the circuit.
//! 6. An open circuit stays open at least as long as the upstream asked.
//! 7. A circuit that has nothing to remember, or that nobody asks any more, is forgotten: not before its window and the
//!    longest open time have passed since its last call, nor while it is open or forced. It goes when new keys come; there
//!    is no background task.
//!
//! A refused caller sees [`Error::CircuitOpen`](crate::Error::CircuitOpen), with the key, the reason and
//! [`retry_after`](crate::Error::retry_after); nothing was sent. While probes are under way that is the time until others may
//! pass for certain, up to `probe_timeout`; a probe that ends sooner makes way at once. The breaker does not protect against slow answers that
//! succeed, nor against a caller who retries refusals in a hot loop.
//!
//! # Examples
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::CircuitBreakerLayer;
//!
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let service = ServiceBuilder::new().layer(CircuitBreakerLayer::default()).service(client);
//! # let _ = service;
//! ```
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_upstream::{CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, circuit_breaker::Over};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let policy = CircuitBreakerPolicy::never()
//!     .failure_rate(0.25, Over::Calls(100))
//!     .minimum_calls(20)
//!     .open_for(Duration::from_secs(10));
//! let breaker = CircuitBreaker::new(policy)?;
//! let service = ServiceBuilder::new().layer(CircuitBreakerLayer::new(breaker.clone())).service(client);
//! println!("{:?}", breaker.state("api.example.com"));
//! # let _ = service;
//! # Ok(()) }
//! ```
//!
//! # Sources
//!
//! States and words as in Michael Nygard, *Release It!*, and
//! [resilience4j](https://resilience4j.readme.io/docs/circuitbreaker); rate compared with `>=` as there and in Polly;
//! growth of the open time that ends with recovery as in
//! [Linkerd](https://linkerd.io/2-edge/reference/circuit-breaking/); epochs as in sony/gobreaker.

mod admission;
mod config;
mod decision;
mod future;
mod handle;
mod layer;
mod service;
mod state;
mod window;
mod words;

#[cfg(test)]
mod tests;

pub use admission::{Admission, GoodHead};
pub use config::{CircuitBreakerPolicy, MAX_CALLS, Over};
pub use decision::CircuitState;
pub use future::ResponseFuture;
pub use handle::{CircuitBreaker, CircuitMetrics};
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreak;
