//! What is taken of a quota: all its windows, and the spacing, at once.

use std::time::{Duration, SystemTime};

use super::{
    config::{Limit, Quota},
    count::Count,
    window::Nanos,
};
use crate::{outcome::Dimension, request::Cost};

/// What is taken of a quota.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// The limits of the quota in its order, and then those that the upstream told of.
    counts: Vec<Count>,
    interval: Nanos,
    /// When the minimum interval since the last admission has passed.
    spaced: Nanos,
    /// The time of day at the origin of the state.
    wall: SystemTime,
}

/// What an upstream says of one of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) dimension: Dimension,
    pub(super) period: Option<Duration>,
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    pub(super) reset_after: Option<Duration>,
}

/// A limit that holds nobody back, and would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shadow {
    pub(super) limit: usize,
    pub(super) until: Nanos,
}

impl Counts {
    /// Empty counts that begin `now`; `wall` is the time of day at the origin of the state.
    pub(super) fn new(quota: &Quota, now: Nanos, wall: SystemTime) -> Self {
        let counts = quota
            .limits
            .iter()
            .map(|limit| Count::new(limit, now, wall));
        Self {
            counts: counts.collect(),
            interval: interval(quota),
            spaced: 0,
            wall,
        }
    }

    /// Empty counts of the same quota, without what the upstream told.
    pub(super) fn anew(&self, quota: &Quota, now: Nanos) -> Self {
        Self::new(quota, now, self.wall)
    }

    /// The first moment, not before `from`, at which the cost fits every limit.
    pub(super) fn earliest(&mut self, cost: Cost, from: Nanos) -> Nanos {
        let binding = self
            .counts
            .iter_mut()
            .filter(|count| !count.limit.is_shadow);
        let fits = binding.map(|count| count.earliest(amount(&count.limit, cost), from));
        fits.fold(from.max(self.spaced), Nanos::max)
    }

    /// The shadow limit that would hold the cost back for the longest now.
    pub(super) fn shadow(&mut self, cost: Cost, now: Nanos) -> Option<Shadow> {
        let shadows = self
            .counts
            .iter_mut()
            .enumerate()
            .filter(|(_, count)| count.limit.is_shadow);
        let waits = shadows.map(|(limit, count)| Shadow {
            limit,
            until: count.earliest(amount(&count.limit, cost), now),
        });
        waits
            .filter(|shadow| shadow.until > now)
            .max_by_key(|shadow| shadow.until)
    }

    pub(super) fn take(&mut self, cost: Cost, now: Nanos) {
        for count in &mut self.counts {
            count.take(amount(&count.limit, cost), now);
        }
        self.spaced = now.saturating_add(self.interval);
    }

    /// Corrects what was taken at the moment `at` from `reserved` to `used`.
    pub(super) fn settle(&mut self, at: Nanos, reserved: Cost, used: Cost, now: Nanos) {
        for count in &mut self.counts {
            let (reserved, used) = (amount(&count.limit, reserved), amount(&count.limit, used));
            count.settle(at, reserved, used, now);
        }
    }

    /// Gives back all that was taken at the moment `at`.
    pub(super) fn give_back(&mut self, at: Nanos, reserved: Cost, now: Nanos) {
        for count in &mut self.counts {
            count.settle(at, amount(&count.limit, reserved), 0, now);
        }
    }

    /// Heeds what the upstream says of a limit. `pending` are the requests under way that it may not have counted yet, and
    /// what they were reckoned with.
    ///
    /// A limit that the quota does not have is taken up, where the upstream says its amount and period.
    pub(super) fn heed(&mut self, told: Told, pending: (u64, Cost), now: Nanos) {
        let count = match self.find(told) {
            Some(index) => &mut self.counts[index],
            None => match (told.limit, told.period) {
                (Some(limit), Some(period)) if limit > 0 && self.counts.len() < MOST => {
                    let limit = Limit::learned(told.dimension, limit, period);
                    self.counts.push(Count::new(&limit, now, self.wall));
                    self.counts.last_mut().expect("just put in")
                }
                _ => return,
            },
        };
        let pending = match told.dimension {
            Dimension::Requests => pending.0,
            _ => amount(&count.limit, pending.1),
        };
        count.heed(
            told.remaining.saturating_sub(pending),
            told.reset_after,
            now,
        );
    }

    /// The limit that an upstream speaks of: the one of that period, or, where it names none, of that amount, or the only
    /// one that counts the same.
    fn find(&self, told: Told) -> Option<usize> {
        let same = || {
            self.counts
                .iter()
                .enumerate()
                .filter(|(_, count)| count.limit.dimension == told.dimension)
        };
        if let Some(period) = told.period {
            return same()
                .find(|(_, count)| count.limit.per == period)
                .map(|(index, _)| index);
        }
        let of_amount = same().find(|(_, count)| Some(count.limit.amount) == told.limit);
        let only = || same().next().filter(|_| same().count() == 1);
        of_amount.or_else(only).map(|(index, _)| index)
    }

    /// Goes over to another quota. What is taken of a limit that only changes its amount stays taken, as does what the
    /// upstream told of.
    pub(super) fn change_quota(&mut self, from: &Quota, to: &Quota, now: Nanos) {
        let (old, learned) = self.counts.split_at(from.limits.len());
        let configured = to.limits.iter().map(|limit| {
            let same = old.iter().find(|count| count.can_become(limit));
            same.map_or_else(
                || Count::new(limit, now, self.wall),
                |count| count.resized(limit),
            )
        });
        let learned = learned
            .iter()
            .filter(|count| !to.limits.iter().any(|limit| count.counts_as(limit)));
        self.counts = configured.chain(learned.cloned()).collect();
        self.interval = interval(to);
    }

    /// Each limit, how much of it is taken, and when all of it will be free.
    pub(super) fn usage(&mut self, now: Nanos) -> impl Iterator<Item = (&Limit, u64, Nanos)> {
        self.counts.iter_mut().map(move |count| {
            let (used, free) = (count.used(now), count.earliest(count.limit.capacity(), now));
            (&count.limit, used, free)
        })
    }

    pub(super) fn is_empty(&mut self, now: Nanos) -> bool {
        self.spaced <= now && self.counts.iter_mut().all(|count| count.used(now) == 0)
    }
}

/// How many limits a key can have, those that its upstream told of included.
const MOST: usize = 32;

/// A cost that is above a limit, whatever is free of it.
pub(super) struct TooLarge {
    /// The index of the limit; `None` for the limit of a single request.
    pub(super) limit: Option<usize>,
}

pub(super) fn too_large(quota: &Quota, cost: Cost) -> Option<TooLarge> {
    if quota
        .max_tokens_per_request
        .is_some_and(|most| cost.total_tokens() > most)
    {
        return Some(TooLarge { limit: None });
    }
    let never_fits = |limit: &Limit| !limit.is_shadow && amount(limit, cost) > limit.capacity();
    let index = quota.limits.iter().position(never_fits)?;
    Some(TooLarge { limit: Some(index) })
}

fn interval(quota: &Quota) -> Nanos {
    Nanos::try_from(quota.min_interval.as_nanos()).unwrap_or(Nanos::MAX)
}

fn amount(limit: &Limit, cost: Cost) -> u64 {
    match limit.dimension {
        Dimension::Requests => 1,
        Dimension::Tokens => cost.total_tokens(),
        Dimension::InputTokens => cost.input_tokens,
        Dimension::OutputTokens => cost.output_tokens,
        _ => 0,
    }
}
