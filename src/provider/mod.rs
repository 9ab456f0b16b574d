//! Speaks to the [`Upstream`](crate::Upstream) that a request is for: out, its URL, credentials and model; back, what the
//! answer means and what it used.
//!
//! For every provider that serves the OpenAI format: OpenAI, Azure OpenAI, Groq, Ollama and vLLM, Anthropic and Gemini
//! through their compatible endpoints; and Anthropic's own API, for requests to `/v1/messages`. It takes `Request<Full<Bytes>>`, which the [`IntakeLayer`](crate::IntakeLayer) makes of any request.
//!
//! 1. The path of the request is put below the provider's base URL; a leading `/v1` is dropped. Azure's deployment is in the path
//!    of what is asked of one, and of nothing else.
//! 2. The header fields and query parameters in which providers and gateways take credentials are removed, as is every
//!    header that is marked sensitive, and the provider's own are put in: one provider's key never reaches another. Fields that
//!    are for the next hop alone (`connection`, what it names, `te`, `upgrade` and their kin) go no further either.
//! 3. The value of `model` in the JSON body is replaced, or of the field `model` in a form (`multipart/form-data`, as of
//!    transcriptions), and not a byte else. JSON without one gets it; a form without one is left alone.
//! 4. The body of an error is read ahead, up to 64 KiB and 10 s, and given back whole. What it means is put into the
//!    response's extensions as an [`Outcome`](crate::Outcome), which the layers outside believe.
//! 5. An event stream is held back until its first content, within the same bounds, so that an error that comes before it
//!    is a failure that can be retried or served elsewhere. After that, an error event, whether content has come by then or not, or
//!    an end without the provider's terminator, ends the body with a [`StreamError`].
//!    JSON with which an upstream answers a POST is held back until its first bytes: an error in them is a failure as well, for
//!    some providers, such as [OpenRouter](https://openrouter.ai/docs/api-reference/errors), put one into a 200.
//!    Nothing is held back for longer than the attempt has that a layer outside would cut off.
//! 6. The tokens used are read as the body passes, and stand in the [`UsageCell`](crate::outcome::UsageCell) of the
//!    response's extensions when it has ended. A stream that breaks off tells none: what was reckoned stands. Compressed bodies are
//!    passed on unread, so `accept-encoding` is not passed on to a provider. Only what a POST is answered with is read: what is
//!    fetched, or comes of a POST that cancels or only counts tokens, passes as it is, and uses none. Text is judged as a stream
//!    of events where its `content-type` says that it is one, or where one was asked for and it begins like one.
//! 7. A success that is a page of HTML is no answer of a provider, but a proxy's or a login page, and so is a redirect of a POST:
//!    a server error that is not tried again there, and may be served elsewhere.
//! 8. A request without an upstream goes out as it came; its answer is read by what it looks like.
//!
//! # Examples
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::ProviderLayer;
//!
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let service = ServiceBuilder::new().layer(ProviderLayer::new()).service(client);
//! # let _ = service;
//! ```
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_upstream::{Chain, FallbackLayer, IntakeLayer, Provider, ProviderLayer};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let chain = Chain::new([Provider::groq().key("gsk_example")?.model("openai/gpt-oss-20b")]);
//! let service = ServiceBuilder::new()
//!     .layer(IntakeLayer::new())
//!     .layer(FallbackLayer::new(chain)?)
//!     .layer(ProviderLayer::new().peek_time(Duration::from_secs(2)))
//!     .service(client);
//! # let _ = service;
//! # Ok(()) }
//! ```

mod asked;
mod body;
mod edit;
mod form;
mod future;
mod layer;
mod meter;
mod peek;
mod rewrite;
mod service;
mod settings;
mod witness;

#[cfg(test)]
mod tests;

pub use body::{ProviderBody, StreamError};
pub use future::ResponseFuture;
pub use layer::ProviderLayer;
pub(crate) use rewrite::carries_credentials;
pub use service::Provide;
