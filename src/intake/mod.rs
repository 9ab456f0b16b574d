//! Takes the body of a request into memory, so that it can be sent again, and estimates what it costs.
//!
//! 1. Any body goes in; [`Full<Bytes>`](http_body_util::Full) comes out, which the retry and fallback layers can send
//!    again without copying it, and the provider layer can put another model into.
//! 2. The estimate is put into the request's extensions as a [`Cost`](crate::Cost), for the rate limit layer. A cost that
//!    the caller has set stays.
//! 3. A body that is no JSON object passes on as it is, without a cost.
//! 4. A request that only counts tokens, such as `/messages/count_tokens`, costs a request and no tokens.
//! 5. No readiness of the inner service is held while a body arrives.
//!
//! A caller whose body breaks, or is larger than [`max_body`](IntakeLayer::max_body), sees
//! [`Error::Body`](crate::Error::Body); nothing was sent. The estimate is a rule of thumb: the limiter settles the real
//! usage when the answer tells it; one of your own, by a tokenizer, is [`estimate`](IntakeLayer::estimate). Four characters of all strings, and of the names in a tool's parameters, make a token, fewer in
//! other scripts; a number in a list is one, as embeddings take them; an image or another file in base 64 is 1,000.
//!
//! # Examples
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::IntakeLayer;
//!
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let service = ServiceBuilder::new().layer(IntakeLayer::new()).service(client);
//! # let _ = service;
//! ```
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::IntakeLayer;
//!
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let intake = IntakeLayer::new().max_body(4 << 20).output_tokens(2_000);
//! let service = ServiceBuilder::new().layer(intake).service(client);
//! # let _ = service;
//! ```

mod collect;
mod future;
mod layer;
mod service;
mod settings;

#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::IntakeLayer;
pub use service::Intake;
