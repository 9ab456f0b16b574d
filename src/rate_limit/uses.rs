//! How much of each limit is taken, as observers are told.

use super::{counts::Usage, epoch::Nanos, state::State};
use crate::observe::LimitUse;

/// How much of each limit is taken.
pub(super) fn uses(state: &mut State, now: Nanos) -> Vec<LimitUse> {
    let mut uses = Vec::with_capacity(state.quota().limits.len());
    state.usage(now).for_each(|Usage { limit, used, .. }| {
        let told = LimitUse::new(limit.dimension, limit.amount, limit.per, used);
        uses.push(told.of_capacity(limit.capacity()));
    });
    uses
}

/// Whether an upstream told of a limit that was not known, or is another now (true), or that less is left of one than was counted
/// (false).
pub(super) fn is_news(before: &[LimitUse], after: &[LimitUse]) -> Option<bool> {
    let pairs = || before.iter().zip(after);
    let is_new = pairs().any(|(before, after)| after.amount != before.amount);
    let has_less = pairs().any(|(before, after)| after.used > before.used);
    (is_new || after.len() > before.len())
        .then_some(true)
        .or(has_less.then_some(false))
}
