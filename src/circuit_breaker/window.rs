//! How many of the last calls failed, in fixed memory and constant time.

use std::time::{Duration, Instant};

use super::config::Over;

/// The calls that a failure rate looks back over.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Calls(Ring),
    Time(Buckets),
}

/// Calls and failures among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u32,
    pub(super) failures: u32,
}

impl Window {
    pub(super) fn new(over: Over) -> Self {
        match over {
            Over::Calls(calls) => Self::Calls(Ring::new(calls)),
            Over::Time(time) => Self::Time(Buckets::new(time)),
        }
    }

    /// Adds one call and returns the tally of the window with it.
    pub(super) fn record(&mut self, failed: bool, now: Instant) -> Tally {
        match self {
            Self::Calls(ring) => ring.record(failed),
            Self::Time(buckets) => buckets.record(failed, now),
        }
    }

    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        match self {
            Self::Calls(ring) => ring.tally,
            Self::Time(buckets) => {
                buckets.move_to(now);
                buckets.tally
            }
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Calls(ring) => ring.clear(),
            Self::Time(buckets) => *buckets = Buckets::new(buckets.width * BUCKETS),
        }
    }
}

/// The last `capacity` calls, a bit each.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    failed: Vec<u64>,
    capacity: u32,
    next: u32,
    tally: Tally,
}

impl Ring {
    fn new(capacity: u32) -> Self {
        Self {
            failed: vec![0; capacity.div_ceil(64) as usize],
            capacity,
            next: 0,
            tally: Tally::default(),
        }
    }

    /// The bits stay: each is written before it is read again.
    fn clear(&mut self) {
        (self.next, self.tally) = (0, Tally::default());
    }

    fn record(&mut self, failed: bool) -> Tally {
        let (word, bit) = ((self.next / 64) as usize, 1 << (self.next % 64));
        if self.tally.calls == self.capacity {
            self.tally.failures -= u32::from(self.failed[word] & bit != 0);
        } else {
            self.tally.calls += 1;
        }
        if failed {
            self.failed[word] |= bit;
            self.tally.failures += 1;
        } else {
            self.failed[word] &= !bit;
        }
        self.next = (self.next + 1) % self.capacity;
        self.tally
    }
}

/// The calls of the last while in ten buckets: a call is forgotten after nine to ten tenths of the window.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    buckets: [Tally; BUCKETS as usize],
    width: Duration,
    /// When the newest bucket began; unset until the first call.
    began: Option<Instant>,
    newest: usize,
    tally: Tally,
}

const BUCKETS: u32 = 10;

impl Buckets {
    fn new(window: Duration) -> Self {
        Self {
            buckets: [Tally::default(); BUCKETS as usize],
            width: (window / BUCKETS).max(Duration::from_nanos(1)),
            began: None,
            newest: 0,
            tally: Tally::default(),
        }
    }

    fn record(&mut self, failed: bool, now: Instant) -> Tally {
        self.move_to(now);
        for tally in [&mut self.buckets[self.newest], &mut self.tally] {
            tally.calls = tally.calls.saturating_add(1);
            tally.failures = tally.failures.saturating_add(u32::from(failed));
        }
        self.tally
    }

    /// Empties the buckets that have aged out: at most all ten, whatever the jump.
    fn move_to(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_nanos() / self.width.as_nanos();
        if passed == 0 {
            return;
        }
        if passed >= u128::from(BUCKETS) {
            *self = Self {
                began: Some(now),
                ..Self::new(self.width * BUCKETS)
            };
            return;
        }
        for _ in 0..passed {
            self.newest = (self.newest + 1) % self.buckets.len();
            let old = std::mem::take(&mut self.buckets[self.newest]);
            self.tally.calls = self.tally.calls.saturating_sub(old.calls);
            self.tally.failures = self.tally.failures.saturating_sub(old.failures);
        }
        self.began = Some(began + self.width * u32::try_from(passed).unwrap_or(BUCKETS));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit_breaker::config::MAX_CALLS,
        clock::{Clock, TokioClock},
    };

    fn tally(calls: u32, failures: u32) -> Tally {
        Tally { calls, failures }
    }

    // A circuit is cleared under its lock, which the calls of all threads wait for.
    #[test]
    fn a_window_that_is_cleared_keeps_its_memory() {
        let mut window = Window::new(Over::Calls(MAX_CALLS));
        let place = |window: &Window| match window {
            Window::Calls(ring) => ring.failed.as_ptr(),
            Window::Time(_) => unreachable!("it counts calls"),
        };
        let before = place(&window);
        window.record(true, TokioClock.now());
        window.clear();
        assert_eq!(place(&window), before);
        assert_eq!(window.tally(TokioClock.now()), tally(0, 0));
    }

    proptest! {
        #[test]
        fn a_ring_counts_as_a_list_of_the_calls_since_it_was_cleared_does(
            capacity in 1_u32..200,
            calls in proptest::collection::vec(proptest::option::weighted(0.99, any::<bool>()), 0..600),
        ) {
            let now = TokioClock.now();
            let mut window = Window::new(Over::Calls(capacity));
            let mut list = VecDeque::new();
            for call in calls {
                let Some(failed) = call else {
                    list.clear();
                    window.clear();
                    continue;
                };
                list.push_back(failed);
                if list.len() > capacity as usize {
                    list.pop_front();
                }
                let failures = list.iter().filter(|failed| **failed).count();
                let expected = tally(list.len() as u32, failures as u32);
                prop_assert_eq!(window.record(failed, now), expected);
            }
        }

        #[test]
        fn buckets_count_every_call_of_nine_tenths_and_none_older_than_the_window(
            steps in proptest::collection::vec((0_u64..400, any::<bool>()), 1..200),
        ) {
            let start = TokioClock.now();
            let mut window = Window::new(Over::Time(Duration::from_millis(1_000)));
            let (mut now, mut calls) = (0, Vec::new());
            for (step, failed) in steps {
                now += step;
                calls.push((now, failed));
                let counted = window.record(failed, start + Duration::from_millis(now));
                let within = |age: u64| calls.iter().filter(move |(at, _)| at + age > now);
                prop_assert!(counted.calls as usize >= within(900).count());
                prop_assert!(counted.calls as usize <= within(1_000).count());
                prop_assert!(counted.failures as usize <= within(1_000).filter(|(_, failed)| *failed).count());
            }
        }
    }

    #[test]
    fn a_jump_of_years_and_a_step_back_are_constant_work() {
        let start = TokioClock.now();
        let mut window = Window::new(Over::Time(Duration::from_secs(60)));
        window.record(true, start + Duration::from_secs(10));
        assert_eq!(window.record(true, start), tally(2, 2));
        let years = Duration::from_secs(20 * 365 * 86_400);
        assert_eq!(window.record(false, start + years), tally(1, 0));
    }
}
