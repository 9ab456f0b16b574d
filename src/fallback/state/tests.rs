use proptest::prelude::*;

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    upstream::Provider,
};

/// The chain `a/1`, `a/2`, `b/1`, its cooldowns, and a time that counts milliseconds from its beginning.
struct Bench {
    chain: Chain,
    state: State,
    start: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(Chain) -> Chain) -> Self {
        let (a, b) = (provider("a"), provider("b"));
        let chain = Chain::new([a.model("1"), a.model("2"), b.model("1")]);
        Self {
            chain: change(chain).build().unwrap(),
            state: State::default(),
            start: TokioClock.now(),
        }
    }

    fn cool(&mut self, index: usize, failure: &Failure, time: u64, at: u64) -> Option<u64> {
        let upstream = &self.chain.upstreams[index];
        let until = self
            .state
            .cool(upstream, failure, ms(time), self.start + ms(at))?;
        Some(self.millis(until))
    }

    fn until(&mut self, index: usize, at: u64) -> Option<u64> {
        let upstream = &self.chain.upstreams[index];
        let until = self.state.until(upstream, self.start + ms(at))?;
        Some(self.millis(until))
    }

    fn walk(&self, deadline: Option<u64>, at: u64) -> Walk {
        let deadline = deadline.map(|deadline| self.start + ms(deadline));
        Walk::new(&self.chain, deadline, self.start + ms(at))
    }

    fn turn(&mut self, walk: &mut Walk, at: u64) -> Turn {
        let now = self.start + ms(at);
        walk.turn(&self.chain, true, |upstream| {
            self.state.until(upstream, now)
        })
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

fn asks(index: usize, alternatives: u32) -> Turn {
    Turn::Try {
        index,
        alternatives,
    }
}

// litellm#40130: a second 429 during the cooldown kept the shorter deadline.
#[test]
fn a_shorter_hint_does_not_shorten_a_cooldown_and_a_longer_one_lengthens_it() {
    let mut bench = Bench::new(|chain| chain);
    assert_eq!(bench.cool(0, &limited(), 60_000, 0), Some(60_000));
    assert_eq!(bench.cool(0, &limited(), 1_000, 10), None);
    assert_eq!(bench.until(0, 10), Some(60_000));
    assert_eq!(bench.cool(0, &limited(), 60_000, 10), Some(60_010));
    assert_eq!(bench.until(0, 10), Some(60_010));
}

#[test]
fn a_cooldown_ends_at_its_instant_and_not_a_nanosecond_before() {
    let mut bench = Bench::new(|chain| chain);
    bench.cool(0, &limited(), 1_000, 0);
    let (upstream, end) = (bench.chain.upstreams[0].clone(), bench.at(1_000));
    let before = end - Duration::from_nanos(1);
    assert_eq!(bench.state.until(&upstream, before), Some(end));
    assert_eq!(bench.state.until(&upstream, end), None);
}

#[test]
fn what_has_ended_is_forgotten_at_the_next_look_at_anybody() {
    let mut bench = Bench::new(|chain| chain);
    bench.cool(0, &limited(), 1_000, 0);
    bench.cool(1, &limited(), 5_000, 0);
    bench.until(2, 1_000);
    assert_eq!(bench.state.upstreams.len(), 1);
    bench.until(2, 5_000);
    assert!(bench.state.is_empty());
}

#[test]
fn a_failure_of_the_account_cools_every_model_of_the_provider_and_no_other() {
    let mut bench = Bench::new(|chain| chain);
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
    state.cool(&whole, &limited(), ms(1_000), start);
    assert!(state.until(&whole, start).is_some());
    assert_eq!(state.until(&sibling, start), None);
}

#[test]
fn clearing_a_key_ends_its_cooldown_and_no_other() {
    let mut bench = Bench::new(|chain| chain);
    bench.cool(0, &limited(), 1_000, 0);
    bench.cool(2, &Failure::new(FailureKind::QuotaExhausted), 1_000, 0);
    bench.state.clear("a/1");
    assert_eq!((bench.until(0, 0), bench.until(2, 0)), (None, Some(1_000)));
    bench.state.clear("b");
    assert!(bench.state.is_empty());
}

#[test]
fn a_walk_goes_in_order_counts_who_is_left_and_passes_by_who_is_cooling() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    assert_eq!(bench.turn(&mut walk, 0), asks(0, 2));
    bench.cool(1, &limited(), 1_000, 0);
    walk.failed(None, bench.at(0));
    assert_eq!(bench.turn(&mut walk, 0), asks(2, 0));
    walk.failed(None, bench.at(0));
    let soonest = Some(bench.at(1_000));
    assert_eq!(bench.turn(&mut walk, 0), Turn::Exhausted { soonest });
}

// litellm#36148: cyclic fallbacks wrote 456 MB of logs for one request. llm-gateway#1119: 75 calls in 14 s.
#[test]
fn nobody_is_asked_twice_even_when_everybody_is_free_again() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    for index in 0..3 {
        assert!(
            matches!(bench.turn(&mut walk, 0), Turn::Try { index: asked, .. } if asked == index)
        );
        bench.cool(index, &limited(), 10, 0);
        walk.failed(Some(ms(10)), bench.at(0));
    }
    for at in [0, 20, 1_000_000] {
        assert!(matches!(bench.turn(&mut walk, at), Turn::Exhausted { .. }));
    }
}

// litellm#31557: fell back to a model with a smaller context.
#[test]
fn a_context_that_is_no_larger_than_one_that_was_too_small_is_passed_by() {
    let sizes = [Some(8_000), Some(8_000), Some(4_000), None, Some(8_001)];
    let upstreams = sizes.into_iter().enumerate().map(|(index, size)| {
        let upstream = provider("a").model(index.to_string());
        match size {
            Some(size) => upstream.context_tokens(size),
            None => upstream,
        }
    });
    let chain = Chain::new(upstreams).build().unwrap();
    let now = TokioClock.now();
    let mut walk = Walk::new(&chain, None, now);
    assert_eq!(walk.turn(&chain, true, |_| None), asks(0, 4));
    walk.failed(None, now);
    walk.too_large_for(&chain.upstreams[0]);
    assert_eq!(walk.turn(&chain, true, |_| None), asks(3, 1));
    walk.failed(None, now);
    walk.too_large_for(&chain.upstreams[3]);
    assert_eq!(walk.turn(&chain, true, |_| None), asks(4, 0));
}

#[test]
fn where_all_are_cooling_a_walk_fails_waits_or_tries_the_soonest_as_configured() {
    let choices = [
        WhenExhausted::Fail,
        WhenExhausted::TryAnyway,
        WhenExhausted::Wait { max: ms(500) },
        WhenExhausted::Wait { max: ms(499) },
    ];
    let turns = choices.map(|choice| {
        let mut bench = Bench::new(|chain| chain.when_exhausted(choice));
        for (index, time) in [(0, 900), (1, 500), (2, 500)] {
            bench.cool(index, &limited(), time, 0);
        }
        let soonest = bench.at(500);
        let mut walk = bench.walk(None, 0);
        let turn = bench.turn(&mut walk, 0);
        (turn, soonest)
    });
    let [fail, anyway, wait, impatient] = turns;
    assert_eq!(
        fail.0,
        Turn::Exhausted {
            soonest: Some(fail.1)
        }
    );
    assert_eq!(anyway.0, asks(1, 0));
    assert_eq!(wait.0, Turn::Wait { until: wait.1 });
    assert_eq!(
        impatient.0,
        Turn::Exhausted {
            soonest: Some(impatient.1)
        }
    );
}

#[test]
fn a_wait_ends_with_the_deadline_and_counts_from_its_beginning() {
    let mut bench = Bench::new(|chain| chain.when_exhausted(WhenExhausted::Wait { max: ms(500) }));
    for index in 0..3 {
        bench.cool(index, &limited(), 400, 0);
    }
    let soonest = Some(bench.at(400));
    let mut late = bench.walk(Some(399), 0);
    assert_eq!(bench.turn(&mut late, 0), Turn::Exhausted { soonest });
    let mut walk = bench.walk(Some(400), 0);
    assert!(matches!(bench.turn(&mut walk, 0), Turn::Wait { .. }));
    // Others have cooled everybody for longer meanwhile.
    let mut walk = bench.walk(None, 0);
    assert!(matches!(bench.turn(&mut walk, 0), Turn::Wait { .. }));
    for index in 0..3 {
        bench.cool(index, &limited(), 400, 350);
    }
    assert!(matches!(bench.turn(&mut walk, 400), Turn::Exhausted { .. }));
}

#[test]
fn the_cap_ends_a_walk_without_a_time_to_come_back_while_somebody_is_free() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    bench.turn(&mut walk, 0);
    bench.cool(0, &limited(), 1_000, 0);
    let turn = walk.turn(&bench.chain, false, |_| None);
    assert_eq!(turn, Turn::Exhausted { soonest: None });
}

#[test]
fn the_soonest_counts_own_refusals_that_tell_when_to_come_back() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    bench.turn(&mut walk, 0);
    walk.failed(Some(ms(2_000)), bench.at(0));
    for index in [1, 2] {
        bench.turn(&mut walk, 0);
        bench.cool(index, &limited(), 60_000, 0);
        walk.failed(Some(ms(60_000)), bench.at(0));
    }
    let soonest = Some(bench.at(2_000));
    assert_eq!(bench.turn(&mut walk, 0), Turn::Exhausted { soonest });
}

#[test]
fn who_was_passed_by_and_is_back_before_the_walk_ends_is_asked_then() {
    let mut bench = Bench::new(|chain| chain);
    bench.cool(0, &limited(), 1_000, 0);
    let mut walk = bench.walk(None, 0);
    assert_eq!(bench.turn(&mut walk, 0), asks(1, 1));
    assert!(walk.goes_on(&bench.chain));
    walk.failed(None, bench.at(1_000));
    assert_eq!(bench.turn(&mut walk, 1_000), asks(0, 1));
    walk.failed(None, bench.at(1_000));
    assert_eq!(bench.turn(&mut walk, 1_000), asks(2, 0));
    assert!(!walk.goes_on(&bench.chain));
}

#[test]
fn who_is_back_before_the_walk_ends_may_be_asked_again_from_then_on() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    for (index, at) in [(0, 0), (1, 5_000), (2, 5_000)] {
        bench.turn(&mut walk, at);
        let time = if index == 0 { 1_000 } else { 60_000 };
        bench.cool(index, &limited(), time, at);
        walk.failed(Some(ms(time)), bench.at(at));
    }
    let soonest = Some(bench.at(1_000));
    assert_eq!(bench.turn(&mut walk, 5_000), Turn::Exhausted { soonest });
}

#[test]
fn absurd_times_neither_panic_nor_end() {
    let mut bench =
        Bench::new(|chain| chain.when_exhausted(WhenExhausted::Wait { max: Duration::MAX }));
    let upstream = bench.chain.upstreams[0].clone();
    let (start, year) = (bench.start, Duration::from_secs(365 * 86_400));
    bench
        .state
        .cool(&upstream, &limited(), Duration::MAX, start);
    assert!(bench.state.until(&upstream, start + year).is_some());
    assert!(matches!(
        bench.turn(&mut bench.walk(None, 0), 0),
        Turn::Try { .. }
    ));
}

#[derive(Clone, Debug)]
enum Step {
    Cool { index: usize, time: u64 },
    Look,
    Ask { new: bool },
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        (0..3_usize, 1..400_u64).prop_map(|(index, time)| Step::Cool { index, time }),
        Just(Step::Look),
        any::<bool>().prop_map(|new| Step::Ask { new }),
    ];
    proptest::collection::vec((step, 0..1_000_u64), 1..80)
}

proptest! {
    // The times jump back and forth; what counts is the latest that was seen.
    #[test]
    fn a_cooldown_never_shrinks_and_an_older_time_grants_nothing(steps in steps(), account_wide in any::<bool>()) {
        let mut bench = Bench::new(|chain| chain);
        let (mut latest, mut ends) = (0, [0_u64; 3]);
        let failure = Failure { account_wide, ..limited() };
        for (step, at) in steps {
            latest = latest.max(at);
            if let Step::Cool { index, time } = step {
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

    #[test]
    fn a_walk_asks_nobody_twice_and_nobody_who_is_cooling_but_the_soonest_where_told_to(
        steps in steps(),
        choice in prop_oneof![
            Just(WhenExhausted::Fail),
            Just(WhenExhausted::TryAnyway),
            Just(WhenExhausted::Wait { max: ms(100) }),
        ],
    ) {
        let mut bench = Bench::new(|chain| chain.when_exhausted(choice));
        let (mut walk, mut asked, mut began) = (bench.walk(None, 0), Vec::new(), 0);
        for (step, at) in steps {
            match step {
                Step::Cool { index, time } => { bench.cool(index, &limited(), time, at); }
                Step::Look => { bench.until(0, at); }
                Step::Ask { new } => {
                    if new {
                        (walk, began) = (bench.walk(None, at), at);
                        asked.clear();
                    }
                    let cooling = [0, 1, 2].map(|index| bench.until(index, at));
                    match bench.turn(&mut walk, at) {
                        Turn::Try { index, .. } => {
                            prop_assert!(!asked.contains(&index));
                            if cooling[index].is_some() {
                                prop_assert_eq!(choice, WhenExhausted::TryAnyway);
                                prop_assert!(asked.is_empty());
                                prop_assert_eq!(cooling.into_iter().min().unwrap(), cooling[index]);
                            }
                            asked.push(index);
                            walk.failed(None, bench.at(at));
                        }
                        Turn::Wait { until } => {
                            prop_assert!(asked.is_empty());
                            prop_assert!(bench.millis(until) <= began + 100);
                            prop_assert_eq!(cooling.into_iter().min().unwrap(), Some(bench.millis(until)));
                        }
                        Turn::Exhausted { soonest } => {
                            let soonest = soonest.map(|soonest| bench.millis(soonest));
                            prop_assert_eq!(cooling.into_iter().flatten().min(), soonest);
                        }
                    }
                }
            }
        }
    }
}
