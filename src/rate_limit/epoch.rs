//! The time as a limiter counts it: nanoseconds since it was made.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::instant::after;

/// Nanoseconds since the limiter was made: some 584 years of them.
pub(super) type Nanos = u64;

/// Nanoseconds since 1970, by the wall clock.
pub(super) type WallNanos = i64;

/// When a limiter was made, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    origin: Instant,
    wall: WallNanos,
}

impl Epoch {
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        Self {
            origin: now,
            wall: wall_nanos(wall),
        }
    }

    pub(super) fn nanos(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.origin))
    }

    pub(super) fn instant(&self, nanos: Nanos) -> Instant {
        let offset = Duration::from_nanos(nanos);
        self.origin
            .checked_add(offset)
            .unwrap_or_else(|| after(self.origin, offset))
    }

    /// The time of day at the origin.
    pub(super) fn wall(&self) -> WallNanos {
        self.wall
    }
}

/// What does not fit, some 584 years, is as long as can be told.
pub(super) fn nanos(duration: Duration) -> Nanos {
    let seconds = duration.as_secs().checked_mul(1_000_000_000);
    let nanos = seconds.and_then(|nanos| nanos.checked_add(duration.subsec_nanos().into()));
    nanos.unwrap_or(Nanos::MAX)
}

/// A time of day from 1677 to 2262; what lies outside is its end.
pub(super) fn wall_nanos(wall: SystemTime) -> WallNanos {
    let signed = |duration: Duration| WallNanos::try_from(duration.as_nanos());
    match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => signed(after).unwrap_or(WallNanos::MAX),
        Err(before) => signed(before.duration()).map_or(WallNanos::MIN, |nanos| -nanos),
    }
}
