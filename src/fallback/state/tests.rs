use proptest::prelude::*;

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    upstream::Provider,
};

/// The upstreams `a/1`, `a/2`, `b/1`, their cooldowns, and a time that counts milliseconds from its beginning.
struct Bench {
    upstreams: [Upstream; 3],
    state: State,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let (a, b) = (provider("a"), provider("b"));
        Self {
            upstreams: [a.model("1"), a.model("2"), b.model("1")],
            state: State::default(),
            start: TokioClock.now(),
        }
    }

    fn cool(&mut self, index: usize, failure: &Failure, time: u64, at: u64) -> Option<u64> {
        let upstream = &self.upstreams[index];
        let until = self.state.cool(
            upstream,
            failure,
            ms(time),
            Grounds::Asked,
            self.start + ms(at),
        )?;
        Some(self.millis(until))
    }

    fn until(&mut self, index: usize, at: u64) -> Option<u64> {
        let upstream = &self.upstreams[index];
        let Entry { until, .. } = self.state.entry(upstream, self.start + ms(at))?;
        Some(self.millis(until))
    }

    fn at(&self, at: u64) -> Instant {
        self.start + ms(at)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_millis()).unwrap()
    }
}

fn provider(name: &str) -> Provider {
    Provider::new(name, "http://example.com").unwrap()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limited() -> Failure {
    Failure::new(FailureKind::RateLimited)
}

// litellm#40130: a second 429 during the cooldown kept the shorter deadline.
#[test]
fn a_shorter_hint_does_not_shorten_a_cooldown_and_a_longer_one_lengthens_it() {
    let mut bench = Bench::new();
    assert_eq!(bench.cool(0, &limited(), 0, 0), None);
    assert_eq!(bench.cool(0, &limited(), 60_000, 0), Some(60_000));
    assert_eq!(bench.cool(0, &limited(), 60_000, 0), None, "it is as long");
    assert_eq!(bench.cool(0, &limited(), 1_000, 10), None);
    assert_eq!(bench.until(0, 10), Some(60_000));
    assert_eq!(bench.cool(0, &limited(), 60_000, 10), Some(60_010));
    assert_eq!(bench.until(0, 10), Some(60_010));
}

#[test]
fn a_cooldown_ends_at_its_instant_and_not_a_nanosecond_before() {
    let mut bench = Bench::new();
    bench.cool(0, &limited(), 1_000, 0);
    let (upstream, end) = (bench.upstreams[0].clone(), bench.at(1_000));
    let before = end - Duration::from_nanos(1);
    assert_eq!(
        bench.state.entry(&upstream, before).map(|it| it.until),
        Some(end)
    );
    assert_eq!(bench.state.entry(&upstream, end), None);
}

#[test]
fn what_has_ended_is_forgotten_at_the_next_look_at_anybody() {
    let mut bench = Bench::new();
    bench.cool(0, &limited(), 1_000, 0);
    bench.cool(1, &limited(), 5_000, 0);
    bench.until(2, 1_000);
    assert_eq!(bench.state.upstreams.len(), 1);
    bench.until(2, 5_000);
    assert!(bench.state.is_empty());
}

#[test]
fn a_failure_of_the_account_cools_every_model_of_the_provider_and_no_other() {
    let mut bench = Bench::new();
    bench.cool(0, &Failure::new(FailureKind::QuotaExhausted), 1_000, 0);
    assert_eq!(bench.until(0, 0), Some(1_000));
    assert_eq!(bench.until(1, 0), Some(1_000));
    assert_eq!(bench.until(2, 0), None);
    // The later of the two ends holds.
    bench.cool(1, &limited(), 2_000, 0);
    bench.cool(0, &limited(), 500, 0);
    assert_eq!(bench.until(0, 0), Some(1_000));
    assert_eq!(bench.until(1, 0), Some(2_000));
}

#[test]
fn an_upstream_that_bears_the_name_of_its_provider_does_not_cool_its_siblings() {
    let (a, start) = (provider("a"), TokioClock.now());
    let (whole, sibling) = (Upstream::from(a.clone()), a.model("1"));
    let mut state = State::default();
    state.cool(&whole, &limited(), ms(1_000), Grounds::Asked, start);
    assert!(state.entry(&whole, start).is_some());
    assert_eq!(state.entry(&sibling, start), None);
}

/// A review's test: silence, when it lengthened the cooldown after a server error, let any answer end it.
#[test]
fn an_answer_under_way_ends_what_stands_on_silence_alone() {
    let grounds = [Grounds::Silence, Grounds::Failure, Grounds::Asked];
    for first in grounds {
        for second in grounds {
            let mut bench = Bench::new();
            let (upstream, start) = (&bench.upstreams[0], bench.start);
            for (time, grounds) in [(1_000, first), (2_000, second)] {
                let state = &mut bench.state;
                state.cool(upstream, &limited(), ms(time), grounds, start);
            }
            bench.state.answered(upstream, false);
            let is_silence = [first, second] == [Grounds::Silence; 2];
            assert_eq!(bench.state.is_empty(), is_silence, "{first:?} {second:?}");
            bench.state.answered(upstream, true);
            let is_asked = [first, second].contains(&Grounds::Asked);
            assert_eq!(bench.state.is_empty(), !is_asked, "{first:?} {second:?}");
        }
    }
}

#[test]
fn clearing_a_key_ends_its_cooldown_and_no_other() {
    let mut bench = Bench::new();
    bench.cool(0, &limited(), 1_000, 0);
    bench.cool(2, &Failure::new(FailureKind::QuotaExhausted), 1_000, 0);
    bench.state.clear("a/1");
    assert_eq!((bench.until(0, 0), bench.until(2, 0)), (None, Some(1_000)));
    bench.state.clear("b");
    assert!(bench.state.is_empty());
}

/// Whom to cool, and for how long; or nobody.
fn cool_or_look() -> impl Strategy<Value = Option<(usize, u64)>> {
    proptest::option::of((0..3_usize, 1..400_u64))
}

proptest! {
    // The times jump back and forth; what counts is the latest that was seen.
    #[test]
    fn a_cooldown_never_shrinks_and_an_older_time_grants_nothing(steps in proptest::collection::vec((cool_or_look(), 0..1_000_u64), 1..80), account_wide in any::<bool>()) {
        let mut bench = Bench::new();
        let (mut latest, mut ends) = (0, [0_u64; 3]);
        let failure = Failure { account_wide, ..limited() };
        for (step, at) in steps {
            latest = latest.max(at);
            if let Some((index, time)) = step {
                bench.cool(index, &failure, time, at);
                let siblings = if account_wide && index < 2 { 0..2 } else { index..index + 1 };
                for end in &mut ends[siblings] {
                    *end = (*end).max(latest + time);
                }
            }
            for (index, end) in ends.into_iter().enumerate() {
                prop_assert_eq!(bench.until(index, at), (end > latest).then_some(end));
            }
        }
    }
}
