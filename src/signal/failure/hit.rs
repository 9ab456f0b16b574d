//! Which of the quotas that headers tell of was hit.

use std::time::Duration;

use crate::{outcome::LimitHit, signal::QuotaReading};

/// When the last of the quotas is renewed that were hit.
pub(super) fn reset_of_hit(limit: &LimitHit, readings: &[QuotaReading<'_>]) -> Option<Duration> {
    let hit = readings
        .iter()
        .filter(|reading| is_hit(reading, limit, readings.len()));
    hit.filter_map(|reading| reading.reset_after).max()
}

/// Fills the gaps from the reading of the quota that was hit, if it can be told which it is.
pub(super) fn complete_from_headers(limit: &mut LimitHit, readings: &[QuotaReading<'_>]) {
    let hit = readings
        .iter()
        .filter(|reading| is_hit(reading, limit, readings.len()))
        .max_by_key(|reading| reading.remaining == Some(0.0));
    let Some(reading) = hit else { return };
    limit.dimension = limit.dimension.or(Some(reading.dimension));
    limit.window = limit.window.or(reading.window);
    limit.limit = limit.limit.or(reading.limit);
    limit.used = limit.used.or(reading.used);
    limit.remaining = limit.remaining.or(reading.remaining);
}

/// Whether a reading is of the limit that was hit: the one that the body names, one with nothing left, or the only one.
fn is_hit(reading: &QuotaReading<'_>, limit: &LimitHit, readings: usize) -> bool {
    let fits = limit
        .dimension
        .is_none_or(|dimension| dimension == reading.dimension)
        && (limit.window.is_none() || reading.window.is_none() || limit.window == reading.window);
    let is_empty = reading.remaining == Some(0.0) || reading.limit == Some(0.0);
    let is_named = limit.dimension.is_some() && reading.remaining.is_none_or(|left| left <= 0.0);
    fits && (is_empty || is_named || readings == 1 && reading.remaining.is_none())
}
