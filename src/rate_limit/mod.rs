//! Admits, queues or refuses requests by every limit of a [`Quota`] at once.
//!
//! 1. A request takes from all limits or from none: requests, tokens, input and output tokens, money, each over any period,
//!    and the number under way. What is refused has spent nothing.
//! 2. A [`Limit`] counts over a sliding window: however the provider counts, no period of that length holds more. With
//!    [`burst`](Limit::burst) it is a token bucket, for upstreams that have one, and with [`calendar`](Limit::calendar) a
//!    count that begins anew at midnight. In [`shadow`](Limit::shadow) mode it counts and reports only.
//! 3. Each [`Upstream`](crate::Upstream) has windows of its own, or [`RateLimiter::scope`] says who shares them. A layer can
//!    have [several](RateLimitLayer::and) limiters, each with its own scope: a request is admitted by all or by none.
//! 4. Who does not fit waits: high [`Priority`](crate::Priority) first, and first come, first served within one. A large
//!    request is not overtaken by small ones. No readiness of the inner service is held through the wait. Under several
//!    limiters he stands in line at the one that holds him back the longest, and others do not wait for him elsewhere.
//! 5. A wait that would pass [`max_wait`](RateLimiter::max_wait) or the request's [`Deadline`](crate::Deadline) is refused
//!    at once with the time that it would have taken. How long a wait for `max_concurrent` takes cannot be known: it is cut off
//!    when that time has passed, or where a [fallback](crate::fallback) outside finds somebody who would take the request. A request
//!    that could never fit is refused as too large; one whose deadline has passed already is
//!    [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded).
//! 6. The [`Cost`](crate::Cost) in the request's extensions is reserved at admission. When the body of the response has
//!    ended, the real [`Usage`](crate::outcome::Usage) is settled, where a layer below told it, up into debt or down as a
//!    refund, unless the quota [keeps estimates](Quota::keep_estimates). A request that was dropped keeps its reservation; one
//!    that was never sent is given it back; one that failed is charged [by its failure](#what-failed-requests-cost). Where the
//!    request sets no maximum of tokens, the limiter expects what answers under the same key have used: their mean and four mean
//!    deviations.
//! 7. A request is under way until the body of its response has ended or is dropped.
//! 8. A 429 that names a wait holds back everybody under the key until then. Where there is no limit per period and none was
//!    told, it also [cuts the rate](Quota::steady), which then grows back.
//! 9. What quota headers say is left, less what has been sent since, is all that is left until the time of their reset, for
//!    others may use the quota as well. They never free anything; nor does a settlement give back what they said is gone, before
//!    they say more or that time has come. An answer out of a cache tells nothing. A limit that the
//!    quota does not have is taken up where they tell its amount and its period, and changes with what they tell. Where they name
//!    no period, but when all of it will be free again, it follows from that, if it is a second, a minute, an hour or a day; once an
//!    answer contradicts it, none is inferred any more. Where nothing is left until the end of a window of which no more is
//!    known, nobody is admitted until then, and the rate is cut as after a refusal. A limiter in a server
//!    [heeds no answers](RateLimiter::heed_answers): they are not meant for it.
//! 10. [`save`](RateLimiter::save) and [`load`](RateLimiter::load) keep what is taken over a restart, by the wall clock; or
//!     [`snapshot`](RateLimiter::snapshot) and [`restore`](RateLimiter::restore), for a store of your own.
//!
//! The service inside must be `Clone`, and its responses' body an [`http_body::Body`]: in a test `String`, not `()`.
//!
//! A refused caller sees [`Error::RateLimited`](crate::Error::RateLimited) with the key, the reason, the limit that refused and
//! [`retry_after`](crate::Error::retry_after); nothing was sent. The limiter cannot know what others take of the same
//! quota before the upstream tells of it, nor when a request arrives there: where the way takes now longer and now shorter, the
//! upstream may count one too many at the very edge of a window, which a [`margin`](Quota::margin) prevents. A sliding window
//! in front of an upstream's bucket forgets a debt sooner than the bucket does: with estimates that are too low, give the
//! limit the upstream's `burst`.
//!
//! # What failed requests cost
//!
//! | what became of it | the request | tokens and money |
//! |---|---|---|
//! | never sent: refused by a layer below, no connection | given back | given back |
//! | answered, and told its usage, whatever the status | taken | what it used |
//! | turned away: `RateLimited`, `QuotaExhausted`, `Overloaded`, `RequestTooLarge`, `Auth`, `NotFound`, `InvalidRequest`, which is every 4xx but those below, 498, 503, 529 and an error event before any content | taken | given back |
//! | `ServerError`, `Timeout`, `ContentFiltered`, `Transport`: 500, 502, 504, 408, 424, 451, a prompt that a filter refused, a connection that broke | taken | as reserved: something may have been done for it |
//! | a good answer that tells no usage, breaks off or is dropped | taken | as reserved |
//!
//! Whoever is turned away asks at a price all the same: requests are counted, pauses hold, and what quota headers said is gone stays
//! gone. A quota that [keeps estimates](Quota::keep_estimates) keeps these, too. Providers count failed requests
//! ([OpenAI](https://platform.openai.com/docs/guides/rate-limits)), and bill what was processed: Azure names 408 and its filter
//! among that, and 401 and 429 as free ([source](https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs)).
//!
//! # Examples
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let limiter = RateLimiter::new(Quota::new().limit(Limit::requests(60).per_minute()))?;
//! let service = ServiceBuilder::new().layer(RateLimitLayer::new(limiter.clone())).service(client);
//! println!("{:?}", limiter.status(""));
//! # let _ = service;
//! # Ok(()) }
//! ```
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter, Scope};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let quota = Quota::new()
//!     .limit(Limit::requests(3_500).per_minute())
//!     .limit(Limit::tokens(90_000).per_minute())
//!     .limit(Limit::requests(10_000).per_day())
//!     .max_concurrent(8);
//! let limiter = RateLimiter::new(quota)?
//!     .scope(Scope::by(|head| match head.headers.get("x-organization") {
//!         Some(organization) => String::from_utf8_lossy(organization.as_bytes()).into(),
//!         None => "".into(),
//!     }))
//!     .max_wait(Duration::from_secs(10));
//! let service = ServiceBuilder::new().layer(RateLimitLayer::new(limiter)).service(client);
//! # let _ = service;
//! # Ok(()) }
//! ```
//!
//! # Sources
//!
//! The window is the sliding log of [Kong's taxonomy](https://konghq.com/blog/engineering/how-to-design-a-scalable-rate-limiting-algorithm),
//! with takings merged so that memory is bounded; the bucket is the one of
//! [RFC 2697](https://www.rfc-editor.org/rfc/rfc2697) with debt; a queue without overtaking as in tokio's semaphore; the rate
//! after a 429 is the CUBIC of [RFC 9438](https://www.rfc-editor.org/rfc/rfc9438), the length of an answer is reckoned as
//! [RFC 6298](https://www.rfc-editor.org/rfc/rfc6298) reckons with round trips.

mod asking;
mod calendar;
mod config;
mod counts;
mod decision;
mod elsewhere;
mod entrance;
mod epoch;
mod forecast;
mod future;
mod handle;
mod layer;
mod learned;
mod limit;
mod limiters;
mod line;
mod mark;
mod news;
mod outlook;
mod pace;
mod permit;
mod queue;
mod refunds;
mod restless;
mod saved;
mod service;
mod settings;
mod size;
pub(crate) mod snapshot;
mod state;
mod status;
pub(crate) mod storage;
mod takings;
mod told;
mod typical;
mod uses;
mod waiter;
mod window;
mod windows;
mod words;

#[cfg(test)]
mod tests;

pub use calendar::Zone;
pub use config::Quota;
pub use future::ResponseFuture;
pub use handle::RateLimiter;
pub use layer::RateLimitLayer;
pub use limit::{Amount, Limit};
pub use permit::Permit;
pub use service::RateLimit;
pub use snapshot::{Snapshot, SnapshotError};
pub use status::{LimitKind, LimitStatus, Status};
