//! Sends a request to the next upstream when one fails, and leaves failing upstreams alone for a while.
//!
//! 1. The upstreams of a [`Chain`] are asked in its [`Order`]: as listed, local ones first, the cheapest for this request, the
//!    one with the most headroom, the fastest, by weight, or by what they have answered. Each is asked at most once for a
//!    request, but for one that was silent (see 12), that asked for a wait (see 13), or in whose line the request stood without
//!    being sent (see 14). The chosen one travels inwards as an [`Upstream`](crate::Upstream) in the request's extensions, for the
//!    layers and the client inside; who answered travels outwards as [`ServedBy`](crate::ServedBy) in those of the response. They
//!    are told apart by their ids: a second key for the same service is a provider with a name of its own.
//! 2. The next is asked where another may do better: rate limits, exhausted quotas, overloads, server errors, timeouts,
//!    broken connections, models that do not exist, requests too large for this one, and refusals by an own limiter or
//!    breaker. Wrong requests, conflicts (409), wrong credentials and content filters end the walk
//!    ([`Chain::fall_back_on`] adds kinds): the caller gets what the upstream said, unchanged.
//! 3. A failure that the next request would meet as well makes the upstream cool down: for as long as it asked, else for
//!    [`Chain::cooldown`]. One that speaks for the account cools all models of the provider. Cooldowns only ever get
//!    longer, end to the instant, and end by themselves; one after silence alone (a timeout; an answered 504 is none) also with
//!    an answer to a call that was under way. Own refusals, too-large requests and what does not exist (404, which may be the path
//!    of one request as well as a model) cool nobody.
//! 4. Who is cooling down is passed by, and asked later where it is back before the others have failed. When all are
//!    cooling down, [`WhenExhausted`] says whether the request is sent to one that named no time, fails at once, waits for the
//!    soonest, or is sent to that all the same. Who answers then and had named no time is passed by no longer.
//! 5. After a request was too large for the context of one upstream, those whose context is no larger are passed by.
//! 6. All attempts of a request, retries included, stand in one ledger, [`Attempts`](crate::Attempts), with one cap.
//! 7. A lone upstream never cools down: a chain of one passes everything through as it comes, because a retry or a
//!    limiter inside honours the hint already. Its cap holds for the retries inside.
//! 8. The request is copied while there may be another attempt. One whose body cannot be copied (see
//!    [`Replay`](crate::body::Replay)) is sent once, and the caller gets what that upstream said.
//! 9. Limiters and breakers inside can be [consulted](Chain::consult) before each attempt: who would refuse the request is
//!    passed by without a call, and who would make it queue for longer than [`Chain::max_wait`] is asked after those who are
//!    free. So a short queue is waited in, and a long one is left to those who have nobody else. One where nobody knows how long
//!    the wait would be, for as many are [under way](crate::Quota::max_concurrent) as may be, is asked after those who are
//!    free as well. An upstream whose context is
//!    too small for what the request is estimated at is asked last, for estimates err.
//! 10. A request may have [`Preferences`] of its own: another order, only these upstreams, never those, no fallback. The
//!     [`Router`] changes the chain while it is in use.
//! 11. A request that comes after its [`Deadline`](crate::Deadline) is sent to nobody, and nobody else is asked after it: the caller
//!     then gets what the last one said.
//! 12. A retry layer inside leaves a request to the others where its upstream was silent until a
//!     [timeout](crate::RetryPolicy::attempt_timeout). Where none of them is left by then, as all are cooling down, would refuse
//!     it, or have failed, the silent one is asked once more at once, and the retries there go as for a lone upstream.
//! 13. It leaves a request to the others, too, where its upstream asks for a wait that is
//!     [too long while there are others](crate::RetryPolicy::max_hint_wait_with_alternatives), and would have waited, were there
//!     none. Where all others then fail or are held back, the request waits for the soonest of those that asked for a wait, as
//!     long as that is within [`max_hint_wait`](crate::RetryPolicy::max_hint_wait) of its failure, the request's deadline and the
//!     cap on attempts; it is asked once more, and the retries there go as for a lone upstream. Who was not asked yet and is back
//!     before that is asked first.
//! 14. A request that has stood in the line of a limiter inside for [`Chain::max_wait`], or for half of the time that it has left,
//!     looks every so often whether another would take it at once, and leaves the line only for one that would, as those who
//!     are consulted foresee it. So:
//!
//!     | in the line of one upstream, while the others              | the request                                            |
//!     |------------------------------------------------------------|--------------------------------------------------------|
//!     | would take it at once                                      | goes to the first of them                              |
//!     | are full, would make it wait, or would refuse it           | keeps its place, and looks again                       |
//!     | are cooling down                                           | keeps its place, and looks again                       |
//!     | have failed this request                                   | keeps its place; who asked for a wait (see 13) and is back counts as one that was not asked |
//!     | would take it, but it would be admitted here before it looks again | keeps its place                                |
//!     | would take it, but it has come out of another line already, as that was foreseen of this one | keeps its place       |
//!     | cannot be sent it, for its body cannot be copied, or no attempt is left | keeps its place                           |
//!     | are not known, for nobody is consulted                     | keeps its place                                        |
//!
//!     To leave a line is no attempt: nothing was sent. Where the other fails as well, the request comes back to the end of that
//!     line.
//!
//! A refused caller sees [`Error::Exhausted`](crate::Error::Exhausted): every attempt with its upstream, what it meant and
//! how long it took, and [`retry_after`](crate::Error::retry_after), the time until the next request would be let
//! through to somebody; none where that is at once, or nobody knows. A response that the caller has is never switched: where a
//! stream breaks in the middle, it breaks. Nor does the layer protect against an upstream that answers slowly; put a timeout inside
//! of it. Another service, or a response of your own, as the end of the chain is a layer outside of this one: see [`last_resort`].
//!
//! # Examples
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::{Chain, FallbackLayer, Provider};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let chain = Chain::new([Provider::groq().model("openai/gpt-oss-120b"), Provider::openai().model("gpt-4o-mini")]);
//! let service = ServiceBuilder::new().layer(FallbackLayer::new(chain)?).service(client);
//! # let _ = service;
//! # Ok(()) }
//! ```
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_upstream::{
//!     Chain, Cooldowns, FailureKind, FallbackLayer, Order, Provider, WhenExhausted, observe::Event,
//! };
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let openai = Provider::openai().key("sk-first")?;
//! let second_key = openai.clone().key("sk-second")?.named("openai-2");
//! let chain = Chain::new([
//!     openai.model("gpt-4o-mini").context_tokens(128_000),
//!     second_key.model("gpt-4o-mini").context_tokens(128_000),
//!     Provider::ollama().model("llama3.2"),
//! ])
//! .order(Order::LocalFirst)
//! .cooldown(Duration::from_secs(60))
//! .max_attempts(4)
//! .when_exhausted(WhenExhausted::Wait { max: Duration::from_secs(20) })
//! .fall_back_on(FailureKind::Auth);
//! let cooldowns = Cooldowns::new().observe(|event: &Event<'_>| {
//!     if let Event::Switched { from, to, failure } = event {
//!         println!("{from}: {failure}. Switching to {to}");
//!     }
//! });
//! let layer = FallbackLayer::new(chain)?.cooldowns(cooldowns.clone());
//! let service = ServiceBuilder::new().layer(layer).service(client);
//! println!("{:?}", cooldowns.list());
//! # let _ = service;
//! # Ok(()) }
//! ```
//!
//! # Sources
//!
//! Cooldowns and fallbacks between models and providers as in
//! [LiteLLM's router](https://docs.litellm.ai/docs/router/learn/reliability), whose bugs are among the tests; a request
//! that is wrong is not repeated elsewhere, as in [orq.ai's](https://docs.orq.ai/docs/proxy/retries).

pub mod last_resort;

mod config;
mod course;
mod future;
mod handle;
mod layer;
mod order;
mod performance;
mod plan;
pub(crate) mod preferences;
mod router;
mod service;
mod shared;
mod state;
mod walk;
mod wheel;
mod words;

pub use config::{Chain, WhenExhausted};
pub use future::ResponseFuture;
pub use handle::{Cooldown, Cooldowns};
#[doc(inline)]
pub use last_resort::{Cause, LastResortLayer};
pub use layer::FallbackLayer;
pub use order::Order;
pub use preferences::Preferences;
pub use router::{Choice, Router, Standing};
pub use service::Fallback;
