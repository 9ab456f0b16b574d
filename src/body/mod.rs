//! Bodies: [`Replay`] for requests that can be sent again, [`Tracked`] for responses that something must outlive.

mod replay;
mod tracked;

pub use replay::Replay;
pub(crate) use replay::replay_request;
pub use tracked::{Guard, Tracked};
