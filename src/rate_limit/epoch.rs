//! The time as a limiter counts it: nanoseconds since long before it was made.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::instant::{after, nanos};

/// Nanoseconds of a limiter: some 584 years of them, of which [`BEFORE`] had passed when it was made.
pub(super) type Nanos = u64;

/// Nanoseconds since 1970, by the wall clock.
pub(super) type WallNanos = i64;

/// When a limiter was made, and the time of day at its nanosecond zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    origin: Instant,
    wall: WallNanos,
}

impl Epoch {
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        Self {
            origin: now,
            wall: wall_nanos(wall).saturating_sub_unsigned(BEFORE),
        }
    }

    pub(super) fn nanos(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.origin)).saturating_add(BEFORE)
    }

    pub(super) fn instant(&self, nanos: Nanos) -> Instant {
        let offset = Duration::from_nanos(nanos.saturating_sub(BEFORE));
        self.origin
            .checked_add(offset)
            .unwrap_or_else(|| after(self.origin, offset))
    }

    /// The time of day at nanosecond zero.
    pub(super) fn wall(&self) -> WallNanos {
        self.wall
    }
}

/// One moment by both clocks, by which others are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) now: Nanos,
    pub(super) wall: WallNanos,
}

impl Anchor {
    /// The time of day of this moment.
    pub(super) fn wall_of(self, at: Nanos) -> WallNanos {
        let since = i128::from(at) - i128::from(self.now);
        let wall = i128::from(self.wall) + since;
        wall.clamp(WallNanos::MIN.into(), WallNanos::MAX.into()) as WallNanos
    }

    /// The moment of this time of day.
    pub(super) fn nanos_of(self, wall: WallNanos) -> Nanos {
        let since = i128::from(wall) - i128::from(self.wall);
        let at = i128::from(self.now) + since;
        at.clamp(0, Nanos::MAX.into()) as Nanos
    }

    /// The moment of what cannot have been later than now.
    pub(super) fn past(self, wall: WallNanos) -> Nanos {
        self.nanos_of(wall).min(self.now)
    }
}

/// A time of day from 1677 to 2262; what lies outside is its end.
pub(super) fn wall_nanos(wall: SystemTime) -> WallNanos {
    let signed = |duration: Duration| WallNanos::try_from(duration.as_nanos());
    match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => signed(after).unwrap_or(WallNanos::MAX),
        Err(before) => signed(before.duration()).map_or(WallNanos::MIN, |nanos| -nanos),
    }
}

/// How long a limiter's time has run when it is made, so that what was taken before, by another process, has a time too:
/// twice the longest period.
const BEFORE: Nanos = 20 * 365 * 86_400 * 1_000_000_000;
