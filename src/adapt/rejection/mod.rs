//! For servers: what a layer refuses becomes an answer that the caller of the server understands.
//!
//! 1. Every [`Error`](crate::Error) becomes a response, so that nothing is left to fail: the service's error is
//!    [`Infallible`](std::convert::Infallible), as axum and hyper want it. What an inner service answers passes as it is, unless
//!    [failures are hidden](RejectionLayer::hide_failures).
//! 2. The status says whose turn it is to change something:
//!
//!    | error | status |
//!    |---|---|
//!    | refused by a limit | 429 |
//!    | larger than a limit ever allows, than all upstreams take, or than the body may be | 413 |
//!    | the circuit is open | 503 |
//!    | nobody left in the chain | 429 where limits alone are the reason, ours or theirs; else 503 |
//!    | the request's body could not be read | 400 |
//!    | no answer in time | 504 |
//!    | the client inside failed | 502 |
//!
//! 3. `Retry-After` is the wait in whole seconds, rounded up: who comes back then is not early.
//! 4. The body is a problem of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), `application/problem+json`, whose detail
//!    is the error's [`user_message`](crate::Error::user_message): no keys, no upstreams, no causes; a limit by
//!    [keys of your own](crate::Scope::by) is named: "The rate limit of 100 requests per minute is used up." Nobody may store it
//!    (`Cache-Control: no-store`). [`openai`](RejectionLayer::openai) gives it the form that OpenAI's clients read,
//!    [`rewrite`](RejectionLayer::rewrite) any other. Its extensions hold the
//!    [`Outcome`](crate::Outcome), so that layers outside, in the same process, know a refusal of ours from an upstream's.
//! 5. With [`advertise`](RejectionLayer::advertise), each response of the service tells how the limits of its caller stand, in
//!    the fields `RateLimit-Policy` and `RateLimit` of the
//!    [IETF's draft, version 11](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/). They say what is
//!    left after this request, and in how many seconds all is free again. Limits of money are not told.
//!
//! Put it right outside of the layers that refuse. Under axum, a limit's state is in the [`RateLimiter`](crate::RateLimiter)
//! that you keep: however many services axum makes of the layer, one for each route, they share it. For whom a limit counts,
//! and what of a request can be trusted for that, is in [`peer`](super::peer).
//!
//! Two settings of a limiter are for clients by default. A server keeps nobody waiting in line for 90 s: it wants a short
//! [`max_wait`](crate::RateLimiter::max_wait), or none. And what it answers is meant for its callers: with
//! [`heed_answers(false)`](crate::RateLimiter::heed_answers), a 429 for one tenant holds back nobody else, and what a provider
//! says of its quotas, in an answer that passes through, is not taken for the tenant's.
//!
//! It does not protect against floods: whoever is refused has already connected and sent his head.
//!
//! # Examples
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use axum::{Router, routing::get};
//! use tower::ServiceBuilder;
//! use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! let quota = Quota::new().limit(Limit::requests(100).per_minute());
//! let limiter = RateLimiter::new(quota)?.max_wait(Duration::ZERO).heed_answers(false);
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(ServiceBuilder::new().layer(RejectionLayer::new()).layer(RateLimitLayer::new(limiter)));
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! A limit for each tenant, told in each answer, and refusals in the form that OpenAI's clients read:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use axum::{Router, routing::post};
//! use tower::ServiceBuilder;
//! use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer, Scope};
//!
//! #[derive(Clone)]
//! struct Tenant(Arc<str>); // your authentication puts it into the extensions
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! let tenants = RateLimiter::new(Quota::new().limit(Limit::requests(100).per_minute()))?
//!     .scope(Scope::by(|head| head.extensions.get().map_or("".into(), |Tenant(name)| name.clone())))
//!     .max_wait(Duration::ZERO)
//!     .heed_answers(false);
//! let rejection = RejectionLayer::new().advertise("tenant", tenants.clone())?.openai();
//! let app: Router = Router::new()
//!     .route("/v1/chat/completions", post(async || "answer"))
//!     .layer(ServiceBuilder::new().layer(rejection).layer(RateLimitLayer::new(tenants)));
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! Around a client stack in a server that passes on what others ask, such as a gateway, `RejectionLayer::new().hide_failures()`
//! keeps in what upstreams say of your account. In a handler that calls a client stack itself, [`response`] makes the same of an error:
//! `client.oneshot(request).await.map_err(|error| rejection::response(&error))`.

mod body;
mod fields;
mod future;
mod layer;
mod openai;
mod problem;
mod refusal;
mod response;
mod service;
mod settings;

#[cfg(test)]
mod tests;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::RejectionLayer;
pub use openai::OpenAiError;
pub use response::response;
pub use service::Rejection;
