//! What the calls along a chain share.

use super::{handle::Cooldowns, plan::Plan};

/// What the calls along a chain share, for as long as no other chain is put in its place.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) cooldowns: Cooldowns,
}
