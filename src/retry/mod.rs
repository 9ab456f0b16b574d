//! Sends a request to the same upstream again, when waiting helps and the wait is worth it.
//!
//! 1. What is repeated: timeouts and transport errors, 408, 409, 423, 424, 425, 429, 498, and everything from 500 on but 501
//!    and 505; a 403 whose headers tell of a rate limit; or what the [`Outcome`](crate::Outcome) in the response's
//!    extensions says can be. `x-should-retry` or `stripe-should-retry`, `true` or `false`, has the last word over a status.
//!    Refusals of this crate's own layers never are.
//!    [`RetryPolicy::verdict`] takes a rule of your own.
//! 2. A method that is not idempotent (POST, PATCH) is repeated only when the upstream cannot have processed the request: a
//!    429, a 425, a 503 that says when to come back (be it at once), a connection that was never made, a stream that HTTP/2
//!    refused. [`RetryPolicy::llm`] repeats it always. So is a request with an `Idempotency-Key`, which
//!    [`RetryPolicy::idempotency_key`] gives to those that have none.
//! 3. The wait is the one that the latest failure asks for, to the letter. A wish above
//!    [`max_hint_wait`](RetryPolicy::max_hint_wait), or above 2 s while other upstreams stand idle, is not waited for: the
//!    failure is passed on at once; a fallback layer comes back to it where the others fail as well. So is silence, an attempt that
//!    timed out without any answer, while others stand idle; and a failure that has opened the circuit inside, where the layer
//!    [consults](RetryLayer::consult) it.
//! 4. Where the upstream does not say, or says zero, the layer waits by its [`Schedule`]: 1 s doubled up to 30 s with
//!    [`Jitter`]. [`Priority::High`](crate::Priority::High) halves that and [`Priority::Low`](crate::Priority::Low) makes it
//!    half as long again, never past the longest wait.
//! 5. A wait that would end after the request's [`Deadline`](crate::Deadline), or the policy's, is not begun. A request that comes
//!    after its own is not sent.
//! 6. All requests share a [`RetryBudget`]. It is asked before the wait.
//! 7. Every failed attempt is written into the request's [`Attempts`](crate::Attempts), whose cap holds over all layers.
//!    Whoever begins the first attempt in it records how the last one ended: a fallback outside, else this layer. A request
//!    without such a ledger gets one at its first retry. Unless a fallback keeps it, it is in the extensions of the
//!    response that came after retries.
//! 8. The request is copied only while another attempt is possible. The body says how ([`Replay`](crate::body::Replay)): one in
//!    memory is shared; a [`ReplayBody`](crate::body::ReplayBody) streams, keeps what passes up to a cap, and is gone on with
//!    after an early answer; one that cannot be sent again is sent once, and never fails for that.
//! 9. A failed response is read to its end before it is dropped, for as long as the wait and
//!    [`drain`](RetryPolicy::drain) allow: hyper closes an HTTP/1 connection whose response was dropped unread. The service is
//!    made ready after the wait. A caller that goes away ends everything, and the budget gets back what its retry had taken.
//! 10. The policy can be replaced while the services run: [`RetryLayer::set_policy`]. Calls under way go on with theirs.
//!
//! # When it does not protect
//!
//! It keeps no request from an upstream that is down: put a circuit breaker inside, which ends a call at once while it is open.
//! It judges a response by its head: a body that breaks later is the reader's to deal with. And it cannot know what a POST has
//! done that broke off half way; where that matters, only a key that the upstream heeds makes it safe.
//!
//! The layer refuses nothing but requests that come after their deadline ([`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded)):
//! its caller sees the last response, or the last error, unchanged. Only an attempt that passes
//! [`attempt_timeout`](RetryPolicy::attempt_timeout) becomes [`Error::TimedOut`](crate::Error::TimedOut). What was passed on
//! and why is told as [`Event::GaveUp`](crate::observe::Event::GaveUp).
//!
//! # Examples
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::RetryLayer;
//!
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let service = ServiceBuilder::new().layer(RetryLayer::default()).service(client);
//! # fn check<S: tower::Service<http::Request<http_body_util::Full<bytes::Bytes>>>>(_: S) {}
//! # check(service);
//! ```
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_upstream::{FailureKind, Jitter, RetryBudget, RetryLayer, RetryPolicy, Schedule, observe::Event};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let policy = RetryPolicy::llm()
//!     .max_attempts(4)
//!     .backoff(Duration::from_millis(500), Duration::from_secs(8))
//!     .jitter(Jitter::Equal)
//!     .schedule(FailureKind::Overloaded, Schedule::overloaded())
//!     .attempt_timeout(Duration::from_secs(20))
//!     .budget(RetryBudget::ratio(0.2, 10));
//! let layer = RetryLayer::new(policy)?.observe(|event: &Event<'_>| println!("{event}"));
//! let service = ServiceBuilder::new().layer(layer).service(client);
//! # fn check<S: tower::Service<http::Request<http_body_util::Full<bytes::Bytes>>>>(_: S) {}
//! # check(service);
//! # Ok(()) }
//! ```
//!
//! # Sources
//!
//! The key: [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
//! Which methods may be repeated: [RFC 9110, section 9.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2). The
//! statuses, the hint before the backoff, and `x-should-retry`: OpenAI's and Anthropic's clients. The budget:
//! [the AWS clients](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html), and Finagle's for the
//! ratio. The jitters: the
//! [AWS Architecture Blog](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A wait past the
//! deadline is not begun, as in [golang.org/x/time/rate](https://pkg.go.dev/golang.org/x/time/rate#Limiter.Wait).

mod backoff;
mod budget;
mod config;
mod course;
mod drain;
mod future;
mod key;
mod layer;
mod ledger;
mod rules;
mod service;
mod shared;
mod state;
mod timeout;
mod trouble;
mod verdict;
mod words;

pub use backoff::{Jitter, Schedule};
pub use budget::RetryBudget;
pub use config::RetryPolicy;
pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use service::Retry;
pub use verdict::{Ended, ResponseHead, Verdict};

/// A name for [`RetryPolicy::attempt_header`].
pub const ATTEMPT_COUNT: http::HeaderName = http::HeaderName::from_static("x-attempt-count");
