//! How one upstream has done of late: how soon its answers began, and how many of its calls it answered.

use std::time::{Duration, Instant};

use crate::instant::nanos;

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
        if self.failed == 0.0 {
            return 1.0;
        }
        let left = self.left(now);
        let (answered, failed) = (self.answered * left, self.failed * left);
        (answered + 1.0) / (answered + failed + 1.0)
    }

    /// How it ranks by speed, the fastest first, in nanoseconds. One that was never asked goes before all others, and one that
    /// has only ever failed after them. What was measured halves with each [`HALF_LIFE`], so that the slower is asked again
    /// after a time that grows with how much slower it was.
    pub(super) fn rank_by_speed(&self, now: Instant) -> u64 {
        match self.speed {
            Some(speed) => halved(nanos(speed.average), age(speed.at, now)),
            None if self.failed == 0.0 || self.success_rate(now) > FORGIVEN => 0,
            None => u64::MAX,
        }
    }

    /// How it ranks by what it has answered, the best first: the rate in steps of 5 %, so that a single failure among many
    /// answers moves nobody.
    pub(super) fn rank_by_success(&self, now: Instant) -> u64 {
        STEPS - (self.success_rate(now) * STEPS as f64).round() as u64
    }

    fn fade(&mut self, now: Instant) {
        let left = self.left(now);
        self.answered *= left;
        self.failed *= left;
        // A clock that steps back neither fades nor restores.
        self.counted = self.counted.max(Some(now));
    }

    /// What is left now of what was counted.
    fn left(&self, now: Instant) -> f64 {
        let age = self.counted.map_or(0, |at| age(at, now));
        (-(age as f64) / HALF_LIFE as f64).exp2()
    }
}

/// What is left of it after this age: halved for each half-life, and on a straight line between two halvings.
fn halved(nanos: u64, age: u64) -> u64 {
    let (halvings, rest) = (age / HALF_LIFE, age % HALF_LIFE);
    let nanos = nanos.checked_shr(halvings.try_into().unwrap_or(u32::MAX));
    let nanos = nanos.unwrap_or(0);
    // In 1,024ths, which is as exact as such a measure is.
    nanos - (nanos / 2048) * (rest / (HALF_LIFE / 1024))
}

fn age(at: Instant, now: Instant) -> u64 {
    nanos(now.saturating_duration_since(at))
}

/// A fifth of what is new, as TCP's estimate of the round trip time weighs an eighth (RFC 6298): answers of models vary
/// more from one to the next, but there are fewer of them.
fn weigh(average: Duration, sample: Duration) -> Duration {
    average.saturating_mul(4).saturating_add(sample) / 5
}

/// After this time in nanoseconds, what was measured counts half: 5 min, for which an upstream cools down when it does not
/// say.
const HALF_LIFE: u64 = 300 * 1_000_000_000;

/// One that has only ever failed is taken as one that was never asked when so little of its failures is left.
const FORGIVEN: f64 = 0.75;

const STEPS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, TokioClock};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
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
        let half_life = secs(300);
        assert!(faster(&fast, Duration::ZERO));
        // Four times slower: its turn comes after two half-lives of not being asked.
        fast.answered(ms(100), start + half_life * 2 - secs(1));
        assert!(faster(&fast, half_life * 2 - secs(1)));
        fast.answered(ms(100), start + half_life * 2 + secs(1));
        assert!(!faster(&fast, half_life * 2 + secs(1)));
    }

    #[test]
    fn what_failed_long_ago_is_forgiven_by_halves() {
        let start = TokioClock.now();
        let mut performance = Performance::default();
        assert_eq!(performance.rank_by_success(start), 0);
        let half_life = secs(300);
        (0..3).for_each(|_| performance.failed(start));
        assert_eq!(performance.success_rate(start), 0.25);
        assert_eq!(performance.success_rate(start + half_life), 0.4);
        assert!(performance.success_rate(start + half_life * 10) > 0.99);
        assert_eq!(performance.rank_by_success(start), 15);
    }

    #[test]
    fn what_was_counted_before_fades_under_what_is_counted_later() {
        let start = TokioClock.now();
        let later = start + secs(300);
        let mut performance = Performance::default();
        (0..4).for_each(|_| performance.answered(ms(1), start));
        (0..4).for_each(|_| performance.failed(start));
        performance.failed(later);
        // Of four each, two are left: (2 + 1) / (2 + 3 + 1).
        assert_eq!(performance.success_rate(later), 0.5);
    }

    #[test]
    fn who_only_ever_failed_goes_last_until_a_third_of_one_failure_is_left() {
        let start = TokioClock.now();
        let mut performance = Performance::default();
        performance.failed(start);
        let rank = |after: f64| {
            let half_life = secs(300);
            performance.rank_by_speed(start + half_life.mul_f64(after))
        };
        // 1 / (1/3 + 1) = 0.75, after log2(3) = 1.585 half-lives.
        assert_eq!([rank(0.0), rank(1.58)], [u64::MAX; 2]);
        assert_eq!([rank(1.59), rank(5.0)], [0; 2]);
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
    fn a_measure_falls_steadily_and_by_half_in_each_half_life() {
        assert_eq!(halved(4_096_000, 0), 4_096_000);
        assert_eq!(halved(4_096_000, HALF_LIFE / 2), 3_072_000);
        assert_eq!(halved(4_096_000, HALF_LIFE), 2_048_000);
        assert_eq!(halved(4_096_000, HALF_LIFE * 3), 512_000);
        assert_eq!(halved(u64::MAX, u64::MAX), 0);
        let steps = (0..5_000).map(|step| halved(1_000_000_000, step * (HALF_LIFE / 1_000)));
        assert!(steps.is_sorted_by(|before, after| before >= after));
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
