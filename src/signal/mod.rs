//! Pure parsing: what a response says about limits, waits and failures. No clock, no tasks, no I/O.
//!
//! The layers ask one question: what did this answer mean? [`outcome_of_head`] answers it from status and headers
//! alone, for every HTTP service there is. [`outcome_of`] reads the error body too, which says more and wins.
//!
//! # The order of the evidence
//!
//! 1. **The status** gives the kind that it has by RFC 9110, and by the habit of API gateways (529, Cloudflare's 52x).
//! 2. **The body** overrules it, for providers do not agree on statuses: a bad key is a 400 at one, an empty account
//!    a 401, 403 or 429 at others, an overload a 200 whose stream begins with an error. Codes, types and messages are
//!    matched by [`FailureRule`]s: the caller's own first, then those of the [`Dialect`], then those that all
//!    providers share.
//! 3. **Figures** overrule words: a limit of 0 is a quota that waiting cannot cure; a request larger than the whole
//!    limit never fits; a limit per day that names no credible end is exhausted.
//! 4. **The wait** is the longest that the answer asks for: in `retry-after-ms`, `x-ms-retry-after-ms` and
//!    `retry-after` (which counts for nothing where it only rounds the milliseconds up), in fields of the body (`google.rpc.RetryInfo` and its kin) or in its prose ("try again in
//!    22m46.848s"). Reset headers of the exhausted quota stand in where nothing else says how long. See [`hint`].
//! 5. **`x-should-retry`**, or Stripe's, has the last word on whether the same request may be sent again.
//!
//! Nothing here panics, whatever the bytes; the work is linear in the length of what is read.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use http::{HeaderMap, StatusCode};
//! use tower_upstream::{outcome::FailureKind, signal::{self, Answer}};
//!
//! let body = br#"{"error":{"message":"Rate limit reached for model `llama-4` on tokens per minute (TPM):
//!     Limit 6000, Used 5900, Requested 700. Please try again in 6s.","code":"rate_limit_exceeded"}}"#;
//! let headers = HeaderMap::new();
//! let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS, &headers, body, SystemTime::UNIX_EPOCH);
//! let outcome = signal::outcome_of(&answer, None);
//! let failure = outcome.failure().unwrap();
//! assert_eq!(failure.kind, FailureKind::RateLimited);
//! assert_eq!(failure.retry_after, Some(Duration::from_secs(6)));
//! assert_eq!(failure.limit.as_ref().unwrap().limit, Some(6000.0));
//! ```

mod answer;
mod dialect;
mod failure;
mod headers;
pub mod hint;
pub(crate) mod json;
mod rules;
pub mod sse;
pub mod usage;
mod words;

pub(crate) use self::headers::tells_quotas;
pub use self::{
    answer::Answer,
    dialect::Dialect,
    failure::{outcome_by_rules, outcome_of, outcome_of_head},
    headers::{QuotaReading, quotas},
    rules::FailureRule,
};
