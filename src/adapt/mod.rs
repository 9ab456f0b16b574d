//! The stack in your hands: over which clients it stands, in front of which servers, and what that takes.
//!
//! | what you have | how the layers get there | feature |
//! |---|---|---|
//! | hyper-util's legacy client, any `tower::Service` over [`http::Request`] | as it is | none; `hyper-util` to read its errors |
//! | `reqwest::Client` | `reqwest::ReqwestService` around it | `reqwest` |
//! | `reqwest_middleware::ClientWithMiddleware`, as the client | `reqwest::ReqwestService` around it | `reqwest-middleware` |
//! | a chain of `reqwest_middleware`, for the layers in it | `reqwest_middleware::TowerMiddleware` | `reqwest-middleware` |
//! | `async_openai::Client` | `with_http_service`, and `reqwest::{to_http, from_http}` | `reqwest` |
//! | axum, or any server of tower services | [`RejectionLayer`] outside of the layers that refuse | none |
//! | axum, as a gateway in OpenAI's format | [`FrontLayer`] outside of a stack | none |
//! | tonic | as it is; a layer of yours reads `grpc-status` into an [`Outcome`](crate::Outcome) | none |
//!
//! Each has a program that runs against simulated providers, or a server of its own, in `examples/ecosystem`.
//!
//! # hyper
//!
//! hyper-util's legacy client is a service over [`http::Request`] already, for HTTP/1 and HTTP/2, with rustls or without. It
//! repeats a request by itself only where a pooled connection turned out to be closed before anything was sent. With the
//! feature `hyper-util`, an error of its connector (a name that is not found, a handshake of TLS that fails, nobody who
//! answers) is known as one before which nothing was sent: then a POST is tried again, too, and the limiter gives back what
//! it had taken. Without it, only a connection that was refused is known as such.
//!
//! # gRPC
//!
//! A gRPC call that fails is a 200 in HTTP, and its `grpc-status` stands in the head of the answer, where there is no message,
//! or behind the body. A layer of your own, right outside of the channel, reads the first into an
//! [`Outcome`](crate::Outcome) in the response's extensions: all layers outside of it go by that one. tonic's request
//! bodies are streams: put an [`IntakeLayer`](crate::IntakeLayer) outside, which takes them into memory, and make of them what
//! the channel takes again inside; a unary call has one message.

pub mod bearer;
pub mod front;
pub mod peer;
pub mod rejection;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;

pub use front::FrontLayer;
pub use rejection::RejectionLayer;
