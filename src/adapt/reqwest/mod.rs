//! The layers over `reqwest`: a service of [`http::Request`]s around its client, and the way back for code that speaks
//! reqwest's own types.
//!
//! 1. A body that lies in memory (`Full<Bytes>`) is handed on without a copy, and stays one: reqwest can send it again after a
//!    redirect. Any other body is streamed. Answers come as they arrive.
//! 2. Extensions of the request go with it, those of the response come back.
//! 3. Errors are [`reqwest::Error`]s, found by downcast in [`Error::Service`](crate::Error::Service), without the query of
//!    the URL, for there are providers that want their key in it. A timeout of the client's own is known as
//!    [`Timeout`](crate::FailureKind::Timeout). Where the connection was not made, nothing was sent: then a POST is tried
//!    again, too, and the limiter gives back what it had taken.
//! 4. reqwest repeats requests by itself, out of sight of the layers: where a server says over HTTP/2 that it has not looked
//!    at them, and whatever your own `ClientBuilder::retry` says. Turn it off with `.retry(reqwest::retry::never())`, or some
//!    requests are sent more often than the limiter counts. Redirects are followed out of sight, too: each hop is a request
//!    more, and where it leads to another host, reqwest leaves `authorization` behind, but takes the fields along in which Azure,
//!    Anthropic and Gemini are told their keys. Turn them off with `.redirect(reqwest::redirect::Policy::none())`.
//!
//! A timeout of the client (`ClientBuilder::timeout`) lasts until the answer's body has ended; for streams use
//! `read_timeout`, and [`attempt_timeout`](crate::RetryPolicy::attempt_timeout), which lasts until the head.
//!
//! # Examples
//!
//! ```no_run
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//! use tower_upstream::{RetryLayer, RetryPolicy, adapt::reqwest::ReqwestService};
//!
//! # async fn fetch() -> Result<(), BoxError> {
//! let reqwest = reqwest::Client::builder()
//!     .retry(reqwest::retry::never())
//!     .redirect(reqwest::redirect::Policy::none())
//!     .build()?;
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default())?)
//!     .service(ReqwestService::new(reqwest));
//! let request = http::Request::get("http://127.0.0.1:8080/").body(Full::<Bytes>::default())?;
//! let page = client.oneshot(request).await?.into_body().collect().await?.to_bytes();
//! # let _ = page;
//! # Ok(()) }
//! ```
//!
//! Requests that were made with reqwest, and answers that are read with it:
//!
//! ```no_run
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//! use tower_upstream::{RetryLayer, adapt::reqwest::{self as adapt, ReqwestService}};
//!
//! # async fn fetch() -> Result<(), BoxError> {
//! let reqwest = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
//! let request = reqwest.get("http://127.0.0.1:8080/").build()?;
//! let client = ServiceBuilder::new().layer(RetryLayer::default()).service(ReqwestService::new(reqwest));
//! let response = adapt::from_http(client.oneshot(adapt::to_http(request)?).await?);
//! println!("{}", response.text().await?);
//! # Ok(()) }
//! ```

pub(super) mod body;
pub(super) mod convert;
mod future;
mod service;

pub use body::RequestBody;
pub use convert::{from_http, to_http};
pub use future::ResponseFuture;
pub use service::ReqwestService;
