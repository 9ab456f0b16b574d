//! What each table of the format holds.

mod answers;
mod budget;
mod circuit_breaker;
mod fallback;
mod intake;
mod limiter;
mod quota;
mod retry;
mod schedule;
mod stack;
mod upstream;

pub(super) use stack::{STACK, StackDraft};
pub(super) use upstream::{ProviderDraft, UpstreamDraft};
