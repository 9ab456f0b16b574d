//! [`LimitUse`]: how much of a limit is taken.

use std::{fmt, time::Duration};

use crate::{outcome::Dimension, plain_words};

/// How much of one limit is taken, the request that is told of included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitUse {
    /// What is counted.
    pub dimension: Dimension,
    /// How much of it one period allows; of money, in billionths of a unit, as is what is used.
    pub amount: u64,
    /// The period; a month is 30 days.
    pub per: Duration,
    /// How much of it can be taken at once: the amount, or what a bucket holds.
    pub capacity: u64,
    /// How much is taken. After a settlement this can be more than the capacity.
    pub used: u64,
}

impl LimitUse {
    /// So much of a limit that is no bucket; for tests of your observers.
    pub fn new(dimension: Dimension, amount: u64, per: Duration, used: u64) -> Self {
        Self {
            dimension,
            amount,
            per,
            capacity: amount,
            used,
        }
    }

    /// The same, of a limit of which so much can be taken at once.
    pub(crate) fn of_capacity(self, capacity: u64) -> Self {
        Self { capacity, ..self }
    }

    /// The share that is taken: 1.0 where the last of it is gone.
    pub fn share(&self) -> f64 {
        match (self.used, self.capacity) {
            (0, _) => 0.0,
            (used, capacity) => used as f64 / capacity as f64,
        }
    }
}

/// The limit in words, such as `12000 tokens per 60s`.
impl fmt::Display for LimitUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = plain_words::amount(self.amount, self.dimension);
        write!(f, "{amount} per {:?}", self.per)
    }
}
