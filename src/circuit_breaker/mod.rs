//! Fails at once while an upstream is down, and lets few probes through to see whether it is back.
//!
//! ```text
//!          failures in a row, failure rate, slow calls
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
//! 2. Any rule of the [policy](CircuitBreakerPolicy) opens it, looked at after each call: failures in a row; the share of
//!    failures, or of slow calls, in a window of the last calls or of the last while. A share counts when it is reached, once
//!    the window holds the minimum of calls.
//! 3. What counts: transport errors, timeouts (408 is one), 5xx and 529, and 424 and 498, by which some say the same. A
//!    429 is the limiter's business and is ignored, unless the policy [says](CircuitBreakerPolicy::rate_limited) otherwise; an
//!    error about the request (400, 401, 404, 409, 422) and refusals of this crate's own layers say nothing of its health.
//!    [`CircuitBreaker::judge`] may know better. An attempt that
//!    [`RetryPolicy::attempt_timeout`](crate::RetryPolicy::attempt_timeout) cuts off is a timeout, although the retry layer
//!    stands outside, and a panic in the service inside is a failure. A call that its caller drops, or that goes down with
//!    its caller's own panic, says nothing, unless it had been under way for as long as the policy
//!    [allows](CircuitBreakerPolicy::dropped_after).
//! 4. The verdict on a streamed answer falls at the end of its body: a stream that breaks is a failure. A probe whose stream
//!    still flows after [`probe_flow`](CircuitBreakerPolicy::probe_flow) is a success by then, unless it breaks before the
//!    circuit has closed.
//! 5. A result counts only in the state that admitted the call. Late results change nothing.
//! 6. A half-open circuit admits at most `probes` calls at a time; one failure opens it again, for longer. A probe that
//!    is dropped gives its place back. When probes have held every place for `probe_timeout`, others may pass beside them,
//!    and the results of all count: answers that take longer than that still close the circuit.
//! 7. An open circuit stays open at least as long as the upstream asked. Its time grows with each episode of failed probes,
//!    is drawn with jitter, and is the first again once the circuit has closed. A [ramp](CircuitBreakerPolicy::ramp) lets
//!    traffic back gradually.
//! 8. What a person does by the handle ([`force_open`](CircuitBreaker::force_open), `force_closed`, `force_half_open`,
//!    `disable`, `reset`) takes effect at once and is told as an [`Event`](crate::observe::Event), as is every change of state.
//! 9. A circuit that has nothing to remember, or that nobody asks any more, is forgotten: not before its window and the
//!    longest open time have passed since its last call, nor while a call is under way, it is open or forced. It goes when new
//!    keys come; there is no background task. Some thousand keys, and those that a thread has asked for often, or a service
//!    last, stay anyway.
//!
//! A refused caller sees [`Error::CircuitOpen`](crate::Error::CircuitOpen), with the key, the reason and
//! [`retry_after`](crate::Error::retry_after); nothing was sent. While probes are under way that is the time until others may
//! pass for certain, up to `probe_timeout`; a probe that ends sooner makes way at once. While a circuit is forced open it is the
//! open time of the policy, for nobody knows how long that lasts. The breaker does not protect against a caller who retries
//! refusals in a hot loop, nor an upstream of which every request has a key of its own.
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
//!     .failure_rate(0.25)
//!     .slow_call_rate(0.5, Duration::from_secs(20))
//!     .window(Over::Calls(100))
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
//! [Linkerd](https://linkerd.io/2-edge/reference/circuit-breaking/); epochs as in
//! [gobreaker](https://github.com/sony/gobreaker); the ramp as in
//! [Envoy](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start).

mod admission;
mod circuit;
mod circuits;
mod config;
mod decision;
mod forecast;
mod future;
mod handle;
mod judge;
mod lane;
mod layer;
mod passes;
mod place;
mod ramp;
mod service;
mod settings;
mod state;
mod tally;
mod window;
mod words;

#[cfg(test)]
mod tests;

pub use admission::{Admission, GoodHead};
pub use config::{CircuitBreakerPolicy, MAX_CALLS, Over};
pub use decision::{CircuitState, Verdict};
pub use future::ResponseFuture;
pub use handle::{CircuitBreaker, CircuitMetrics};
pub use judge::Answer;
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreak;
