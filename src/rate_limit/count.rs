//! The count of one limit: what went through here, and what the upstream says went elsewhere.

use std::time::{Duration, SystemTime};

use super::{
    config::Limit,
    window::{Nanos, Window},
};

/// The count of one limit.
#[derive(Clone, Debug)]
pub(super) struct Count {
    pub(super) limit: Limit,
    window: Window,
    /// When the count began: what was taken before is not in it.
    since: Nanos,
    elsewhere: Elsewhere,
}

/// What the upstream says is taken beyond what went through here: by other clients, or counted otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Elsewhere {
    amount: u64,
    /// When the upstream renews the quota.
    until: Nanos,
}

impl Count {
    /// An empty count that begins `now`; `wall` is the time of day at the origin of the state.
    pub(super) fn new(limit: &Limit, now: Nanos, wall: SystemTime) -> Self {
        Self {
            limit: limit.clone(),
            window: Window::new(limit, wall),
            since: now,
            elsewhere: Elsewhere::default(),
        }
    }

    /// The count of a limit that counts the same, with another amount: what is taken stays taken.
    pub(super) fn resized(&self, limit: &Limit) -> Self {
        let mut count = self.clone();
        count.limit = limit.clone();
        count.window.resize(limit);
        count
    }

    pub(super) fn take(&mut self, amount: u64, now: Nanos) {
        self.window.take(amount, now);
    }

    /// Corrects what was taken at the moment `at` from `reserved` to `used`.
    pub(super) fn settle(&mut self, at: Nanos, reserved: u64, used: u64, now: Nanos) {
        if at >= self.since {
            self.window.settle(at, reserved, used, now);
        }
    }

    /// The first moment, not before `now`, at which so much fits beside what was taken here and elsewhere.
    pub(super) fn earliest(&mut self, amount: u64, now: Nanos) -> Nanos {
        let alone = self.window.earliest(amount, now);
        let Elsewhere {
            amount: taken,
            until,
        } = self.elsewhere;
        if amount == 0 || taken == 0 || until <= now {
            return alone;
        }
        let renewed = alone.max(until);
        match amount.checked_add(taken) {
            Some(both) if both <= self.limit.capacity() => {
                self.window.earliest(both, now).min(renewed)
            }
            _ => renewed,
        }
    }

    pub(super) fn used(&mut self, now: Nanos) -> u64 {
        let Elsewhere { amount, until } = self.elsewhere;
        let elsewhere = if until > now { amount } else { 0 };
        self.window.used(now).saturating_add(elsewhere)
    }

    /// Lowers what is left to `remaining`, until the quota is renewed. It is never raised above what is left by our own
    /// count: what the upstream has not counted yet, it cannot tell.
    pub(super) fn heed(&mut self, remaining: u64, reset_after: Option<Duration>, now: Nanos) {
        let free = self.limit.capacity().saturating_sub(self.window.used(now));
        let reset_after = reset_after.unwrap_or(self.limit.per).min(LONGEST);
        let reset_after = Nanos::try_from(reset_after.as_nanos()).unwrap_or(Nanos::MAX);
        self.elsewhere = Elsewhere {
            amount: free.saturating_sub(remaining),
            until: now.saturating_add(reset_after),
        };
    }

    /// Whether the two limits count the same thing over the same period.
    pub(super) fn counts_as(&self, limit: &Limit) -> bool {
        (self.limit.dimension, self.limit.per) == (limit.dimension, limit.per)
    }

    /// Whether the two limits differ in nothing but their amount.
    pub(super) fn can_become(&self, limit: &Limit) -> bool {
        self.counts_as(limit) && self.limit.counts_like(limit)
    }
}

/// A reset further off than this is a mistake, or a date that was read as a duration.
const LONGEST: Duration = Duration::from_secs(32 * 86_400);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn count() -> Count {
        Count::new(&Limit::requests(100).per_minute(), 0, UNIX_EPOCH)
    }

    #[test]
    fn what_the_upstream_says_is_left_is_all_that_is_left_until_it_renews_the_quota() {
        let mut count = count();
        count.take(1, 0);
        count.heed(1, Some(Duration::from_secs(20)), 0);
        assert_eq!(count.used(0), 99);
        assert_eq!(count.earliest(1, 0), 0);
        assert_eq!(count.earliest(2, 0), 20 * SECOND);
        assert_eq!(count.used(20 * SECOND), 1);
    }

    #[test]
    fn what_went_through_here_may_leave_before_the_quota_is_renewed() {
        let mut count = count();
        count.take(60, 0);
        count.heed(0, Some(Duration::from_secs(300)), 30 * SECOND);
        assert_eq!(count.earliest(1, 30 * SECOND), 60 * SECOND);
        assert_eq!(count.earliest(61, 30 * SECOND), 330 * SECOND);
    }

    // misina#92, and a header that is older than what has been sent since.
    #[test]
    fn nothing_the_upstream_says_frees_what_was_taken_here() {
        let mut count = count();
        count.take(100, 0);
        count.heed(100, Some(Duration::ZERO), SECOND);
        assert_eq!(count.earliest(1, SECOND), 60 * SECOND);
        count.heed(u64::MAX, Some(Duration::MAX), SECOND);
        assert_eq!(count.earliest(1, SECOND), 60 * SECOND);
    }
}
