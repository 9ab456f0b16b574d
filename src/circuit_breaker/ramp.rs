//! How traffic is let back to an upstream that has recovered.

use std::time::{Duration, Instant};

use crate::instant::after;

/// At a time `t` of a ramp of length `r` the share `max(0.1, t / r)` of the calls passes, the first of them too.
///
/// Each call brings its share; when a whole has come together, a call passes. Counted in nanoseconds of the ramp: a whole is
/// its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    began: Instant,
    length: Duration,
    saved: Duration,
}

impl Ramp {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        Self {
            began: now,
            length,
            // So that the first call passes, and it is one of the first tenth.
            saved: length - length / FIRST_SHARE,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= after(self.began, self.length)
    }

    /// Lets a call pass, or says when one would if no other came before.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.began);
        // Never more than the length, so that it cannot overflow when a share is added.
        self.saved = self.saved.min(self.length);
        self.saved = self
            .saved
            .saturating_add(passed.max(self.length / FIRST_SHARE));
        match self.saved.checked_sub(self.length) {
            Some(left) => {
                self.saved = left;
                Ok(())
            }
            None => Err(after(self.began, self.length - self.saved)),
        }
    }

    /// When a call would pass that is not made now, if no other came before it; `None` where it would pass now.
    pub(super) fn outlook(mut self, now: Instant) -> Option<Instant> {
        let missing = self.length.saturating_sub(self.saved);
        let is_refused = !self.is_over(now) && self.admit(now).is_err();
        is_refused.then(|| after(self.began, missing))
    }
}

/// The share at the beginning, as Envoy's `min_weight_percent` has it: a tenth.
const FIRST_SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, TokioClock};

    #[test]
    fn the_share_that_passes_grows_from_a_tenth_to_all() {
        let start = TokioClock.now();
        let length = Duration::from_secs(10);
        for (second, expected) in [(0, 100), (1, 100), (2, 200), (5, 500), (9, 900)] {
            let mut ramp = Ramp::new(length, start);
            let now = start + Duration::from_secs(second);
            let passed = (0..1_000).filter(|_| ramp.admit(now).is_ok()).count();
            // The first call passes whatever the share is.
            assert!(passed.abs_diff(expected) <= 1, "{passed} at {second} s");
            assert!(!ramp.is_over(now));
        }
        assert!(Ramp::new(length, start).is_over(start + length));
    }

    #[test]
    fn who_comes_when_he_was_told_passes_and_one_nanosecond_before_does_not() {
        let start = TokioClock.now();
        for calls in 1..10 {
            let mut ramp = Ramp::new(Duration::from_nanos(1_000_000_007), start);
            ramp.admit(start).unwrap();
            let until = (1..=calls).map(|_| ramp.admit(start)).last();
            let Some(Err(until)) = until else {
                continue;
            };
            if until > start + Duration::from_millis(101) {
                let mut early = ramp;
                early.admit(until - Duration::from_nanos(1)).unwrap_err();
            }
            ramp.admit(until).unwrap();
        }
    }

    #[test]
    fn a_ramp_as_long_as_can_be_does_not_overflow() {
        let now = TokioClock.now();
        let mut ramp = Ramp::new(Duration::MAX, now);
        for _ in 0..100 {
            let _ = ramp.admit(now);
        }
    }
}
