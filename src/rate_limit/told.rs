//! What an upstream says of one of its limits, and what follows from it.

use std::time::Duration;

use super::{
    epoch::{Nanos, WallNanos},
    limit::Limit,
    mark::{Admissions, Mark},
    size::amount_since,
    window::Window,
};
use crate::outcome::Dimension;

/// What an upstream says of one of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) dimension: Dimension,
    pub(super) period: Option<Duration>,
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    pub(super) reset_after: Option<Duration>,
    /// Whether the reset is when all of it will be free again, else the end of a window.
    pub(super) is_refilling: bool,
}

impl Told {
    /// What the upstream had counted.
    pub(super) fn counted(&self, limit: &Limit) -> u64 {
        limit.capacity().saturating_sub(self.remaining)
    }

    /// How much is taken elsewhere, by what the upstream had counted when the request came there: that, less what had gone
    /// through here by then. It never raises what is left above our own count: what the upstream has not counted yet, it
    /// cannot tell.
    ///
    /// What has left our count since then has been renewed, but not for us alone: others have had their share of it, which
    /// is taken to be their share of the quota. Where it is not known what had gone through here, nothing was renewed.
    pub(super) fn elsewhere(
        &self,
        limit: &Limit,
        used_then: Option<u64>,
        used_now: u64,
        since: u64,
    ) -> u64 {
        let (capacity, counted) = (limit.capacity(), self.counted(limit));
        let Some(used_then) = used_then else {
            return counted.saturating_add(since).saturating_sub(used_now);
        };
        let elsewhere = counted.saturating_sub(used_then);
        let renewed = used_then.saturating_add(since).saturating_sub(used_now);
        let share = u128::from(renewed) * u128::from(elsewhere) / u128::from(capacity.max(1));
        elsewhere.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// The limit that is told, where its amount is, and its period is or follows.
    pub(super) fn to_limit(self) -> Option<Limit> {
        let amount = self.limit.filter(|limit| *limit > 0)?;
        match self.period {
            Some(period) => Some(Limit::learned(self.dimension, amount, period)),
            None => Some(Limit::inferred(
                self.dimension,
                amount,
                self.inferred_period()?,
            )),
        }
    }

    pub(super) fn with_inferred_period(self) -> Option<Self> {
        let period = self.period.or_else(|| self.inferred_period())?;
        Some(Self {
            period: Some(period),
            ..self
        })
    }

    /// The count of a limit that is heard of now.
    ///
    /// What the upstream had counted of one that refills is in it, and refills; of others that is taken elsewhere, until the reset.
    pub(super) fn window(
        &self,
        limit: &Limit,
        (mark, admitted): (Mark<'_>, Admissions),
        now: Nanos,
        wall: WallNanos,
    ) -> Window {
        let mut window = Window::new(limit, now, wall);
        if limit.is_bucket() {
            let since = amount_since(limit, mark.admitted, admitted);
            window.take(limit, self.counted(limit).saturating_add(since), now);
        }
        window
    }

    /// The period of a limit that refills: what was used comes back until the reset, and all of it takes so much longer.
    ///
    /// A reset that is the end of a window after all is not mistaken for a longer period, which might hold everybody back for
    /// hours: where a twentieth is used, what follows is at most twenty times the reset, and there are no two periods
    /// of these so close to each other.
    fn inferred_period(&self) -> Option<Duration> {
        let (used, in_periods) = self.used_of_refilling()?;
        let is_near = |period: &f64| (in_periods / period - used).abs() <= TOLERANCE * used;
        let period = PERIODS.into_iter().find(is_near)?;
        Some(Duration::from_secs_f64(period))
    }

    /// Whether the period of a limit of this amount was inferred wrongly.
    pub(super) fn contradicts(&self, limit: &Limit) -> bool {
        if self.limit != Some(limit.amount) {
            return false;
        }
        let Some((used, in_periods)) = self.used_of_refilling() else {
            return false;
        };
        // What is left is told in whole units, rounded down.
        let by_reset = in_periods / limit.per.as_secs_f64();
        let fits = (used - 1.0) * (1.0 - TOLERANCE)..=used * (1.0 + TOLERANCE);
        !fits.contains(&by_reset)
    }

    /// What is used of a limit that refills, where that is enough to reckon with; and the same times its period in seconds, by the
    /// time that it takes to refill.
    fn used_of_refilling(&self) -> Option<(f64, f64)> {
        let limit = self
            .limit
            .filter(|_| self.is_refilling && self.is_counted())?;
        let used = limit.checked_sub(self.remaining)?;
        let is_enough = used > 0 && used >= limit.div_ceil(LEAST_USED);
        let reset_after = self.reset_after.filter(|_| is_enough)?;
        Some((used as f64, reset_after.as_secs_f64() * limit as f64))
    }

    /// For how long nothing is left: until the end of the window, whatever its length.
    ///
    /// Of one that was said to refill, and does not, up to a minute is waited for.
    pub(super) fn closed_for(&self, does_not_refill: bool) -> Option<Duration> {
        let is_closed = self.remaining == 0 && self.is_counted();
        let reset_after = self.reset_after.filter(|_| is_closed)?;
        let is_window = !self.is_refilling || (does_not_refill && reset_after <= A_MINUTE);
        is_window.then_some(reset_after.min(LONGEST))
    }

    /// Whether every request takes of it, or may.
    fn is_counted(&self) -> bool {
        matches!(
            self.dimension,
            Dimension::Requests
                | Dimension::Tokens
                | Dimension::InputTokens
                | Dimension::OutputTokens
        )
    }
}

/// The periods that providers' limits have, in seconds.
const PERIODS: [f64; 4] = [1.0, 60.0, 3_600.0, 86_400.0];

const A_MINUTE: Duration = Duration::from_secs(60);

/// Figures are rounded, and what is left is told a moment after it was counted.
const TOLERANCE: f64 = 0.1;

/// The share of a limit, as its reciprocal, that must be used for its period to be inferred. It is below the least quotient of two
/// periods, less the tolerance.
const LEAST_USED: u64 = 20;

/// A reset further off than this is a mistake, or a date that was read as a duration.
pub(super) const LONGEST: Duration = Duration::from_secs(32 * 86_400);

#[cfg(test)]
mod tests;
