use proptest::prelude::*;

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    cost::Price,
    fallback::state::{Grounds, State},
    money::Money,
    outcome::{Failure, FailureKind, RefusedBy},
    upstream::Provider,
};

/// The chain `a/1`, `a/2`, `b/1`, its cooldowns, and a time that counts milliseconds from its beginning.
struct Bench {
    plan: Plan,
    state: State,
    start: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(Chain) -> Chain) -> Self {
        let (a, b) = (provider("a"), provider("b"));
        let chain = Chain::new([a.model("1"), a.model("2"), b.model("1")]);
        Self {
            plan: Plan::new(change(chain)),
            state: State::default(),
            start: TokioClock.now(),
        }
    }

    fn cool(&mut self, index: usize, failure: &Failure, time: u64, at: u64) -> Option<u64> {
        let upstream = &self.plan.chain.upstreams[index];
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
        let upstream = &self.plan.chain.upstreams[index];
        let entry = self.state.entry(upstream, self.start + ms(at))?;
        Some(self.millis(entry.until))
    }

    fn walk(&self, deadline: Option<u64>, at: u64) -> Walk {
        let deadline = deadline.map(|deadline| self.start + ms(deadline));
        let mut walk = Walk::new(&self.plan.chain, None, None);
        walk.limit(&self.plan.chain, deadline, self.start + ms(at));
        walk
    }

    fn turn(&mut self, walk: &mut Walk, at: u64) -> Turn {
        self.turn_seen(walk, at, |_| Prospect::FREE)
    }

    fn turn_seen(
        &mut self,
        walk: &mut Walk,
        at: u64,
        prospect: impl FnMut(&Upstream) -> Prospect,
    ) -> Turn {
        let now = self.start + ms(at);
        let sight = Sight {
            now,
            is_allowed: true,
            cooling: |upstream: &Upstream| self.state.entry(upstream, now),
            prospect,
        };
        walk.turn(&self.plan, sight)
    }

    /// Whether somebody would take the request out of a line.
    fn is_free(&mut self, walk: &Walk, at: u64, prospects: [Prospect; 3]) -> bool {
        let now = self.start + ms(at);
        let sight = Sight {
            now,
            is_allowed: true,
            cooling: |upstream: &Upstream| self.state.entry(upstream, now),
            prospect: seen(prospects),
        };
        walk.is_anybody_free(&self.plan, sight)
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

#[test]
fn one_on_own_hardware_goes_before_others_that_are_listed_earlier() {
    let (away, own) = (provider("a"), provider("b").local());
    let mut bench = Bench::new(|_| {
        Chain::new([away.model("1"), own.model("1"), own.model("2")]).order(Order::LocalFirst)
    });
    let mut walk = bench.walk(None, 0);
    let turns = [(); 3].map(|()| {
        let turn = bench.turn(&mut walk, 0);
        walk.failed(None, bench.at(0));
        turn
    });
    assert_eq!(turns, [asks(1, 2), asks(2, 1), asks(0, 0)]);
}

#[test]
fn who_cannot_go_first_is_not_consulted() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    let mut consulted = 0;
    let turn = bench.turn_seen(&mut walk, 0, |_| {
        consulted += 1;
        Prospect::FREE
    });
    assert_eq!((turn, consulted), (asks(0, 2), 1));
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
    let mut bench = Bench::new(|_| Chain::new(upstreams));
    let sized = bench.plan.chain.upstreams.clone();
    let mut walk = bench.walk(None, 0);
    assert_eq!(bench.turn(&mut walk, 0), asks(0, 4));
    walk.failed(None, bench.at(0));
    walk.too_large_for(&sized[0]);
    assert_eq!(bench.turn(&mut walk, 0), asks(3, 1));
    walk.failed(None, bench.at(0));
    walk.too_large_for(&sized[3]);
    assert_eq!(bench.turn(&mut walk, 0), asks(4, 0));
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
    let sight = Sight {
        now: bench.at(0),
        is_allowed: false,
        cooling: |_: &Upstream| None,
        prospect: |_: &Upstream| Prospect::FREE,
    };
    let turn = walk.turn(&bench.plan, sight);
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
    assert!(walk.goes_on(&bench.plan.chain));
    walk.failed(None, bench.at(1_000));
    assert_eq!(bench.turn(&mut walk, 1_000), asks(0, 1));
    walk.failed(None, bench.at(1_000));
    assert_eq!(bench.turn(&mut walk, 1_000), asks(2, 0));
    assert!(!walk.goes_on(&bench.plan.chain));
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
    let soonest = Some(bench.at(5_000));
    assert_eq!(bench.turn(&mut walk, 5_000), Turn::Exhausted { soonest });
}

#[test]
fn absurd_times_neither_panic_nor_end() {
    let mut bench =
        Bench::new(|chain| chain.when_exhausted(WhenExhausted::Wait { max: Duration::MAX }));
    let upstream = bench.plan.chain.upstreams[0].clone();
    let (start, year) = (bench.start, Duration::from_secs(365 * 86_400));
    bench
        .state
        .cool(&upstream, &limited(), Duration::MAX, Grounds::Asked, start);
    assert!(bench.state.entry(&upstream, start + year).is_some());
    assert!(matches!(
        bench.turn(&mut bench.walk(None, 0), 0),
        Turn::Try { .. }
    ));
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What would become of a request at each of `a/1`, `a/2` and `b/1`.
fn seen(prospects: [Prospect; 3]) -> impl FnMut(&Upstream) -> Prospect {
    move |upstream| match upstream.id() {
        "a/1" => prospects[0],
        "a/2" => prospects[1],
        _ => prospects[2],
    }
}

fn queue(wait: Duration) -> Prospect {
    Prospect::Queue { wait }
}

#[test]
fn a_short_queue_is_waited_in_and_a_long_one_is_left_for_whoever_is_free() {
    let mut bench = Bench::new(|chain| chain);
    let short = [queue(secs(2)), Prospect::FREE, Prospect::FREE];
    let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(short));
    assert_eq!(turn, asks(0, 2));
    let long = [queue(secs(2) + ms(1)), Prospect::FREE, Prospect::FREE];
    let mut walk = bench.walk(None, 0);
    assert_eq!(bench.turn_seen(&mut walk, 0, seen(long)), asks(1, 2));
    // It is asked in the end: a queue is better than a failure.
    walk.failed(None, bench.at(0));
    assert_eq!(bench.turn_seen(&mut walk, 0, seen(long)), asks(2, 1));
    walk.failed(None, bench.at(0));
    assert_eq!(bench.turn_seen(&mut walk, 0, seen(long)), asks(0, 0));
}

#[test]
fn of_long_queues_the_shortest_is_joined() {
    let mut bench = Bench::new(|chain| chain);
    let long = [queue(secs(30)), queue(secs(10)), queue(secs(20))];
    let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(long));
    assert_eq!(turn, asks(1, 2));
}

fn full(at_least: Duration) -> Prospect {
    Prospect::Full { at_least }
}

/// A new user's test: nobody knew how long the wait would be, and it was taken for none.
#[test]
fn where_nobody_knows_how_long_the_wait_would_be_whoever_is_free_goes_first() {
    let mut bench = Bench::new(|chain| chain);
    let mut first_of = |prospects: [Prospect; 3]| {
        let mut walk = bench.walk(None, 0);
        match bench.turn_seen(&mut walk, 0, seen(prospects)) {
            Turn::Try { index, .. } => index,
            turn => panic!("{turn:?}"),
        }
    };
    let (none, short, long) = (Duration::ZERO, secs(2), secs(3));
    assert_eq!(first_of([full(none), Prospect::FREE, Prospect::FREE]), 1);
    assert_eq!(first_of([full(none), full(none), queue(short)]), 2);
    // Where nobody is free all is as it would be, had nothing been said of that.
    assert_eq!(first_of([full(short), full(none), full(none)]), 0);
    assert_eq!(first_of([queue(long), full(short), queue(long)]), 1);
    assert_eq!(first_of([full(long), queue(long), queue(long)]), 0);
    assert_eq!(first_of([full(secs(4)), full(secs(9)), queue(long)]), 2);
}

/// It looked again and again, and never slept: a forecast of the user's own may say so.
#[test]
fn nobody_is_waited_for_who_would_refuse_for_no_time() {
    let mut bench = Bench::new(|chain| {
        let max = secs(60);
        chain.when_exhausted(WhenExhausted::Wait { max })
    });
    let refuse = |seconds| Prospect::Refuse {
        by: RefusedBy::Circuit,
        retry_after: Some(secs(seconds)),
    };
    let until = bench.at(9_000);
    let mut turn = |prospects| bench.turn_seen(&mut bench.walk(None, 0), 0, seen(prospects));
    assert_eq!(turn([refuse(0); 3]), Turn::Exhausted { soonest: None });
    let one_is_known = [refuse(0), refuse(9), refuse(0)];
    assert_eq!(turn(one_is_known), Turn::Wait { until });
}

#[test]
fn who_is_full_is_chosen_among_in_the_order_of_the_chain() {
    let mut bench = Bench::new(|_| {
        let (away, own) = (provider("a"), provider("b").local());
        Chain::new([away.model("1"), away.model("2"), own.model("1")]).order(Order::LocalFirst)
    });
    let all_full = [full(Duration::ZERO); 3];
    let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(all_full));
    assert_eq!(turn, asks(2, 2));
}

#[test]
fn a_line_is_left_for_one_who_was_not_asked_is_not_cooling_and_would_take_the_request_now() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    let all_full = [full(Duration::ZERO); 3];
    assert_eq!(bench.turn_seen(&mut walk, 0, seen(all_full)), asks(0, 2));
    let none = full(Duration::ZERO);
    let refuse = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: None,
    };
    // A line of two seconds may be the very line in which it stands.
    for held_back in [none, queue(secs(2)), refuse, Prospect::TooLarge] {
        let where_it_stands = Prospect::FREE;
        assert!(!bench.is_free(&walk, 0, [where_it_stands, held_back, held_back]));
        assert!(bench.is_free(&walk, 0, [where_it_stands, held_back, Prospect::FREE]));
    }
    bench.cool(2, &limited(), 10, 0);
    let other_is_free = [none, none, Prospect::FREE];
    assert!(!bench.is_free(&walk, 9, other_is_free) && bench.is_free(&walk, 10, other_is_free));
    walk.failed(None, bench.at(10));
    assert_eq!(bench.turn(&mut walk, 10), asks(1, 1));
    walk.failed(None, bench.at(10));
    assert_eq!(bench.turn(&mut walk, 10), asks(2, 0));
    walk.failed(None, bench.at(10));
    assert_eq!(bench.turn(&mut walk, 10), Turn::Exhausted { soonest: None });
}

/// It went over to a short line, which then grew: who goes out of a line does not ask again.
#[test]
fn who_leaves_a_line_goes_to_who_is_free_and_to_no_other_line() {
    let mut bench = Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    let all_full = [full(Duration::ZERO); 3];
    assert_eq!(bench.turn_seen(&mut walk, 0, seen(all_full)), asks(0, 2));
    let other_is_free = [full(Duration::ZERO), queue(secs(2)), Prospect::FREE];
    assert!(bench.is_free(&walk, 0, other_is_free));
    walk.leave_line();
    let turn = bench.turn_seen(&mut walk, 0, seen(other_is_free));
    assert_eq!(turn, asks(2, 1));
    // Where it has failed, a short line is as good as it was.
    walk.failed(None, bench.at(0));
    let turn = bench.turn_seen(&mut walk, 0, seen(other_is_free));
    assert_eq!(turn, asks(1, 1));
}

#[test]
fn a_line_is_left_for_one_whose_wait_is_over_also_while_others_cool_down_or_would_refuse() {
    let refuse = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: None,
    };
    for (is_cooling, last, is_left) in [
        (true, Prospect::FREE, true),
        (false, refuse, true),
        (false, queue(secs(9)), false),
    ] {
        let bench = &mut Bench::new(|chain| chain);
        let mut walk = bench.walk(None, 0);
        assert_eq!(bench.turn(&mut walk, 0), asks(0, 2));
        walk.failed(Some(Duration::ZERO), bench.at(0));
        walk.leave(Left::Hint {
            back: bench.at(20),
            latest: bench.at(50),
        });
        assert_eq!(bench.turn(&mut walk, 0), asks(1, 2));
        if is_cooling {
            bench.cool(2, &limited(), 60, 0);
        }
        let seen_now = [Prospect::FREE, full(Duration::ZERO), last];
        assert!(!bench.is_free(&walk, 19, seen_now));
        assert_eq!(bench.is_free(&walk, 20, seen_now), is_left);
        walk.leave_line();
        let turn = bench.turn_seen(&mut walk, 20, seen(seen_now));
        let goes_to = if is_left { asks(0, 0) } else { asks(2, 1) };
        assert_eq!(turn, goes_to);
    }
}

/// A walk on which all three have failed, the first two of whom named a wait of 30 ms and of 20 ms at the beginning.
fn walk_of_two_left(bench: &mut Bench) -> Walk {
    let mut walk = bench.walk(None, 0);
    for (index, wait) in [(0, 30), (1, 20)] {
        assert_eq!(bench.turn(&mut walk, 0), asks(index, 2));
        bench.cool(index, &limited(), wait, 0);
        walk.failed(Some(Duration::ZERO), bench.at(0));
        walk.leave(Left::Hint {
            back: bench.at(wait),
            latest: bench.at(50),
        });
    }
    assert_eq!(
        bench.turn(&mut walk, 0),
        asks(2, 2),
        "two could still be waited for"
    );
    walk.failed(None, bench.at(0));
    walk
}

fn waits_for(bench: &Bench, index: usize, until: u64) -> Turn {
    let until = bench.at(until);
    Turn::WaitFor { index, until }
}

/// A new user's test: a wait that would have been waited out was not, because there had been others, who then failed.
#[test]
fn who_asked_for_a_wait_is_waited_for_where_nobody_else_is_left_the_soonest_first_and_each_once() {
    let bench = &mut Bench::new(|chain| chain);
    let mut walk = walk_of_two_left(bench);
    assert_eq!(bench.turn(&mut walk, 0), waits_for(bench, 1, 20));
    assert_eq!(bench.turn(&mut walk, 19), waits_for(bench, 1, 20));
    assert_eq!(bench.turn(&mut walk, 20), asks(1, 0));
    walk.failed(None, bench.at(25));
    assert_eq!(bench.turn(&mut walk, 25), waits_for(bench, 0, 30));
    assert_eq!(bench.turn(&mut walk, 30), asks(0, 0));
    walk.failed(None, bench.at(30));
    assert!(matches!(bench.turn(&mut walk, 30), Turn::Exhausted { .. }));
}

#[test]
fn who_would_refuse_and_says_to_come_back_at_once_is_not_waited_for() {
    let refuse = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: Some(Duration::ZERO),
    };
    let bench = &mut Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    assert_eq!(bench.turn(&mut walk, 0), asks(0, 2));
    walk.failed(Some(Duration::ZERO), bench.at(0));
    walk.leave(Left::Hint {
        back: bench.at(30),
        latest: bench.at(50),
    });
    let seen = seen([Prospect::FREE, refuse, refuse]);
    let turn = bench.turn_seen(&mut walk, 0, seen);
    assert_eq!(turn, waits_for(bench, 0, 30));
}

#[test]
fn who_goes_back_into_a_line_has_those_before_him_who_were_not_asked_or_asked_for_a_wait() {
    let bench = &mut Bench::new(|chain| chain);
    let mut walk = bench.walk(None, 0);
    assert_eq!(bench.turn(&mut walk, 0), asks(0, 2));
    walk.failed(Some(Duration::ZERO), bench.at(0));
    walk.leave(Left::Hint {
        back: bench.at(30),
        latest: bench.at(50),
    });
    assert_eq!(bench.turn(&mut walk, 0), asks(1, 2));
    assert_eq!(walk.line_up_again(&bench.plan.chain), Some(asks(1, 2)));
}

#[test]
fn a_line_is_left_for_one_that_asked_for_a_wait_when_that_is_over() {
    let bench = &mut Bench::new(|chain| chain);
    let mut walk = walk_of_two_left(bench);
    assert_eq!(bench.turn(&mut walk, 20), asks(1, 0));
    let free = [Prospect::FREE; 3];
    // Its cooldown aside, too.
    bench.state.clear_all();
    assert!(!bench.is_free(&walk, 29, free) && bench.is_free(&walk, 30, free));
}

#[test]
fn who_asks_for_longer_meanwhile_or_would_refuse_is_not_waited_for_past_the_time_that_is_allowed() {
    let bench = &mut Bench::new(|chain| chain);
    let mut walk = walk_of_two_left(bench);
    bench.cool(1, &limited(), 40, 10);
    assert_eq!(bench.turn(&mut walk, 10), waits_for(bench, 0, 30));
    bench.cool(1, &limited(), 41, 10);
    bench.cool(0, &limited(), 40, 10);
    assert_eq!(bench.turn(&mut walk, 10), waits_for(bench, 0, 50));
    let refuse = Prospect::Refuse {
        by: RefusedBy::Circuit,
        retry_after: Some(ms(41)),
    };
    let turn = bench.turn_seen(&mut walk, 10, |_| refuse);
    assert!(matches!(turn, Turn::Exhausted { .. }), "{turn:?}");
}

#[test]
fn who_would_refuse_is_passed_by_and_counts_as_back_when_it_says() {
    let refuse = |seconds| Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: Some(secs(seconds)),
    };
    let unknown = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: None,
    };
    let mut bench = Bench::new(|chain| chain);
    let one = [refuse(9), Prospect::FREE, Prospect::FREE];
    let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(one));
    assert_eq!(turn, asks(1, 1));
    let (mut walk, all) = (bench.walk(None, 0), [refuse(9), unknown, refuse(4)]);
    let soonest = Some(bench.at(4_000));
    let turn = bench.turn_seen(&mut walk, 0, seen(all));
    assert_eq!(turn, Turn::Exhausted { soonest });
    let passed = |(index, back): (usize, Option<u64>)| Passed {
        index,
        why: WhyNot::WouldRefuse(RefusedBy::Limit),
        back: back.map(|millis| bench.at(millis)),
    };
    let all_refuse = [(0, Some(9_000)), (1, None), (2, Some(4_000))];
    assert_eq!(walk.passed_by(), all_refuse.map(passed));
    bench.plan.chain.when_exhausted = WhenExhausted::TryAnyway;
    let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(all));
    assert_eq!(turn, asks(2, 0));
    bench.plan.chain.when_exhausted = WhenExhausted::Wait { max: secs(4) };
    let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(all));
    assert!(matches!(turn, Turn::Wait { .. }));
}

#[test]
fn who_is_excluded_or_too_small_is_not_waited_for_and_each_is_told_why() {
    let (a, b) = (provider("a"), provider("b"));
    let upstreams = [
        a.model("1").context_tokens(10),
        a.model("2").context_tokens(9),
        a.model("3"),
        b.model("1"),
    ];
    let mut bench = Bench::new(|_| Chain::new(upstreams));
    let preferences = Preferences::new().never(["a/3"]);
    let mut walk = Walk::new(&bench.plan.chain, None, Some(preferences));
    assert_eq!(bench.turn(&mut walk, 0), asks(0, 2));
    walk.too_large_for(&bench.plan.chain.upstreams[0]);
    walk.failed(None, bench.at(0));
    let sight = Sight {
        now: bench.at(0),
        is_allowed: false,
        cooling: |_: &Upstream| None,
        prospect: |_: &Upstream| Prospect::FREE,
    };
    walk.turn(&bench.plan, sight);
    let why: Vec<_> = walk.passed_by().iter().map(|it| it.why).collect();
    let [small, excluded, left] = [
        WhyNot::ContextTooSmall,
        WhyNot::Excluded,
        WhyNot::NoAttemptLeft,
    ];
    assert_eq!(why, [small, excluded, left]);
    for (index, time) in [(0, 3_000), (1, 4_000), (2, 5_000), (3, 9_000)] {
        bench.cool(index, &limited(), time, 0);
    }
    let soonest = Some(bench.at(9_000));
    assert_eq!(bench.turn(&mut walk, 0), Turn::Exhausted { soonest });
}

#[test]
fn one_that_has_failed_and_is_not_left_alone_is_asked_next_in_place_of_a_probe() {
    let refuse = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: Some(secs(5)),
    };
    let soonest = |of_the_failed| {
        let mut bench = Bench::new(|chain| chain);
        let mut walk = bench.walk(None, 0);
        assert_eq!(bench.turn(&mut walk, 0), asks(0, 2));
        walk.failed(Some(secs(2)), bench.at(0));
        for index in [1, 2] {
            let upstream = &bench.plan.chain.upstreams[index];
            let grounds = Grounds::Failure;
            bench
                .state
                .cool(upstream, &limited(), secs(9), grounds, bench.start);
        }
        let prospects = [of_the_failed, Prospect::FREE, Prospect::FREE];
        match bench.turn_seen(&mut walk, 0, seen(prospects)) {
            Turn::Exhausted { soonest } => soonest.map(|at| bench.millis(at)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(soonest(Prospect::FREE), Some(2_000));
    assert_eq!(soonest(refuse), Some(0), "another is asked to find out");
}

/// A review's test: who was free again when the reasons were gathered was told as one for whom no attempt was left.
#[test]
fn who_was_passed_by_is_told_with_the_reason_of_that_moment() {
    let mut bench = Bench::new(|chain| chain);
    let (mut walk, mut asked) = (bench.walk(None, 0), 0);
    let turn = bench.turn_seen(&mut walk, 0, |_| {
        asked += 1;
        match asked {
            1..=3 => Prospect::Refuse {
                by: RefusedBy::Limit,
                retry_after: None,
            },
            _ => Prospect::FREE,
        }
    });
    assert_eq!(turn, Turn::Exhausted { soonest: None });
    let would_refuse = |index| Passed {
        index,
        why: WhyNot::WouldRefuse(RefusedBy::Limit),
        back: None,
    };
    assert_eq!(walk.passed_by(), [0, 1, 2].map(would_refuse));
}

#[test]
fn a_request_that_is_estimated_too_large_for_a_context_or_a_quota_is_tried_there_last() {
    let a = provider("a");
    let chain = |_| {
        Chain::new([
            a.model("1").context_tokens(1_000),
            a.model("2").context_tokens(1_001),
            a.model("3"),
        ])
    };
    let mut bench = Bench::new(chain);
    let mut of = |cost: Cost, prospect: Prospect| {
        let chain = &bench.plan.chain;
        let mut walk = Walk::new(chain, Some(cost), None);
        match bench.turn_seen(
            &mut walk,
            0,
            seen([prospect, Prospect::FREE, Prospect::FREE]),
        ) {
            Turn::Try { index, .. } => index,
            _ => usize::MAX,
        }
    };
    assert_eq!(of(Cost::tokens(900, 100), Prospect::FREE), 0);
    assert_eq!(of(Cost::tokens(901, 100), Prospect::FREE), 1);
    assert_eq!(of(Cost::tokens(902, 100), Prospect::FREE), 2);
    // What the answer may come to is a guess: it keeps nobody away.
    assert_eq!(of(Cost::tokens(901, 100).guessed(), Prospect::FREE), 0);
    assert_eq!(of(Cost::tokens(1, 1), Prospect::TooLarge), 1);
    let mut walk = bench.walk(None, 0);
    let hopeless = seen([Prospect::TooLarge; 3]);
    assert_eq!(bench.turn_seen(&mut walk, 0, hopeless), asks(0, 2));
}

#[test]
fn the_one_with_the_most_headroom_goes_first() {
    let taken = |taken| Prospect::Pass { taken };
    let mut bench = Bench::new(|chain| {
        let consulted = |_: &Upstream, _: &crate::request::RequestHead<'_>| Prospect::FREE;
        chain.consult(consulted).order(Order::Headroom)
    });
    for (prospects, first) in [
        ([taken(0.9), taken(0.1), taken(0.5)], 1),
        ([taken(0.5), taken(0.5), taken(0.4)], 2),
        ([queue(ms(1)), taken(1.0), queue(ms(2))], 1),
        ([queue(ms(3)), queue(ms(1)), queue(ms(2))], 1),
        ([taken(0.5), taken(0.5), taken(0.5)], 0),
    ] {
        let turn = bench.turn_seen(&mut bench.walk(None, 0), 0, seen(prospects));
        assert_eq!(turn, asks(first, 2), "{prospects:?}");
    }
}

#[test]
fn weights_share_out_the_first_turn_and_the_others_follow_by_weight() {
    let (a, b) = (provider("a"), provider("b"));
    let upstreams = [
        a.model("1").weight(3),
        a.model("2").weight(1),
        b.model("1").weight(0),
    ];
    let mut bench = Bench::new(|_| Chain::new(upstreams).order(Order::Weighted));
    let mut firsts = [0; 3];
    for _ in 0..40 {
        let mut walk = bench.walk(None, 0);
        let Turn::Try { index, .. } = bench.turn(&mut walk, 0) else {
            panic!("somebody is free");
        };
        firsts[index] += 1;
    }
    assert_eq!(firsts, [30, 10, 0]);
    bench.cool(0, &limited(), 1_000, 0);
    bench.cool(1, &limited(), 1_000, 0);
    assert_eq!(bench.turn(&mut bench.walk(None, 0), 0), asks(2, 0));
}

// liter-llm 2.4: the fastest failure won.
#[test]
fn the_fastest_is_the_one_whose_answers_begin_soonest() {
    let mut bench = Bench::new(|chain| chain.order(Order::Fastest));
    assert_eq!(bench.turn(&mut bench.walk(None, 0), 0), asks(0, 2));
    bench.plan.failed(0, bench.at(1));
    assert_eq!(bench.turn(&mut bench.walk(None, 1), 1), asks(1, 2));
    bench.plan.answered(1, ms(900), bench.at(2));
    assert_eq!(bench.turn(&mut bench.walk(None, 2), 2), asks(2, 2));
    bench.plan.answered(2, ms(100), bench.at(3));
    let mut walk = bench.walk(None, 3);
    for next in [asks(2, 2), asks(1, 1), asks(0, 0)] {
        assert_eq!(bench.turn(&mut walk, 3), next);
        walk.failed(None, bench.at(3));
    }
}

#[test]
fn what_a_request_prefers_holds_for_it_alone() {
    let price = |cents| Price::default().input(Money::from_cents(cents));
    let (a, b) = (provider("a"), provider("b"));
    let upstreams = [
        a.model("1").price(price(3)),
        a.model("2").price(price(2)),
        b.model("1").price(price(1)),
    ];
    let mut bench = Bench::new(|_| Chain::new(upstreams));
    let mut turns = |preferences: Preferences| {
        let chain = &bench.plan.chain;
        let mut walk = Walk::new(chain, None, Some(preferences));
        let mut asked = Vec::new();
        while let Turn::Try { index, .. } = bench.turn(&mut walk, 0) {
            asked.push(index);
            walk.failed(None, bench.start);
            if walk.is_final() {
                break;
            }
        }
        let is_excluded = |passed: &&Passed| passed.why == WhyNot::Excluded;
        let excluded = walk.passed_by().iter().filter(is_excluded).count();
        (asked, excluded)
    };
    let new = Preferences::new;
    assert_eq!(turns(new()), (vec![0, 1, 2], 0));
    assert_eq!(turns(new().order(Order::Cheapest)), (vec![2, 1, 0], 0));
    assert_eq!(turns(new().only(["a"])), (vec![0, 1], 1));
    assert_eq!(turns(new().never(["a/1", "b"])), (vec![1], 2));
    assert_eq!(turns(new().only(["c"])), (vec![], 3));
    assert_eq!(turns(new().no_fallback()), (vec![0], 0));
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
                        Turn::WaitFor { .. } => prop_assert!(false, "nobody was left to others"),
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

proptest! {
    #[test]
    fn whom_nobody_has_to_be_looked_at_for_is_whom_a_look_would_have_found(
        order in prop::sample::select(vec![Order::Listed, Order::LocalFirst, Order::Weighted]),
        kinds in prop::collection::vec((any::<bool>(), 0..4_u32, prop::option::of(1..4_u64)), 1..6),
        costs in prop::collection::vec(prop::option::of(0..5_u64), 1..20),
    ) {
        let upstreams = kinds.iter().enumerate().map(|(index, (is_local, weight, context))| {
            let provider = if *is_local { Provider::ollama() } else { Provider::openai() };
            let upstream = provider.model(index.to_string()).weight(*weight);
            context.iter().fold(upstream, |upstream, context| upstream.context_tokens(*context))
        });
        let chain = Chain::new(upstreams).order(order);
        let [mut short, mut long] = [chain.clone(), chain].map(|chain| Bench::new(|_| chain));
        for tokens in &costs {
            let cost = tokens.map(|tokens| Cost::tokens(tokens, 0));
            let walk = |bench: &Bench| Walk::new(&bench.plan.chain, cost, None);
            let (mut walk, mut looking) = (walk(&short), walk(&long));
            let looked = long.turn(&mut looking, 0);
            if let Some((index, alternatives)) = walk.first(&short.plan, true) {
                prop_assert_eq!(looked, Turn::Try { index, alternatives });
                prop_assert_eq!(walk.asked(), looking.asked());
            } else {
                prop_assert!(tokens.is_some(), "nothing speaks against the first");
                short.turn(&mut walk, 0);
            }
        }
    }
}
