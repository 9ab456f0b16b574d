//! Tower middleware that keeps calls to rate-limited HTTP APIs going.
//!
//! Four layers stack around any [`tower::Service`] over [`http::Request`]s, each useful alone:
//!
//! - [`FallbackLayer`]: the next model or provider when one fails; who asked to be left alone is left alone.
//! - [`RetryLayer`]: the same upstream again, when waiting helps and the wait is worth it.
//! - [`CircuitBreakerLayer`]: fails at once while an upstream is down.
//! - [`RateLimitLayer`]: admits, queues or refuses by every limit at once, so that the upstream need not.
//!
//! Two more know how providers of language models speak: [`IntakeLayer`] takes the request's body in and estimates what it
//! costs, [`ProviderLayer`] writes URL, key and model, and reads what the answer means and used.
//!
//! [`Stack`] puts all six together, from a builder, a file or the environment.
//!
//! # Order
//!
//! Outermost first: intake, fallback, retry, circuit breaker, rate limit, provider, client. Each attempt of the retry
//! layer then passes breaker and limiter anew, a call that the breaker refuses costs no quota, and what the limiter counts
//! is what is sent. Other orders and any subset work as well: layers know one another only by what travels in the
//! extensions of requests ([`Upstream`], [`Cost`], [`Priority`], [`Deadline`], [`Attempts`]) and responses ([`Outcome`],
//! [`UsageCell`](outcome::UsageCell), [`ServedBy`]).
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::{CircuitBreakerLayer, Limit, Quota, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let limiter = RateLimiter::new(Quota::new().limit(Limit::requests(60).per_minute()))?;
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default())?)
//!     .layer(CircuitBreakerLayer::default())
//!     .layer(RateLimitLayer::new(limiter.clone()))
//!     .service(client);
//! # let _ = client;
//! # Ok(()) }
//! ```
//!
//! # State
//!
//! [`RateLimiter`], [`CircuitBreaker`], [`Cooldowns`] and [`RetryBudget`] are handles that the caller makes and keeps. They
//! are cheap to clone, clones share their state, and a layer holds one: services made by the same layer, or by another over
//! a clone of the handle, share it too.
//!
//! # Errors
//!
//! Every layer fails with [`Error`]. Errors never nest: an inner layer's passes through the outer ones as it is, and the
//! client's own is in [`Error::Service`], with the upstream that a fallback layer chose. A response that the upstream gave is never
//! turned into an error, except by the fallback layer when no upstream is left. What a caller sees is how the last attempt ended:
//! where a breaker or limiter refuses to try again, that is its refusal.
//!
//! Where rustc says `implementation of From is not general enough` about a spawned call, it has lost track of a lifetime in an
//! inner service whose error is a `BoxError` (it does so over tower's own layers as well). Box the finished stack,
//! `let client = client.boxed_clone();`, or spawn `client.oneshot(request)` itself. Where the client's *body* fails with a
//! `BoxError` and the spawned task reads it, that is not enough: box the body first.
//!
//! ```
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
//! use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
//! use tower_upstream::{Error, Provider, Stack, error::BoxError};
//!
//! type Client = BoxCloneSyncService<Request<String>, Response<UnsyncBoxBody<Bytes, BoxError>>, Error>;
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     Ok::<_, BoxError>(Response::new(Full::<Bytes>::default().map_err(BoxError::from).boxed()))
//! # });
//! let stack = Stack::builder().upstream(Provider::ollama().model("llama3.2")).build()?;
//! let client = ServiceBuilder::new()
//!     .map_response(|response: Response<_>| response.map(UnsyncBoxBody::new))
//!     .layer(stack.layer())
//!     .service(client);
//! let client: Client = BoxCloneSyncService::new(client);
//! let read = async move {
//!     let response = client.oneshot(Request::post("/v1/chat/completions").body("{}".into())?).await?;
//!     Ok::<_, BoxError>(response.into_body().collect().await?.to_bytes())
//! };
//! # fn spawn(_: impl Future<Output = Result<Bytes, BoxError>> + Send + 'static) {}
//! spawn(read); // of tokio
//! # Ok(()) }
//! ```
//!
//! # Time
//!
//! All waits and windows go by a [`Clock`](clock::Clock). The default follows tokio's paused time, so that
//! `#[tokio::test(start_paused = true)]` runs through hours in milliseconds; with [`ManualClock`](clock::ManualClock)
//! nothing happens until you say so.
//!
//! ```
//! use std::{sync::{Arc, atomic::{AtomicU32, Ordering}}, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_upstream::{RetryLayer, RetryPolicy, error::BoxError};
//!
//! // In your tests: #[tokio::test(start_paused = true)], with tokio's feature `test-util`.
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn an_overload_is_waited_out() -> Result<(), BoxError> {
//!     let calls = Arc::new(AtomicU32::new(0));
//!     let server = service_fn(move |_: http::Request<()>| {
//!         let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
//!         async move { Ok::<_, BoxError>(http::Response::builder().status(status).body(String::new())?) }
//!     });
//!     let retry = RetryLayer::new(RetryPolicy::default().backoff(Duration::from_secs(20), Duration::from_secs(30)))?;
//!     let client = ServiceBuilder::new().layer(retry).service(server);
//!     assert_eq!(client.oneshot(http::Request::new(())).await?.status(), 200);
//!     Ok(())
//! }
//! # an_overload_is_waited_out().unwrap();
//! ```

// Tells on docs.rs which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapt;
pub mod body;
pub mod circuit_breaker;
pub mod clock;
pub mod error;
pub mod fallback;
pub mod forecast;
pub mod guide;
pub mod intake;
pub mod observe;
pub mod outcome;
pub mod provider;
pub mod rate_limit;
pub mod request;
pub mod retry;
pub mod signal;
pub mod stack;
pub mod upstream;

mod binding;
mod classify;
mod client_error;
mod config_error;
mod cost;
mod current;
mod exhausted;
mod instant;
mod keys;
mod money;
mod outline;
mod period;
mod plain_words;
mod share;
mod sync;

#[cfg(test)]
mod testing;

pub use adapt::{FrontLayer, RejectionLayer};
pub use circuit_breaker::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, CircuitState,
};
pub use error::{ConfigError, Error};
pub use fallback::{
    Chain, Cooldowns, FallbackLayer, LastResortLayer, Order, Preferences, WhenExhausted,
};
pub use intake::IntakeLayer;
pub use money::Money;
pub use outcome::{Failure, FailureKind, Outcome};
pub use provider::ProviderLayer;
pub use rate_limit::{Limit, Quota, RateLimitLayer, RateLimiter};
pub use request::{Attempts, Cost, Deadline, Price, Priority, RequestHead, Scope};
pub use retry::{Jitter, RetryBudget, RetryLayer, RetryPolicy, Schedule};
pub use stack::Stack;
pub use upstream::{Provider, ServedBy, Upstream};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
