//! How large a request is, and how large a single one may be, whatever is free.

use super::{config::Quota, limit::Limit, mark::Admissions};
use crate::{cost::Cost, outcome::Dimension};

/// How much of a limit a request takes.
pub(super) fn amount(limit: &Limit, cost: Cost) -> u64 {
    match limit.dimension {
        Dimension::Requests => 1,
        Dimension::Tokens => cost.total_tokens(),
        Dimension::InputTokens => cost.input_tokens,
        Dimension::OutputTokens => cost.output_tokens,
        Dimension::Money => cost.money.nanos(),
        _ => 0,
    }
}

/// How much of a limit was admitted after an earlier request.
pub(super) fn amount_since(limit: &Limit, earlier: Admissions, now: Admissions) -> u64 {
    let (requests, cost) = now.since(earlier);
    match limit.dimension {
        Dimension::Requests => requests,
        _ => amount(limit, cost),
    }
}

/// A cost that is above a limit, whatever is free of it.
pub(super) struct TooLarge {
    /// The index of the limit; `None` for the limit of a single request.
    pub(super) limit: Option<usize>,
}

#[inline]
pub(super) fn too_large(quota: &Quota, cost: &Cost) -> Option<TooLarge> {
    // One request fits every limit.
    if *cost == Cost::default() {
        return None;
    }
    let is_above = |most| cost.total_tokens() > most;
    if quota.max_tokens_per_request.is_some_and(is_above) {
        return Some(TooLarge { limit: None });
    }
    let never_fits = |limit: &Limit| !limit.is_shadow && amount(limit, *cost) > limit.capacity();
    let index = quota.limits.iter().position(never_fits)?;
    Some(TooLarge { limit: Some(index) })
}

/// The most tokens that the answer to a prompt of this size can have.
pub(super) fn room_for_answer(quota: &Quota, input_tokens: u64) -> u64 {
    let binding = quota.limits.iter().filter(|limit| !limit.is_shadow);
    let of_limits = binding.filter_map(|limit| match limit.dimension {
        Dimension::Tokens => Some(limit.capacity().saturating_sub(input_tokens)),
        Dimension::OutputTokens => Some(limit.capacity()),
        _ => None,
    });
    let of_one = quota.max_tokens_per_request;
    let of_one = of_one.map(|most| most.saturating_sub(input_tokens));
    of_limits.chain(of_one).min().unwrap_or(u64::MAX)
}
