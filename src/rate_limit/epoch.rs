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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, TokioClock};

    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    #[test]
    fn a_moment_is_the_same_by_both_clocks() {
        let anchor = Anchor {
            now: 100,
            wall: -1_000,
        };
        for (at, wall) in [(100, -1_000), (150, -950), (0, -1_100), (2_100, 1_000)] {
            assert_eq!(anchor.wall_of(at), wall);
            assert_eq!(anchor.nanos_of(wall), at);
        }
        assert_eq!(anchor.nanos_of(-1_101), 0, "before a limiter's time began");
        assert_eq!(anchor.wall_of(Nanos::MAX), WallNanos::MAX);
    }

    #[test]
    fn what_has_been_taken_was_not_taken_later_than_now() {
        let anchor = Anchor { now: 100, wall: 0 };
        assert_eq!([-40, 0, 1].map(|wall| anchor.past(wall)), [60, 100, 100]);
    }

    #[test]
    fn a_limiter_has_a_time_for_what_was_before_it() {
        let (now, wall) = (TokioClock.now(), UNIX_EPOCH + 60 * YEAR);
        let epoch = Epoch::new(now, wall);
        assert_eq!(epoch.nanos(now), BEFORE);
        assert_eq!(epoch.instant(BEFORE), now);
        assert_eq!(epoch.instant(BEFORE - 1), now, "before it there is nothing");
        let later = now + YEAR;
        assert_eq!(epoch.nanos(later), BEFORE + nanos(YEAR));
        assert_eq!(epoch.instant(epoch.nanos(later)), later);
        assert_eq!(epoch.wall(), wall_nanos(UNIX_EPOCH + 40 * YEAR));
    }

    #[test]
    fn a_time_of_day_lies_on_either_side_of_1970_and_ends_somewhere() {
        let second = Duration::from_secs(1);
        assert_eq!(wall_nanos(UNIX_EPOCH + second), 1_000_000_000);
        assert_eq!(wall_nanos(UNIX_EPOCH - second), -1_000_000_000);
        assert_eq!(wall_nanos(UNIX_EPOCH + 400 * YEAR), WallNanos::MAX);
        assert_eq!(wall_nanos(UNIX_EPOCH - 400 * YEAR), WallNanos::MIN);
    }
}
