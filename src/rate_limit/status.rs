//! How the limits of a key stand, as [`RateLimiter::status`](super::RateLimiter::status) tells it.

use std::time::Duration;

use super::{
    config::Quota,
    limit::{Counting, Limit},
};
use crate::{outcome::Dimension, period};

/// How the limits of one key stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Each limit of the key's quota, in its order, and then each that the upstream told of.
    pub limits: Vec<LimitStatus>,
    /// How many requests are under way; a request is until its response's body has ended.
    pub in_flight: u32,
    /// How many requests wait.
    pub queued: usize,
    /// How long everybody is held back, because the upstream or you asked for it.
    pub paused: Option<Duration>,
}

/// How one limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStatus {
    /// What is counted.
    pub dimension: Dimension,
    /// How much of it one period allows; of money, in billionths of a unit, as is what is used and left.
    pub amount: u64,
    /// The period.
    pub per: Duration,
    /// How it counts.
    pub counting: LimitKind,
    /// Whether it holds nobody back, and only reports what it would do.
    pub is_shadow: bool,
    /// Whether the upstream told of it, and nobody had set it.
    pub is_learned: bool,
    /// How much is taken; after a settlement this can be more than the amount.
    pub used: u64,
    /// How much is left; of a bucket, of what it holds.
    pub remaining: u64,
    /// How long until nothing is taken any more.
    pub reset_after: Duration,
}

/// How a limit counts; see [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKind {
    /// Over a window that slides.
    Sliding,
    /// As a token bucket.
    Bucket {
        /// How much it holds.
        burst: u64,
    },
    /// In periods of the calendar.
    Calendar,
}

impl LimitStatus {
    /// Of each limit of a quota of which nothing is taken.
    pub(crate) fn untouched(quota: &Quota) -> Vec<Self> {
        let limits = quota.limits.iter();
        limits
            .map(|limit| Self::new(limit, 0, Duration::ZERO, false))
            .collect()
    }

    /// `per minute`, `per month`.
    pub(crate) fn period_in_words(&self) -> String {
        match self.is_monthly() {
            true => "per month".into(),
            false => period::per(self.per),
        }
    }

    /// Whether its period is a month of the calendar: none other of that is longer than a day.
    pub(crate) fn is_monthly(&self) -> bool {
        self.counting == LimitKind::Calendar && self.per > DAY
    }

    /// The share of it that is taken, of a bucket that of what it holds: 1.0 where nothing is left.
    pub fn taken(&self) -> f64 {
        let capacity = self.used.saturating_add(self.remaining).max(1);
        self.used as f64 / capacity as f64
    }

    pub(super) fn new(limit: &Limit, used: u64, reset_after: Duration, is_learned: bool) -> Self {
        Self {
            dimension: limit.dimension,
            amount: limit.amount,
            per: limit.per,
            counting: match limit.counting {
                Counting::Sliding => LimitKind::Sliding,
                Counting::Bucket { burst } => LimitKind::Bucket { burst },
                Counting::Calendar { .. } => LimitKind::Calendar,
            },
            is_shadow: limit.is_shadow,
            is_learned,
            used,
            remaining: limit.capacity().saturating_sub(used),
            reset_after,
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);
