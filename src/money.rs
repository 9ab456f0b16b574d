//! Money.

use std::fmt;

/// An amount of money in billionths of a unit of whatever currency your prices are in: up to some 18 billion units.
///
/// ```
/// use tower_upstream::Money;
///
/// let daily = Money::from_cents(2_050);
/// assert_eq!(daily.to_string(), "20.50");
/// assert_eq!(Money::from_nanos(1_500).to_string(), "0.0000015");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    /// So many billionths of a unit.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many hundredths of a unit; what is too much to be told is the most that can be.
    pub const fn from_cents(cents: u64) -> Self {
        Self(cents.saturating_mul(CENT))
    }

    /// In billionths of a unit.
    pub const fn nanos(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, nanos) = (self.0 / UNIT, self.0 % UNIT);
        if nanos.is_multiple_of(CENT) {
            return write!(f, "{units}.{:02}", nanos / CENT);
        }
        let digits = format!("{nanos:09}");
        write!(f, "{units}.{}", digits.trim_end_matches('0'))
    }
}

const UNIT: u64 = 1_000_000_000;

const CENT: u64 = UNIT / 100;
