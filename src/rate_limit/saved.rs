//! What a limiter keeps over a restart, all of it by the wall clock.

use std::sync::Arc;

use super::{config::Quota, epoch::WallNanos, limit::Limit};

/// What is kept of one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SavedKey {
    pub(super) key: Box<str>,
    /// Where it is not the limiter's own. Its limits are those of `limits` that were not learned.
    pub(super) quota: Option<SavedQuota>,
    pub(super) paused: Option<WallNanos>,
    pub(super) limits: Vec<SavedLimit>,
    pub(super) typical: Option<SavedTypical>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SavedQuota {
    pub(super) quota: Arc<Quota>,
    /// Whether it was set for this key; else it was its upstream's.
    pub(super) is_set: bool,
}

/// A limit, and what is taken of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SavedLimit {
    pub(super) limit: Limit,
    pub(super) is_learned: bool,
    pub(super) taken: Vec<Taking>,
    pub(super) elsewhere: Option<SavedElsewhere>,
}

/// So much was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taking {
    /// When the first of it was taken.
    pub(super) from: WallNanos,
    /// When the last of it was taken. Of a bucket: when so much was missing. Of a calendar: a moment of the period.
    pub(super) at: WallNanos,
    pub(super) amount: u64,
    /// Of a bucket: what is missing beyond whole units, in nanoseconds of the period.
    pub(super) part: u64,
}

/// So much an upstream says is taken elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SavedElsewhere {
    pub(super) amount: u64,
    pub(super) until: WallNanos,
}

/// How many tokens answers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SavedTypical {
    pub(super) mean: u64,
    pub(super) deviation: u64,
}

impl SavedKey {
    /// Whether it tells what was learned, and is of use when nothing is taken any more.
    pub(super) fn is_learned(&self) -> bool {
        self.typical.is_some() || self.limits.iter().any(|limit| limit.is_learned)
    }
}

impl SavedLimit {
    /// Whether it tells what a quota does not.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.is_learned || !self.taken.is_empty() || self.elsewhere.is_some()
    }
}
