//! Answers in another way where no upstream could: by another service, or with a response that is fixed or computed.
//!
//! 1. The layer stands outside of a [`FallbackLayer`](crate::FallbackLayer), or of any other service. What comes back is
//!    passed on, unless it is a failure for which a fallback would turn to the next upstream: then the backup is asked.
//! 2. The backup is a [`Service`](tower_service::Service) over the same requests; [`tower::service_fn`] makes one of a
//!    closure. It is cloned and made ready when it is needed, and holds up nobody before.
//! 3. Its request carries a [`Cause`] in its extensions: what went wrong, for a response that tells when to come back.
//! 4. Its responses may have a body of another type: the two are told apart by [`Either`](http_body_util::Either), which
//!    is a body itself.
//! 5. What the backup gives back is final, its errors too.
//!
//! A request whose body cannot be copied (see [`Replay`](crate::body::Replay)) has no last resort: the caller gets what the
//! service inside said. Nor does it help where a stream breaks after its beginning.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, service_fn};
//! use tower_upstream::{Chain, FallbackLayer, LastResortLayer, Provider, fallback::Cause};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<Full<bytes::Bytes>>();
//! let sorry = service_fn(|request: Request<Full<bytes::Bytes>>| async move {
//!     let cause = request.extensions().get::<Cause>().expect("the layer puts it there");
//!     let mut response = Response::new(Full::<bytes::Bytes>::from(cause.user_message()));
//!     *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
//!     Ok::<_, Infallible>(response)
//! });
//! let chain = Chain::new([Provider::groq().model("openai/gpt-oss-20b"), Provider::openai().model("gpt-4o-mini")]);
//! let service = ServiceBuilder::new()
//!     .layer(LastResortLayer::new(sorry))
//!     .layer(FallbackLayer::new(chain)?)
//!     .service(client);
//! # let _ = service;
//! # Ok(()) }
//! ```

mod cause;
mod future;
mod layer;
mod service;

pub use cause::Cause;
pub use future::ResponseFuture;
pub use layer::LastResortLayer;
pub use service::LastResort;
