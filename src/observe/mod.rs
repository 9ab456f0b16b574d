//! Seeing what happens: one [`Event`] for each decision, given to your [`Observer`] and to `tracing`.
//!
//! 1. Each layer tells an event in one place, once, after its lock is free; a future or a body that is dropped tells its end
//!    as well. Give an observer to a handle or a layer with `.observe(..)`; a closure will do, with its argument's type
//!    written out: `|event: &Event<'_>| ..`. Without an observer, and without a `tracing` subscriber, an event costs a branch.
//! 2. What a request that was sent became, used and cost is one event, [`Event::Ended`], with a [`Receipt`]. It comes from the
//!    [`ProviderLayer`](crate::ProviderLayer), once for each attempt. Without that layer there are the decisions of the
//!    others.
//! 3. Neither events nor spans carry the words of upstreams and clients, URLs, headers or credentials. They carry the ids of
//!    upstreams, the keys of limiters and breakers, kinds, figures and times. (A [`Failure`](crate::Failure) has the
//!    upstream's words for those who ask it; nothing in this module does.)
//! 4. What a person who waits may be told is [`Event::user_message`]; whoever runs the program may print the event, which is one line.
//!
//! Who listens:
//!
//! - [`Stats`] counts by upstream and key, and gives advice with the figure behind it.
//! - [`AuditLog`] writes each event into a file, as a line of JSON.
//! - [`channel`] passes events on to tasks, for live pages.
//! - `Metrics` (feature `metrics`) feeds the recorder of the `metrics` facade.
//! - `tracing`, where there is a subscriber; [`SpanLayer`] opens a span for each request.
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_upstream::{
//!     CircuitBreaker, CircuitBreakerLayer, IntakeLayer, ProviderLayer, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
//!     observe::{self, AuditLog, SpanLayer, Stats},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! # let path = std::env::temp_dir().join(format!("tower-upstream-{}.jsonl", std::process::id()));
//! let stats = Stats::new();
//! let (feed, mut live) = observe::channel(1_024);
//! // One observer for all: a tuple tells each of its parts.
//! let observer = (stats.clone(), AuditLog::options(&path).open()?, feed);
//! let service = ServiceBuilder::new()
//!     .layer(SpanLayer::new())
//!     .layer(IntakeLayer::new())
//!     .layer(RetryLayer::new(RetryPolicy::llm())?.observe(observer.clone()))
//!     .layer(CircuitBreakerLayer::new(CircuitBreaker::default().observe(observer.clone())))
//!     .layer(RateLimitLayer::new(RateLimiter::default().observe(observer.clone())))
//!     .layer(ProviderLayer::new().observe(observer))
//!     .service(client);
//! assert!(stats.insights().is_empty(), "nothing has happened yet");
//! assert!(live.try_recv().is_none());
//! # drop(service);
//! # std::fs::remove_file(path)?;
//! # Ok(()) }
//! ```
//!
//! # Events
//!
//! Name, level and fields of each event, as log lines, [records](EventRecord) and `tracing` have them. The target of `tracing`
//! is `tower_upstream`, the name is the message. A field in brackets is left out where it is not known. Times end in `_s` and
//! are in seconds; money is in units of its currency. `limits` is not told to `tracing`.
//!
//! | event | level | fields |
//! |---|---|---|
//! | `admitted` | debug | `key`, `waited_s`, `limits` (each with `limit`, `capacity`, `used`) |
//! | `queued` | debug | `key`, `limit`, `wait_s` |
//! | `left` | debug | `key`, `waited_s` |
//! | `refused` | info | `key`, `reason` (`wait_too_long`, `queue_full`, `too_large`), `limit`, (`wait_s`), (`patience` (`max_wait`, `deadline`, `chain`), `patience_s`: too long for whom) |
//! | `deadline_exceeded` | info | `layer` (`rate_limit`, `retry`, `fallback`), `upstream`, `late_s` |
//! | `shadowed` | info | `key`, `limit`, `wait_s` |
//! | `settled` | debug | `key`, `reserved_input_tokens`, `reserved_output_tokens`, `reserved_money`, `input_tokens`, `output_tokens`, `money` |
//! | `learned` | debug | `key`, `dimension`, (`per_s`), (`amount`), `remaining`, `is_new` |
//! | `paused` | info | `key`, `wait_s` |
//! | `retrying` | info | `upstream`, `attempt`, `wait_s`, `failure`, (`retry_after_s`) |
//! | `gave_up` | info | `upstream`, `attempts`, `reason`, `failure`, (`retry_after_s`) |
//! | `opened` | warn | `key`, `reason`, (`wait_s`) |
//! | `half_opened` | info | `key`, `reason` |
//! | `closed` | info | `key`, `reason` |
//! | `disabled` | info | `key` |
//! | `cooling_down` | info | `upstream`, `wait_s`, `failure` |
//! | `switched` | info | `from`, `to`, `failure`, (`retry_after_s`) |
//! | `exhausted` | warn | `attempts`, `is_rate_limited`, (`retry_after_s`), (`passed_by`: who was not asked and why, in words) |
//! | `ended` | debug; failed or cancelled: info; broken: warn | `upstream`, `provider`, `model`, `operation`, `is_stream`, `end` (`answered`, `failed`, `broken`, `cancelled`), (`failure`), (`status`), (`head_s`), (`content_s`), `took_s`, (`input_tokens`), (`cached_tokens`), (`output_tokens`), (`total_tokens`), (`money`), `is_truncated` |
//!
//! `failure` is a [`FailureKind`](crate::FailureKind) in snake case, `dimension` a [`Dimension`](crate::outcome::Dimension).
//!
//! # Spans
//!
//! Both of level info and target `tower_upstream`, with OpenTelemetry's names where
//! [it has them](https://opentelemetry.io/docs/specs/semconv/gen-ai/); fields are recorded as they become known.
//!
//! | span | opened by | until | fields |
//! |---|---|---|---|
//! | `request` | [`SpanLayer`] | the head of the answer, or the error | `http.request.method`, `http.response.status_code`, `upstream`, `failed_attempts`, `error.type` |
//! | `attempt` | [`ProviderLayer`](crate::ProviderLayer) | the end of the answer's body | `upstream`, `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, `end`, `http.response.status_code`, `gen_ai.usage.input_tokens`, `gen_ai.usage.output_tokens`, `gen_ai.usage.cache_read.input_tokens`, `gen_ai.response.time_to_first_chunk`, `error.type` |
//!
//! An attempt is a child of whatever span is entered when it is sent: of `request`, or, without a [`SpanLayer`], of your own.
//!
//! # Metrics
//!
//! What `Metrics` records, with the feature `metrics`. All labels are bounded: see there. `gen_ai.*` is by OpenTelemetry's
//! [conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/) and labelled by
//! `gen_ai.provider.name`, `gen_ai.request.model` and, where the path of the request tells, `gen_ai.operation.name`.
//!
//! | metric | kind | unit | further labels |
//! |---|---|---|---|
//! | `gen_ai.client.operation.duration` | histogram | seconds | `error.type` where it failed or broke off |
//! | `gen_ai.client.operation.time_to_first_chunk` | histogram | seconds, of streams | |
//! | `gen_ai.client.token.usage` | histogram | tokens | `gen_ai.token.type`: `input`, `output` |
//! | `tower_upstream.requests` | counter | requests | `upstream`, `end`, `error.type` |
//! | `tower_upstream.answers.truncated` | counter | answers | `upstream` |
//! | `tower_upstream.tokens.cached` | counter | tokens | `upstream` |
//! | `tower_upstream.money.nanos` | counter | billionths of a unit of money | `upstream` |
//! | `tower_upstream.limiter.admitted` | counter | requests | `key` |
//! | `tower_upstream.limiter.queued` | counter | requests | `key` |
//! | `tower_upstream.limiter.left` | counter | requests | `key` |
//! | `tower_upstream.limiter.refused` | counter | requests | `key`, `reason` |
//! | `tower_upstream.limiter.shadowed` | counter | requests | `key` |
//! | `tower_upstream.limiter.learned` | counter | answers | `key` |
//! | `tower_upstream.limiter.paused` | counter | pauses | `key` |
//! | `tower_upstream.limiter.wait` | histogram | seconds, of requests that waited | `key` |
//! | `tower_upstream.limiter.taken` | gauge | share of the limit, 1.0 where all is taken | `key`, `dimension`, `per` |
//! | `tower_upstream.retries` | counter | retries | `upstream`, `error.type` |
//! | `tower_upstream.retries.given_up` | counter | failures | `upstream`, `error.type` |
//! | `tower_upstream.retry.wait` | histogram | seconds | `upstream` |
//! | `tower_upstream.circuit.changes` | counter | changes | `key`, `state` |
//! | `tower_upstream.circuit.state` | gauge | 0 closed, 1 half open, 2 open, -1 disabled | `key` |
//! | `tower_upstream.cooldowns` | counter | cooldowns | `upstream`, `error.type` |
//! | `tower_upstream.switches` | counter | requests | `from`, `to`, `error.type` |
//! | `tower_upstream.exhausted` | counter | requests | |
//! | `tower_upstream.deadlines.exceeded` | counter | requests | `layer` |

mod audit;
mod channel;
mod display;
mod events;
mod fields;
mod histogram;
mod limit_use;
mod line;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod observer;
mod receipt;
mod record;
mod span;
mod stats;
mod trace;
mod words;

#[cfg(test)]
mod examples;

pub use audit::{AuditLog, AuditOptions};
pub use channel::{Feed, Received, Receiver, channel};
pub use events::Event;
pub use fields::Field;
pub use limit_use::LimitUse;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub(crate) use observer::Events;
pub use observer::Observer;
pub use receipt::{End, Receipt};
pub use record::EventRecord;
pub(crate) use span::AttemptSpan;
pub use span::{SpanLayer, Spanned, SpannedFuture};
pub use stats::{
    Insight, InsightKind, KeyStats, LastFailure, Latency, PeakUse, Snapshot, Stats, UpstreamStats,
};
