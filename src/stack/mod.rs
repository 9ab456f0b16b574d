//! All six layers at once: from a builder, a file or the environment.
//!
//! A [`Stack`] has the layers in the order that the [crate's docs](crate#order) give, and the handles of what they share.
//!
//! ```
//! use tower::Layer;
//! use tower_upstream::{Provider, Stack};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! # let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
//! #     .build_http::<http_body_util::Full<bytes::Bytes>>();
//! let (groq, openai) = (Provider::groq().key("gsk_example")?, Provider::openai().key("sk-example")?);
//! let stack = Stack::builder()
//!     .upstream(groq.model("openai/gpt-oss-120b"))
//!     .upstream(groq.model("openai/gpt-oss-20b"))
//!     .upstream(openai.model("gpt-4o-mini"))
//!     .upstream(Provider::ollama().model("llama3.2"))
//!     .build()?;
//! let client = stack.layer().layer(client);
//! println!("{}", stack.explain());
//! println!("{:?}", stack.cooldowns().list());
//! # let _ = client;
//! # Ok(()) }
//! ```
//!
//! # From a file
//!
//! [`Stack::from_file`] reads it from its path: TOML, with the feature `toml`, or the same in JSON. [`Stack::from_json`] and
//! `Stack::from_toml` read the text.
//!
//! ```toml
//! strategy = "local-first"
//!
//! [[upstreams]]
//! provider = "groq"        # without `models`: those of the preset, the most able first
//! quota.tokens = "6000/minute"
//!
//! [[upstreams]]
//! provider = "ollama"
//! models = ["llama3.2"]
//!
//! [retry]
//! max_attempts = 4
//! attempt_timeout = "60s"
//! ```
//!
//! 1. `upstreams` are models of `providers`, in the order in which they are asked. [`presets`] knows base URLs, dialects,
//!    variables, models and prices of many providers; `providers` has what it does not know, or what is other than it knows.
//! 2. A key is never in the file. `key_env` names the variable of the environment that holds it; by default that is the usual
//!    one, such as `OPENAI_API_KEY`, but only at the provider's usual URL. A literal key is a mistake, which is told without
//!    the key.
//! 3. Times have a unit (`"30s"`, `"1.5s"`, `"5m"`), limits a period (`"60/minute"`, `"3000/5m"`, `"20.00/month"`). A limit may be
//!    a table: `{ limit = "60/minute", burst = 10 }`, with `zone` for periods of the calendar and `shadow` to watch only.
//! 4. `fallback`, `retry`, `circuit_breaker`, `rate_limit`, `intake` and `answers` set the layers; the keys are those of the
//!    setters. What is not named keeps its default; `retry = "off"` and `circuit_breaker = "off"` switch a layer off.
//! 5. `rate_limit` is the limiter of each upstream, `[[rate_limit.and]]` adds more: by `scope` for all requests together, for
//!    each provider, host, value of a `header`, or [`Caller`], with `quotas` for single keys.
//! 6. `strategy` says whom to ask first: `quality-first` (in the order of the list), `local-first`, `cost-optimized` (the cheapest), `fastest`,
//!    `headroom` (most room left), `weighted`, `learned` (most answers).
//!
//! Everything that is wrong is told at once, each with line, column and key path, what was expected, what was found, and the name
//! that may have been meant: see [`Mistakes`]. [`Stack::explain`] tells what was understood. `examples/configs` in the repository
//! has five whole files, and `schema.json`, the JSON schema of the format for editors ([`Stack::json_schema`]).
//!
//! For a clock, an observer or handles of yours, begin with [`StackBuilder::from_file`], or the text with
//! [`StackBuilder::from_json`]:
//!
//! ```
//! use tower_upstream::{observe::Event, stack::StackBuilder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = r#"{
//!     "upstreams": [{ "provider": "openai", "models": ["gpt-4o-mini"], "quota": { "requests": "60/minute" } }],
//!     "retry": { "max_attempts": 4 }
//! }"#;
//! # let secrets = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-example".to_owned());
//! // Or `|name| std::env::var(name).ok()`.
//! let stack = StackBuilder::from_json(text, secrets)?.observe(|event: &Event<'_>| println!("{event}")).build()?;
//! assert!(stack.explain().contains("key: from OPENAI_API_KEY"));
//! # Ok(()) }
//! ```
//!
//! # From the environment
//!
//! [`Stack::from_env`], or [`StackBuilder::from_env`] with a prefix, reads these. All requests share the first four. What is not
//! set, or blank, keeps the crate's default.
//!
//! | variable | sets |
//! |---|---|
//! | `MAX_CONCURRENT_REQUESTS` | requests under way at the same time |
//! | `MIN_REQUEST_INTERVAL_MS` | how far apart they are sent, in milliseconds |
//! | `REQUESTS_PER_MINUTE`, `TOKENS_PER_MINUTE` | limits over a sliding minute |
//! | `MAX_RETRIES` | how often a request is sent again: 3 are 4 attempts |
//! | `INITIAL_BACKOFF_SECONDS`, `MAX_BACKOFF_SECONDS`, `BACKOFF_MULTIPLIER` | the waits between |
//! | `CIRCUIT_BREAKER_FAILURE_THRESHOLD` | failures in a row that open a circuit |
//! | `CIRCUIT_BREAKER_RECOVERY_TIMEOUT` | how long it stays open, in seconds |
//! | `CIRCUIT_BREAKER_SUCCESS_THRESHOLD` | probes that must succeed before it closes |
//! | `<AGENT>_MAX_TOKENS` | the most tokens, input and output together, of one request of that [`Caller`], whose name is in small letters |
//!
//! # How it stands
//!
//! [`Stack::status`] tells how each upstream stands, in a line of text or as JSON for a page, and [`Stack::open_metrics`] what has
//! been counted, for Prometheus.
//!
//! # When it does not help
//!
//! A stack has one retry policy and one circuit breaker policy for all upstreams. For others, or other layers between, put the
//! layers together yourself.

mod builder;
mod env;
mod explain;
mod file;
mod handle;
mod health;
mod layer;
mod open_metrics;
pub mod presets;
mod quotas;
mod status;
mod storage;
mod strategy;
mod zone;

pub use crate::request::Caller;
pub use builder::StackBuilder;
pub use file::{Mistake, Mistakes};
pub use handle::Stack;
pub use layer::{StackLayer, StackService};
pub use open_metrics::OPEN_METRICS;
pub use status::{SharedStatus, StackStatus, UpstreamStatus};

#[cfg(test)]
mod tests;
