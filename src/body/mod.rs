//! Bodies: [`Replay`] for requests that can be sent again, [`Tracked`] for responses that something must outlive.

mod carried;
mod kept;
mod layer;
mod replay;
mod replay_body;
mod source;
mod tracked;
mod wakers;

pub use layer::{ReplayBodyLayer, ReplayBodyService};
pub(crate) use replay::RequestCopy;
pub use replay::{Once, Replay};
pub use replay_body::ReplayBody;
pub use tracked::{Guard, Tracked};
