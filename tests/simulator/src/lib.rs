//! Providers of language models, simulated on the loopback interface.
//!
//! A [`Simulator`] is a real HTTP server (HTTP/1.1, and HTTP/2 with prior knowledge) in the
//! current tokio runtime. It speaks one provider's dialect: the paths, the bodies of answers and
//! of errors, and the quota headers. It shares no code with the client under test, so that it is
//! an independent witness of what that client sent, and when.
//!
//! # Rules
//!
//! 1. `POST …/chat/completions` is served by every provider, `POST …/messages` by Anthropic, `POST …/embeddings` by OpenAI,
//!    `GET …/models` by all. Everything else is a 404 in the provider's shape.
//! 2. A request is looked at in this order: key (401), body (400), [script](Simulator::script),
//!    model (404), quotas (429, or what the provider says to a request that can never fit).
//! 3. Quotas are exact: each is a log of the requests of the last minute or day, and a request is
//!    admitted by all of its model's quotas or spends nothing. See [`Limits`].
//! 4. A request costs one token per four characters of its messages, rounded up, and the most
//!    output tokens that it allows, where it says so. Once it is answered, the log holds what it
//!    really used.
//! 5. Refusals and scripted failures come at once, answers after
//!    [`latency`](SimulatorBuilder::latency).
//! 6. All that arrives is [counted](Simulator::counts) and [logged](Simulator::log).
//!
//! # Example
//!
//! ```
//! use provider_simulator::{Limits, Reply, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let groq = Simulator::groq()
//!     .key("gsk-simulated")
//!     .model("openai/gpt-oss-20b", Limits::new().requests_per_minute(30).tokens_per_day(500_000))
//!     .start()
//!     .await?;
//! groq.script([Reply::Overloaded, Reply::Answer]);
//! assert!(groq.url().ends_with("/openai/v1"));
//! assert_eq!(groq.counts().received, 0);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answer;
mod body;
mod builder;
mod counts;
mod desk;
mod dialect;
mod fault;
mod ledger;
mod limits;
mod question;
mod quota;
mod refusal;
mod script;
mod server;
mod simulator;
mod text;
mod visit;

pub use builder::SimulatorBuilder;
pub use counts::{Counts, Received};
pub use limits::Limits;
pub use script::Reply;
pub use simulator::Simulator;
