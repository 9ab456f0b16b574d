//! For gateways: one door in OpenAI's format before the upstreams of a stack, chosen by the model that each request names.
//!
//! 1. The body is taken into memory, if it is no larger and no slower than allowed. Of what is too large, the rest is read and
//!    thrown away while there is time: who sends all before he reads would else see a broken connection and no answer. Who asks
//!    before he sends (`Expect: 100-continue`) is told at once.
//! 2. `model` says who is asked: a model's name is that model at any provider, an upstream's id, such as `groq/llama`, that one
//!    upstream, and `auto` whoever can answer. They become the request's [`Preferences`](crate::fallback::Preferences). A model
//!    whose name has `embed` in it serves paths that end in `/embeddings`, and the others serve all other paths: no provider tells
//!    which of its models are for embeddings, but all of them are called so.
//! 3. The request goes on with its method, path and body. Of its header fields, only those that concern the upstream go along,
//!    such as `Content-Type` and `traceparent`: no credentials, cookies or addresses of callers. Of its extensions,
//!    [`Caller`](crate::stack::Caller), [`Priority`](crate::Priority) and [`Cost`](crate::Cost); it is given a
//!    [`Deadline`](crate::Deadline), or keeps an earlier one.
//! 4. The answer comes back with its status, body and content's header fields, and without what an upstream says of its owner's
//!    account: quotas, organisation, cookies. `X-Served-By` is the id of who answered. An answer that does not begin in time is a
//!    504; a stream may take as long as it takes, once it has begun.
//! 5. Every error has the form that OpenAI's clients read, and upstreams' words about the account stay inside, as
//!    [`RejectionLayer`](super::RejectionLayer) has it with `openai` and `hide_failures`.
//! 6. `GET` of a path that ends in `/models` is answered with the list of these names, and asked of nobody.
//!
//! | what is wrong with a request | status | code |
//! |---|---|---|
//! | it is no JSON object, or has no `model` that is a string, or broke off | 400 | `invalid_request` |
//! | nobody has that model | 404 | `model_not_found` |
//! | the body did not arrive in time | 408 | `timeout` |
//! | the body is too large | 413 | `request_too_large` |
//!
//! Beyond its model a request is not looked at: what else is wrong with it, the upstream says.
//!
//! It does not know who may ask: that is for a layer outside. Upstreams that a [`Router`](crate::fallback::Router) is given later
//! are not asked by their names.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, routing::{get_service, post_service}};
//! use tower::ServiceBuilder;
//! use tower_upstream::{FrontLayer, Provider, Stack};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let stack = Stack::builder().upstream(Provider::ollama().model("llama3.2")).build()?;
//! let front = FrontLayer::new(stack.upstreams());
//! let front = ServiceBuilder::new().layer(front).layer(stack.layer()).service(client);
//! let app: Router = Router::new()
//!     .route("/v1/chat/completions", post_service(front.clone()))
//!     .route("/v1/embeddings", post_service(front.clone()))
//!     .route("/v1/models", get_service(front));
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! Smaller bodies, shorter times:
//!
//! ```
//! use std::time::Duration;
//! use tower_upstream::{FrontLayer, Stack};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! let stack = Stack::builder().build()?;
//! let front = FrontLayer::new(stack.upstreams())
//!     .max_body(1 << 20)
//!     .body_time(Duration::from_secs(5))
//!     .answer_time(Duration::from_secs(60));
//! # let _ = front;
//! # Ok(()) }
//! ```

mod arrival;
mod layer;
mod service;
mod settings;

#[cfg(test)]
mod tests;

pub use layer::FrontLayer;
pub use service::{Front, ResponseFuture};
