//! How much of one limit is taken, and when more of it is free. Fixed memory, whole numbers only.

mod bucket;
mod calendar_count;
mod sliding;

use bucket::Bucket;
use calendar_count::CalendarCount;
use sliding::Sliding;

use super::{
    epoch::{Anchor, Nanos, WallNanos},
    limit::{Counting, Limit},
    saved::Taking,
};

/// The count of one limit. It does not carry its limit: that stands once in the quota, whatever the number of keys.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Sliding(Sliding),
    Bucket(Bucket),
    Calendar(CalendarCount),
}

impl Window {
    /// An empty window that counts from `now` on; `wall` is the time of day at the limiter's nanosecond zero.
    pub(super) fn new(limit: &Limit, now: Nanos, wall: WallNanos) -> Self {
        match &limit.counting {
            Counting::Sliding => Self::Sliding(Sliding::default()),
            Counting::Bucket { burst } => Self::Bucket(Bucket::new(limit, *burst, now)),
            Counting::Calendar { .. } => Self::Calendar(CalendarCount::new(now, wall)),
        }
    }

    /// Whether it is seen at a glance that so much fits now. Where it is not, it may fit all the same; what is more than the
    /// limit's capacity never does.
    #[inline(always)]
    pub(super) fn has_room(&self, limit: &Limit, amount: u64, now: Nanos) -> bool {
        match self {
            Self::Sliding(window) => window.has_room(limit, amount),
            Self::Bucket(bucket) => bucket.has_room(limit, amount),
            Self::Calendar(count) => count.has_room(limit, amount, now),
        }
    }

    /// The first moment, not before `now`, at which so much fits if nothing else is taken. More than the limit's capacity
    /// never fits; it is given the moment at which everything is free.
    #[inline]
    pub(super) fn earliest(&self, limit: &Limit, amount: u64, now: Nanos) -> Nanos {
        if amount == 0 {
            return now;
        }
        match (self, &limit.counting) {
            (Self::Sliding(window), _) => window.earliest(limit, amount, now),
            (Self::Bucket(bucket), Counting::Bucket { burst }) => {
                bucket.earliest(limit, *burst, amount, now)
            }
            (Self::Calendar(count), Counting::Calendar { every, zone }) => {
                count.earliest(limit, amount, now, |at| zone.span(*every, at))
            }
            _ => now,
        }
    }

    /// Takes so much, whether it fits or not.
    #[inline(always)]
    pub(super) fn take(&mut self, limit: &Limit, amount: u64, now: Nanos) {
        if amount == 0 {
            return;
        }
        match (self, &limit.counting) {
            (Self::Sliding(window), _) => window.take(limit, amount, now),
            (Self::Bucket(bucket), Counting::Bucket { burst }) => {
                bucket.take(limit, *burst, amount, now);
            }
            (Self::Calendar(count), Counting::Calendar { every, zone }) => {
                count.take(amount, now, |at| zone.span(*every, at));
            }
            _ => {}
        }
    }

    /// Corrects what was taken at the moment `at` from `reserved` to `used`.
    pub(super) fn settle(
        &mut self,
        limit: &Limit,
        at: Nanos,
        reserved: u64,
        used: u64,
        now: Nanos,
    ) {
        if reserved == used {
            return;
        }
        match (self, &limit.counting) {
            (Self::Sliding(window), _) => window.settle(limit, at, reserved, used, now),
            (Self::Bucket(bucket), Counting::Bucket { burst }) => {
                bucket.settle(limit, *burst, (at, reserved, used), now);
            }
            (Self::Calendar(count), _) => count.settle(at, reserved, used),
            _ => {}
        }
    }

    /// How much is taken, which after a settlement can be more than the limit.
    pub(super) fn used(&self, limit: &Limit, now: Nanos) -> u64 {
        match (self, &limit.counting) {
            (Self::Sliding(window), _) => window.used(limit, now),
            (Self::Bucket(bucket), Counting::Bucket { burst }) => bucket.used(limit, *burst, now),
            (Self::Calendar(count), _) => count.used(now),
            _ => 0,
        }
    }

    /// What is taken, for the wall clock; in order.
    pub(super) fn save(&self, limit: &Limit, anchor: Anchor, now: Nanos) -> Vec<Taking> {
        let taken = match (self, &limit.counting) {
            (Self::Sliding(window), _) => return window.save(limit, anchor, now),
            (Self::Bucket(bucket), Counting::Bucket { burst }) => {
                bucket.save(limit, *burst, anchor, now)
            }
            (Self::Calendar(count), _) => count.save(anchor, now),
            _ => None,
        };
        taken.into_iter().collect()
    }

    /// Adds what was taken of a limit that counts in the same way over the same period.
    pub(super) fn restore(&mut self, limit: &Limit, taken: &[Taking], anchor: Anchor, now: Nanos) {
        match (self, &limit.counting) {
            (Self::Sliding(window), _) => window.restore(limit, taken, anchor, now),
            (Self::Bucket(bucket), Counting::Bucket { burst }) => {
                for taking in taken {
                    bucket.restore(limit, *burst, *taking, anchor, now);
                }
            }
            (Self::Calendar(count), Counting::Calendar { every, zone }) => {
                for taking in taken {
                    count.restore(*taking, now, |at| zone.span(*every, at));
                }
            }
            _ => {}
        }
    }

    /// Goes over to a limit that counts in the same way over the same period: what is taken stays taken.
    pub(super) fn resize(&mut self, from: &Limit, to: &Limit) {
        // The others keep what is taken, and are told the amount when they are asked.
        if let (
            Self::Bucket(bucket),
            Counting::Bucket { burst: old },
            Counting::Bucket { burst: new },
        ) = (self, &from.counting, &to.counting)
        {
            bucket.resize(from, *old, *new);
        }
    }
}

#[cfg(test)]
mod tests;
