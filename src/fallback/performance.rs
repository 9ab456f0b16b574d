//! How one upstream has done of late: how soon its answers began, and how many of its calls it answered.

use std::time::{Duration, Instant};

/// What is learned of one upstream. What is long ago counts for little, so that one that has recovered is asked again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Performance {
    speed: Option<Speed>,
    answered: f64,
    failed: f64,
    /// When the two were reckoned.
    counted: Option<Instant>,
}

/// A moving average of the time until an answer began.
#[derive(Clone, Copy, Debug)]
struct Speed {
    average: Duration,
    at: Instant,
}

impl Performance {
    /// An answer began so long after its request was sent.
    pub(super) fn answered(&mut self, after: Duration, now: Instant) {
        self.fade(now);
        self.answered += 1.0;
        let average = match self.speed {
            None => after,
            Some(speed) => weigh(speed.average, after),
        };
        self.speed = Some(Speed { average, at: now });
    }

    /// A call failed. How soon says nothing about the speed of answers.
    pub(super) fn failed(&mut self, now: Instant) {
        self.fade(now);
        self.failed += 1.0;
    }

    /// The time to an answer's beginning, as it was measured; `None` before the first answer.
    pub(super) fn time_to_answer(&self) -> Option<Duration> {
        self.speed.map(|speed| speed.average)
    }

    /// The share of calls that were answered, 0.0 to 1.0, as [`HALF_LIFE`] weighs them, with one answer more than there
    /// were: without any call it is 1.0.
    pub(super) fn success_rate(&self, now: Instant) -> f64 {
        let mut at_present = *self;
        at_present.fade(now);
        (at_present.answered + 1.0) / (at_present.answered + at_present.failed + 1.0)
    }

    /// How it ranks by speed, the fastest first, in nanoseconds. One that was never asked goes before all others, and one that
    /// has only ever failed after them. What was measured halves with each [`HALF_LIFE`], so that the slower is asked again
    /// after a time that grows with how much slower it was.
    pub(super) fn rank_by_speed(&self, now: Instant) -> u64 {
        let Some(speed) = self.speed else {
            let failed_of_late = self.success_rate(now) < 0.75;
            return if failed_of_late { u64::MAX } else { 0 };
        };
        let age = now.saturating_duration_since(speed.at).as_nanos();
        let halvings = age as f64 / HALF_LIFE.as_nanos() as f64;
        (speed.average.as_nanos() as f64 * (-halvings).exp2()) as u64
    }

    /// How it ranks by what it has answered, the best first: the rate in steps of 5 %, so that a single failure among many
    /// answers moves nobody.
    pub(super) fn rank_by_success(&self, now: Instant) -> u64 {
        STEPS - (self.success_rate(now) * STEPS as f64).round() as u64
    }

    fn fade(&mut self, now: Instant) {
        let age = self
            .counted
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let left = (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        self.answered *= left;
        self.failed *= left;
        // A clock that steps back neither fades nor restores.
        self.counted = self.counted.max(Some(now));
    }
}

/// A fifth of what is new, as TCP's estimate of the round trip time weighs an eighth (RFC 6298): answers of models vary
/// more from one to the next, but there are fewer of them.
fn weigh(average: Duration, sample: Duration) -> Duration {
    average.saturating_mul(4).saturating_add(sample) / 5
}

/// After this time, what was measured counts half: the time for which an upstream cools down when it does not say.
const HALF_LIFE: Duration = Duration::from_secs(300);

const STEPS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, TokioClock};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    // liter-llm 2.4 timed failures too: the fastest failure won, and 99 of 100 calls failed.
    #[test]
    fn a_failure_is_never_fast() {
        let now = TokioClock.now();
        let (mut failing, mut slow) = (Performance::default(), Performance::default());
        failing.failed(now);
        slow.answered(Duration::from_secs(20), now);
        assert!(slow.rank_by_speed(now) < failing.rank_by_speed(now));
        slow.failed(now);
        assert_eq!(slow.time_to_answer(), Some(Duration::from_secs(20)));
    }

    #[test]
    fn who_was_never_asked_is_measured_first_and_who_is_slower_again_later() {
        let start = TokioClock.now();
        let (mut fast, mut slow) = (Performance::default(), Performance::default());
        assert_eq!(Performance::default().rank_by_speed(start), 0);
        fast.answered(ms(100), start);
        slow.answered(ms(400), start);
        let faster = |fast: &Performance, after: Duration| {
            fast.rank_by_speed(start + after) < slow.rank_by_speed(start + after)
        };
        assert!(faster(&fast, Duration::ZERO));
        // Four times slower: its turn comes after two half-lives of not being asked.
        fast.answered(ms(100), start + HALF_LIFE * 2 - ms(1));
        assert!(faster(&fast, HALF_LIFE * 2 - ms(1)));
        fast.answered(ms(100), start + HALF_LIFE * 2 + ms(1));
        assert!(!faster(&fast, HALF_LIFE * 2 + ms(1)));
    }

    #[test]
    fn what_failed_long_ago_is_forgiven_by_halves() {
        let start = TokioClock.now();
        let mut performance = Performance::default();
        assert_eq!(performance.rank_by_success(start), 0);
        (0..3).for_each(|_| performance.failed(start));
        assert_eq!(performance.success_rate(start), 0.25);
        assert_eq!(performance.success_rate(start + HALF_LIFE), 0.4);
        assert!(performance.success_rate(start + HALF_LIFE * 10) > 0.99);
        assert_eq!(performance.rank_by_success(start), 15);
    }

    #[test]
    fn one_failure_among_many_answers_moves_nobody() {
        let now = TokioClock.now();
        let mut performance = Performance::default();
        (0..99).for_each(|_| performance.answered(ms(1), now));
        performance.failed(now);
        assert_eq!(performance.rank_by_success(now), 0);
    }

    #[test]
    fn absurd_times_and_steps_back_neither_panic_nor_overflow() {
        let start = TokioClock.now();
        let year = Duration::from_secs(365 * 86_400);
        let mut performance = Performance::default();
        performance.answered(Duration::MAX, start + year);
        performance.answered(Duration::MAX, start);
        performance.failed(start);
        for at in [start, start + year * 100] {
            assert!((0.0..=1.0).contains(&performance.success_rate(at)));
            performance.rank_by_speed(at);
        }
    }
}
