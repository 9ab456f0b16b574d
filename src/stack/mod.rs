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

mod builder;
mod explain;
mod handle;
mod layer;
pub mod presets;
mod storage;

pub use builder::StackBuilder;
pub use handle::Stack;
pub use layer::{StackLayer, StackService};

#[cfg(test)]
mod tests;
