use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    binding::BindingLimit,
    outcome::Dimension,
    rate_limit::{Limit, Zone, counts::Usage, epoch::Anchor, saved::SavedQuota},
    request::Priority,
};

/// A state, who waits in it, and a time that counts milliseconds from its beginning.
struct Bench {
    state: State,
    waiting: HashMap<Place, Cost>,
}

/// What an admitted request has taken.
#[derive(Debug, PartialEq, Eq)]
struct Taken {
    when: (Nanos, Admissions),
    cost: Cost,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Pass(Taken),
    Wait { place: Place, until: u64 },
    TooLarge { limit: Option<usize> },
}

#[derive(Debug, PartialEq, Eq)]
enum Turned {
    Pass(Taken),
    Wait { until: Option<u64> },
}

fn ms(millis: u64) -> Nanos {
    millis * 1_000_000
}

fn millis(nanos: Nanos) -> u64 {
    nanos.div_ceil(1_000_000)
}

impl Bench {
    fn new(quota: Quota) -> Self {
        quota.check().unwrap();
        Self {
            state: State::new(Arc::new(quota), 0, 0),
            waiting: HashMap::new(),
        }
    }

    fn ask(&mut self, tokens: u64, priority: Priority, at: u64) -> Answer {
        let asked = Asked {
            cost: Cost::tokens(tokens, 0),
            priority,
            at: ms(at),
        };
        let is_seen_to_pass = self.state.has_room(&asked.cost, ms(at));
        let look = self.state.look(&asked, ms(at));
        assert!(!is_seen_to_pass || look == Look::Pass, "{look:?}");
        match look {
            Look::Pass => Answer::Pass(self.admit(asked.cost, ms(at))),
            Look::TooLarge { limit } => Answer::TooLarge { limit },
            Look::Wait { until } => {
                let place = self.state.join(&asked);
                self.waiting.insert(place, asked.cost);
                let until = millis(until);
                Answer::Wait { place, until }
            }
        }
    }

    fn admit(&mut self, cost: Cost, now: Nanos) -> Taken {
        let admitted = self.state.admit(&cost, now);
        let when = (admitted.at, admitted.admitted);
        Taken { when, cost }
    }

    fn pass(&mut self, tokens: u64, at: u64) -> Taken {
        match self.ask(tokens, Priority::Normal, at) {
            Answer::Pass(taken) => taken,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, tokens: u64, at: u64) -> (Place, u64) {
        match self.ask(tokens, Priority::Normal, at) {
            Answer::Wait { place, until } => (place, until),
            other => panic!("{other:?}"),
        }
    }

    fn turn_at(&mut self, place: Place, now: Nanos) -> Turned {
        let cost = self.waiting[&place];
        match self.state.turn(place, cost, now) {
            Turn::Wait { until } => Turned::Wait {
                until: until.map(millis),
            },
            Turn::TooLarge { limit } => panic!("too large for {limit:?}"),
            Turn::Pass => {
                self.cancel(place);
                Turned::Pass(self.admit(cost, now))
            }
        }
    }

    fn turn(&mut self, place: Place, at: u64) -> Turned {
        self.turn_at(place, ms(at))
    }

    /// Admits all who wait as soon as they fit, as long as that is no later than `until`; and says when.
    fn serve(&mut self, mut now: u64, until: u64) -> Vec<(Place, Taken, u64)> {
        let mut served = Vec::new();
        while let Some(place) = self.state.first() {
            match self.turn(place, now) {
                Turned::Pass(taken) => served.push((place, taken, now)),
                Turned::Wait { until: Some(next) } if next <= until => now = next,
                Turned::Wait { .. } => break,
            }
        }
        served
    }

    /// Returns whether it was the first.
    fn cancel(&mut self, place: Place) -> bool {
        self.waiting.remove(&place);
        self.state.leave(place).1
    }

    /// Returns whether somebody may pass for it.
    fn finish(&mut self, taken: Taken, used: Option<u64>, at: u64) -> bool {
        let may_pass = self.state.finish();
        if let Some(used) = used {
            let used = Cost::tokens(used, 0);
            self.state.settle(taken.when, taken.cost, used, ms(at));
        }
        may_pass
    }

    fn refund(&mut self, taken: Taken, at: u64) {
        self.state.finish();
        self.state.refund(taken.when, taken.cost, ms(at));
    }
}

fn requests(amount: u64) -> Quota {
    Quota::new().limit(Limit::requests(amount).per_minute())
}

fn tokens(amount: u64) -> Quota {
    Quota::new().limit(Limit::tokens(amount).per_minute())
}

#[test]
fn a_quota_that_is_set_for_a_key_is_seen_to_have_room_as_one_from_the_beginning() {
    let quota = Quota::new().limit(Limit::requests(10).per_minute());
    let mut bench = Bench::new(Quota::new());
    bench.state.set_quota(Arc::new(quota), 0, 0);
    assert!(bench.state.has_room(&Cost::default(), 0));
    assert!(!bench.state.learns(), "nothing was told of it");
}

// RL-02: governor's proptests, Polly.
#[test]
fn refused_one_nanosecond_before_the_time_it_was_told_and_admitted_at_it() {
    let mut bench = Bench::new(requests(1));
    let _in_flight = bench.pass(0, 0);
    let (place, until) = bench.wait(0, 1);
    assert_eq!(until, 60_000);
    let early = bench.turn_at(place, ms(until) - 1);
    assert_eq!(early, Turned::Wait { until: Some(until) });
    assert!(matches!(bench.turn(place, until), Turned::Pass(_)));
}

// PITFALLS 2, litellm#39309, and linkerd's local rate limit: the refusal of one limit had already spent another.
#[test]
fn a_request_that_one_limit_refuses_spends_nothing_of_the_others() {
    let mut bench = Bench::new(requests(2).limit(Limit::tokens(100).per_minute()));
    let _in_flight = bench.pass(90, 0);
    let (refused, _) = bench.wait(50, 1);
    bench.cancel(refused);
    let _in_flight = bench.pass(10, 2);
}

// PITFALLS 3, litellm#28805, openlimit#8, Fabric#364: a cost above the limit waited for ever.
#[test]
fn a_request_larger_than_a_limit_is_refused_at_once_and_names_it() {
    let mut bench = Bench::new(requests(9).limit(Limit::tokens(7_000).per_minute()));
    let too_large = Answer::TooLarge { limit: Some(1) };
    assert_eq!(bench.ask(7_001, Priority::Normal, 0), too_large);
    let _in_flight = bench.pass(7_000, 0);
    let mut bench = Bench::new(Quota::new().max_tokens_per_request(10));
    let _in_flight = bench.pass(10, 0);
    assert_eq!(
        bench.ask(11, Priority::Normal, 0),
        Answer::TooLarge { limit: None }
    );
}

// PITFALLS 7, RL-12: governor and tower-resilience let newcomers overtake, so that a large request starves among small ones.
#[test]
fn a_small_request_does_not_overtake_a_large_one_that_waits() {
    let mut bench = Bench::new(Quota::new().limit(Limit::tokens(100).per_second().burst(100)));
    let _in_flight = bench.pass(100, 0);
    let (big, big_until) = bench.wait(100, 0);
    let (small, small_until) = bench.wait(1, 1);
    assert_eq!((big_until, small_until), (1_000, 1_010));
    assert_eq!(bench.turn(small, 999), Turned::Wait { until: None });
    assert!(matches!(bench.turn(big, 1_000), Turned::Pass(_)));
    assert!(matches!(bench.turn(small, 1_010), Turned::Pass(_)));
}

#[test]
fn high_goes_before_normal_before_low_and_a_long_wait_outweighs_priority() {
    let mut bench = Bench::new(Quota::new().max_concurrent(1));
    let running = bench.pass(0, 0);
    let mut places = Vec::new();
    for (priority, at) in [
        (Priority::Low, 1),
        (Priority::Normal, 2),
        (Priority::Normal, 3),
        (Priority::High, 4),
    ] {
        match bench.ask(0, priority, at) {
            Answer::Wait { place, .. } => places.push(place),
            other => panic!("{other:?}"),
        }
    }
    match bench.ask(0, Priority::High, 60_002) {
        Answer::Wait { place, .. } => places.push(place),
        other => panic!("{other:?}"),
    }
    bench.finish(running, None, 60_003);
    let mut order = Vec::new();
    while let Some(place) = bench.state.first() {
        let Turned::Pass(taken) = bench.turn(place, 60_003) else {
            panic!("the first must pass")
        };
        order.push(places.iter().position(|other| *other == place).unwrap());
        bench.finish(taken, None, 60_003);
    }
    assert_eq!(order, [3, 1, 2, 0, 4]);
}

// RL-10: golang.org/x/time/rate gives a cancelled reservation back, less what came after it. Who waits here moves up.
#[test]
fn one_who_leaves_the_queue_leaves_nothing_behind() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(60).per_minute().burst(1)));
    let _in_flight = bench.pass(0, 0);
    let (first, _) = bench.wait(0, 0);
    let (second, until) = bench.wait(0, 0);
    assert_eq!(until, 2_000);
    assert!(
        bench.cancel(first),
        "the second is the first now and must be woken"
    );
    assert!(!bench.cancel(first));
    assert!(matches!(bench.turn(second, 1_000), Turned::Pass(_)));
}

#[test]
fn what_was_never_sent_is_given_back_whole() {
    let mut bench = Bench::new(requests(1).max_concurrent(1));
    let taken = bench.pass(0, 0);
    bench.refund(taken, 10);
    let _in_flight = bench.pass(0, 11);
}

#[test]
fn a_lower_usage_lets_the_next_pass_and_a_higher_one_is_a_debt() {
    let mut bench = Bench::new(tokens(100));
    let taken = bench.pass(100, 0);
    let (place, _) = bench.wait(60, 5);
    bench.finish(taken, Some(40), 1_000);
    let Turned::Pass(taken) = bench.turn(place, 1_000) else {
        panic!("60 of 60 are free")
    };
    bench.finish(taken, Some(700), 1_001);
    assert_eq!(bench.wait(1, 1_002).1, 61_000);
}

// PITFALLS 5, aisix#124: an answer whose usage is not known was settled with nothing.
#[test]
fn an_unknown_usage_leaves_the_estimate() {
    let mut bench = Bench::new(tokens(100));
    let taken = bench.pass(100, 0);
    bench.finish(taken, None, 10);
    assert_eq!(bench.wait(1, 11).1, 60_000);
}

#[test]
fn what_answers_used_is_expected_of_those_that_set_no_maximum() {
    let mut bench = Bench::new(tokens(10_000));
    let guess = Cost::tokens(100, 512).guessed();
    assert_eq!(bench.state.expect(guess), guess);
    for _ in 0..100 {
        bench.state.learn(Cost::tokens(100, 2_000).guessed());
    }
    let expected = bench.state.expect(guess).output_tokens;
    assert!((2_000..2_100).contains(&expected), "{expected}");
    let long_prompt = Cost::tokens(9_000, 512).guessed();
    let expected = bench.state.make_fit(bench.state.expect(long_prompt));
    assert_eq!(expected.output_tokens, 1_000, "no guess refuses a request");
}

// PITFALLS 18: Bedrock reserves the maximum of an answer.
#[test]
fn an_estimate_is_kept_where_the_upstream_keeps_it_and_a_debt_is_taken_all_the_same() {
    let mut bench = Bench::new(tokens(100).keep_estimates());
    let (low, high) = (bench.pass(50, 0), bench.pass(20, 0));
    bench.finish(low, Some(10), 1);
    bench.finish(high, Some(40), 1);
    let Usage { used, .. } = bench.state.usage(ms(1)).next().unwrap();
    assert_eq!(used, 90);
}

// litellm#40130: a second 429 with a shorter hint ended the first pause.
#[test]
fn a_pause_holds_back_everybody_and_is_only_extended() {
    let mut bench = Bench::new(Quota::new());
    assert!(bench.state.pause(ms(60_000), 0));
    assert!(!bench.state.pause(ms(700), 0));
    assert_eq!(bench.wait(0, 2).1, 60_000);
    assert!(
        bench.state.pause(Nanos::MAX, 0),
        "an absurd pause must not overflow"
    );
}

#[test]
fn a_pause_that_is_over_as_it_is_asked_for_is_none() {
    let mut bench = Bench::new(Quota::new());
    assert!(!bench.state.pause(ms(5), ms(5)));
    assert!(!bench.state.pause(ms(4), ms(5)));
    assert!(bench.state.pause(ms(6), ms(5)));
    assert!(!bench.state.pause(ms(6), ms(5)), "it is not extended");
}

/// The forecast is made anew when more than one change came for 64 who wait.
#[test]
fn one_change_for_64_who_wait_goes_unheeded_and_a_second_does_not() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(1).per_second()));
    let _in_flight = bench.pass(0, 0);
    let waiting: Vec<_> = (0..65).map(|_| bench.wait(0, 0).0).collect();
    let asked = Asked {
        cost: Cost::default(),
        priority: Priority::Normal,
        at: 0,
    };
    let predicted = |bench: &mut Bench| match bench.state.look(&asked, 0) {
        Look::Wait { until } => millis(until),
        other => panic!("{other:?}"),
    };
    bench.cancel(waiting[0]);
    assert_eq!(predicted(&mut bench), 66_000);
    bench.cancel(waiting[1]);
    assert_eq!(predicted(&mut bench), 64_000);
}

#[test]
fn what_binds_is_the_limit_that_holds_back_the_longest() {
    let limits = [
        Limit::requests(1).per_minute(),
        Limit::requests(1).per_day(),
        Limit::requests(1)
            .per(Duration::from_secs(700_000))
            .shadow(),
    ];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let quota = order.iter().fold(Quota::new(), |quota, index| {
            quota.limit(limits[*index].clone())
        });
        let mut bench = Bench::new(quota);
        assert_eq!(bench.state.binding(Cost::default()), None);
        let _in_flight = bench.pass(0, 0);
        let binding = bench.state.binding(Cost::default());
        assert_eq!(binding, Some(limits[1].binding()));
    }
}

#[test]
fn a_pause_binds_where_it_is_longer_than_the_limits_and_a_full_house_where_nothing_else_does() {
    let mut bench = Bench::new(requests(1).max_concurrent(1));
    let _in_flight = bench.pass(0, 0);
    let rate = Some(Limit::requests(1).per_minute().binding());
    assert_eq!(bench.state.binding(Cost::default()), rate);
    bench.state.pause(ms(60_000), 0);
    assert_eq!(bench.state.binding(Cost::default()), rate);
    bench.state.pause(ms(60_000) + 1, 0);
    let pause = Some(BindingLimit::Pause);
    assert_eq!(bench.state.binding(Cost::default()), pause);
    let mut bench = Bench::new(Quota::new().max_concurrent(2));
    let _one = bench.pass(0, 0);
    assert_eq!(bench.state.binding(Cost::default()), None);
    let _two = bench.pass(0, 0);
    let full = Some(BindingLimit::MaxConcurrent(2));
    assert_eq!(bench.state.binding(Cost::default()), full);
}

#[test]
fn who_is_held_back_only_by_those_ahead_is_told_what_holds_back_the_first_of_them() {
    let mut bench = Bench::new(tokens(100));
    let _in_flight = bench.pass(100, 0);
    bench.wait(50, 0);
    let binding = bench.state.binding(Cost::default());
    assert_eq!(binding, Some(Limit::tokens(100).per_minute().binding()));
}

#[test]
fn an_adapted_rate_binds_where_there_is_no_limit_and_is_remembered() {
    let mut bench = Bench::new(Quota::new());
    let taken = bench.pass(0, 0);
    bench.state.finish();
    assert!(bench.state.is_idle(0));
    bench.state.refused(taken.when.0, 0, ms(1));
    let adapted = Some(BindingLimit::AdaptedRate);
    assert_eq!(bench.state.binding(Cost::default()), adapted);
    assert!(!bench.state.is_idle(ms(2)));
}

#[test]
fn an_adapted_rate_holds_the_next_request_back_which_is_seen_at_a_glance_too() {
    let mut bench = Bench::new(Quota::new());
    assert!(bench.state.has_room(&Cost::default(), 0));
    let taken = bench.pass(0, 0);
    bench.state.refused(taken.when.0, 0, ms(1));
    // However often it refuses, an upstream is asked every other second.
    assert_eq!(bench.wait(0, 1).1, 2_001);
}

#[test]
fn a_limit_binds_that_only_the_upstream_tells_of() {
    let mut bench = Bench::new(requests(9));
    let _in_flight = bench.pass(1, 0);
    let day = Limit::tokens(500).per_day();
    let told = Told {
        dimension: Dimension::Tokens,
        period: Some(day.per),
        limit: Some(day.amount),
        remaining: 0,
        reset_after: None,
        is_refilling: false,
    };
    bench.state.heed(Mark::default(), told, ms(1), 0);
    let binding = bench.state.binding(Cost::tokens(1, 0));
    assert_eq!(binding, Some(day.binding()));
}

#[test]
fn the_risk_is_the_share_of_what_is_tightest() {
    let quota = tokens(100)
        .limit(Limit::requests(10).per_minute())
        .limit(Limit::requests(1).per_hour().shadow())
        .min_interval(Duration::from_nanos(1))
        .max_concurrent(4);
    let mut bench = Bench::new(quota);
    assert_eq!(bench.state.risk(Cost::default(), 0), 0.25);
    let _one = bench.pass(50, 0);
    assert_eq!(bench.state.risk(Cost::default(), ms(1)), 0.5);
    assert_eq!(bench.state.risk(Cost::tokens(25, 5), ms(1)), 0.8);
    let _two = bench.pass(0, 1);
    assert_eq!(bench.state.risk(Cost::default(), ms(2)), 0.75);
}

#[test]
fn the_first_is_woken_only_where_he_may_pass_earlier() {
    let settled = |reserved: u64, used: u64| {
        let mut bench = Bench::new(tokens(100));
        let taken = bench.pass(reserved, 0);
        let _rest = bench.pass(100 - reserved, 1);
        bench.wait(30, 2);
        let cost = |tokens| Cost::tokens(tokens, 0);
        let state = &mut bench.state;
        state.settle(taken.when, cost(reserved), cost(used), ms(3))
    };
    assert!(settled(100, 70));
    assert!(!settled(100, 71));
    assert!(!settled(100, 100));
    assert!(!settled(100, 200));
    assert!(!settled(20, 40), "he waits for longer");
    let mut bench = Bench::new(tokens(100).max_concurrent(2));
    let (one, two) = (bench.pass(50, 0), bench.pass(10, 0));
    bench.wait(40, 1);
    assert!(bench.finish(one, None, 2), "it was full");
    assert!(!bench.finish(two, None, 2));
}

/// A debt that comes later makes what was foretold wrong for everybody.
#[test]
fn what_is_foretold_after_a_debt_is_behind_it() {
    let mut bench = Bench::new(tokens(100));
    let _in_flight = bench.pass(60, 0);
    let taken = bench.pass(40, 1_000);
    let waits: Vec<_> = (0..131).map(|_| bench.wait(1, 2_000).1).collect();
    assert_eq!([waits[0], waits[99], waits[130]], [60_000, 61_000, 120_000]);
    let used = Cost::tokens(100, 0);
    bench.state.settle(taken.when, taken.cost, used, ms(2_000));
    assert_eq!(bench.wait(1, 2_000).1, 121_000);
}

#[test]
fn a_state_is_idle_when_nothing_tells_it_from_a_new_one() {
    let idle = |change: &dyn Fn(&mut State)| {
        let mut bench = Bench::new(requests(2));
        change(&mut bench.state);
        let before = bench.state.is_idle(ms(59_999));
        (before, bench.state.is_idle(ms(60_000)))
    };
    let quota = || Arc::new(requests(3));
    assert_eq!(idle(&|_| {}), (true, true));
    assert_eq!(idle(&|state| state.begin_wait()), (false, false));
    assert_eq!(idle(&|state| state.heed_holds(1)), (false, false));
    let done = idle(&|state| {
        state.begin_wait();
        state.heed_holds(1);
        state.end_wait();
        state.heed_holds(0);
    });
    assert_eq!(done, (true, true));
    let paused = idle(&|state| assert!(state.pause(ms(60_000), 0)));
    assert_eq!(paused, (false, true));
    assert_eq!(
        idle(&|state| state.set_quota(quota(), 0, 0)),
        (false, false)
    );
    let unset = idle(&|state| {
        state.set_quota(quota(), 0, 0);
        state.unset_quota(0, 0);
    });
    assert_eq!(unset, (true, true));
    let taken = idle(&|state| {
        let _ = state.admit(&Cost::default(), 0);
        state.finish();
    });
    assert_eq!(taken, (false, true));
}

#[test]
fn a_quota_from_before_a_restart_gives_way_to_an_upstreams_and_one_that_was_set_does_not() {
    let own = Arc::new(requests(1));
    let granted = Arc::new(requests(2));
    let restored = |quota: &Arc<Quota>, is_set| {
        let mut state = State::new(quota.clone(), 0, 0);
        let saved = SavedQuota {
            quota: Arc::new(requests(3)),
            is_set,
        };
        state.restore_quota(&saved, &own, 0, 0);
        let amount = state.quota().limits[0].amount;
        let is = (state.is_quota_set(), state.is_quota_restored());
        state.unset_quota(0, 0);
        (amount, is, state.quota().limits[0].amount)
    };
    assert_eq!(restored(&own, false), (3, (false, true), 3));
    assert_eq!(restored(&own, true), (3, (true, false), 1));
    assert_eq!(restored(&granted, false), (2, (false, false), 2));
    assert_eq!(restored(&granted, true), (3, (true, false), 2));
}

#[test]
fn how_much_is_taken_is_noted_for_an_answer_once_the_upstream_tells_of_limits() {
    let mut bench = Bench::new(requests(9).limit(Limit::tokens(100).per_minute()));
    let _in_flight = bench.pass(30, 0);
    assert!(bench.state.then_if_learned().is_none());
    assert!(!bench.state.learns());
    let told = Told {
        dimension: Dimension::Requests,
        period: None,
        limit: None,
        remaining: 4,
        reset_after: None,
        is_refilling: false,
    };
    bench.state.heed(Mark::default(), told, ms(1), 0);
    assert!(bench.state.learns());
    let then = bench.state.then_if_learned().unwrap();
    assert_eq!(then.iter().map(|it| it.used).collect::<Vec<_>>(), [1, 30]);
}

#[test]
fn nothing_is_saved_of_a_key_whose_limits_are_unused_and_whose_pause_is_over() {
    let own = Arc::new(requests(9));
    let mut state = State::new(own.clone(), 0, 0);
    let anchor = |at| Anchor {
        now: ms(at),
        wall: 0,
    };
    assert_eq!(state.save("", &own, anchor(1)), None);
    state.pause(ms(5), ms(1));
    assert!(state.save("", &own, anchor(4)).is_some());
    assert_eq!(state.save("", &own, anchor(5)), None);
}

#[test]
fn those_who_wait_hold_on_to_a_state_and_are_not_under_way() {
    let mut bench = Bench::new(requests(9));
    (0..3).for_each(|_| bench.state.begin_wait());
    bench.state.end_wait();
    bench.state.heed_holds(7);
    assert_eq!(bench.state.in_flight(), 5);
}

#[test]
fn a_guess_leaves_the_room_that_the_tightest_limit_has_for_an_answer() {
    let quota = tokens(100)
        .limit(Limit::output_tokens(40).per_minute())
        .limit(Limit::output_tokens(1).per_hour().shadow())
        .limit(Limit::input_tokens(5).per_minute().shadow())
        .max_tokens_per_request(60);
    let bench = Bench::new(quota);
    let fits = |input: u64| {
        let guess = Cost::tokens(input, 500).guessed();
        bench.state.likely(guess).output_tokens
    };
    assert_eq!([10, 30, 60, 99].map(fits), [40, 30, 0, 0]);
    let sure = Cost::tokens(10, 500);
    assert_eq!(bench.state.likely(sure), sure);
    let bench = Bench::new(requests(3));
    let guess = Cost::tokens(10, 500).guessed();
    assert_eq!(bench.state.likely(guess), guess);
}

#[test]
fn who_goes_before_others_puts_off_those_who_come_after_them() {
    for waiting in [3, 70] {
        let mut bench = Bench::new(Quota::new().limit(Limit::requests(1).per_second()));
        let _in_flight = bench.pass(0, 0);
        for second in 1..=waiting {
            assert_eq!(bench.wait(0, 0).1, second * 1_000);
        }
        let high = bench.ask(0, Priority::High, 0);
        assert!(matches!(high, Answer::Wait { until: 1_000, .. }));
        assert_eq!(bench.wait(0, 0).1, (waiting + 2) * 1_000);
    }
}

#[test]
fn who_passes_others_that_wait_puts_off_those_who_come_after_them() {
    let mut bench = Bench::new(tokens(100));
    let _in_flight = bench.pass(80, 0);
    assert_eq!(bench.wait(50, 1_000).1, 60_000);
    assert_eq!(bench.wait(10, 1_000).1, 60_000);
    let high = bench.ask(20, Priority::High, 2_000);
    assert!(matches!(high, Answer::Pass(_)));
    // Beside those 60 there is room for 30 when the 20 have left.
    assert_eq!(bench.wait(30, 3_000).1, 62_000);
}

/// Who had asked another limiter first is as old here as there.
#[test]
fn one_who_asked_before_others_that_wait_is_foretold_a_time_before_theirs() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(1).per_second()));
    let _in_flight = bench.pass(0, 0);
    let waits = [100, 500, 500, 500].map(|at| bench.wait(0, at).1);
    assert_eq!(waits, [1_000, 2_000, 3_000, 4_000]);
    let asked = Asked {
        cost: Cost::default(),
        priority: Priority::Normal,
        at: ms(300),
    };
    assert_eq!(
        bench.state.look(&asked, ms(500)),
        Look::Wait { until: ms(2_000) }
    );
}

#[test]
fn requests_are_spaced() {
    let mut bench = Bench::new(Quota::new().min_interval(Duration::from_millis(100)));
    let _in_flight = bench.pass(0, 0);
    let (first, first_until) = bench.wait(0, 10);
    let (second, second_until) = bench.wait(0, 10);
    assert_eq!((first_until, second_until), (100, 200));
    assert!(matches!(bench.turn(first, 100), Turned::Pass(_)));
    assert_eq!(bench.turn(second, 199), Turned::Wait { until: Some(200) });
    assert!(matches!(bench.turn(second, 200), Turned::Pass(_)));
}

#[test]
fn an_older_time_grants_nothing_and_a_jump_of_years_is_one_step() {
    let mut bench = Bench::new(requests(1));
    let _in_flight = bench.pass(0, 1_000);
    assert_eq!(bench.wait(0, 999).1, 61_000);
    let mut bench = Bench::new(requests(1));
    let _in_flight = bench.pass(0, 0);
    let _in_flight = bench.pass(0, 20 * 365 * 86_400_000);
}

#[test]
fn a_jump_of_centuries_does_not_hold_a_request_up_for_ever() {
    let mut bench = Bench::new(requests(1));
    let _in_flight = bench.pass(0, 0);
    let (place, _) = bench.wait(0, 1);
    let far = 150 * 365 * 86_400_000;
    assert!(matches!(bench.turn(place, far), Turned::Pass(_)));
}

#[test]
fn another_quota_keeps_what_was_taken_of_the_limits_that_stay() {
    let mut bench = Bench::new(requests(2).limit(Limit::tokens(100).per_minute()));
    let _in_flight = bench.pass(90, 0);
    let quota = Arc::new(requests(9).limit(Limit::tokens(100).per_minute()));
    bench.state.change_quota(quota, ms(1), 0);
    assert_eq!(bench.wait(11, 1).1, 60_000);
    bench.state.reset(ms(1), 0);
    let _in_flight = bench.ask(100, Priority::High, 2);
    assert!(matches!(_in_flight, Answer::Pass(_)));
}

/// The window did not hold what is settled, so its settlement must not free what others have taken since.
#[test]
fn what_was_taken_before_a_reset_is_not_settled_against_what_came_after() {
    let limits = [
        Limit::tokens(100).per_minute(),
        Limit::tokens(100).per_minute().burst(100),
        Limit::tokens(100).per_day().calendar(Zone::UTC),
    ];
    for limit in limits {
        let mut bench = Bench::new(Quota::new().limit(limit.clone()));
        let (settled, refunded) = (bench.pass(50, 0), bench.pass(50, 0));
        bench.state.reset(ms(1), 0);
        let _in_flight = bench.pass(100, 2);
        bench.finish(settled, Some(0), 2);
        bench.refund(refunded, 2);
        let Usage { used, .. } = bench.state.usage(ms(2)).next().unwrap();
        assert_eq!(used, 100, "{limit:?}");
    }
}

// PITFALLS 58, liter-llm: waiters did not see one another's debt, and 100 callers at 1/s were all done in 1 s.
#[test]
fn each_who_waits_is_told_a_time_behind_those_ahead() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(1).per_second()));
    let _in_flight = bench.pass(0, 0);
    for second in 1..=100 {
        assert_eq!(bench.wait(0, 0).1, second * 1_000);
    }
}

// RL-22: tensorzero, golang.org/x/time/rate.
#[test]
fn who_waits_for_one_limit_holds_nothing_of_the_others() {
    let quota = Quota::new()
        .limit(Limit::requests(2).per_minute().burst(2))
        .limit(Limit::tokens(100).per_minute().burst(100));
    let mut bench = Bench::new(quota);
    let _in_flight = bench.pass(100, 0);
    let (place, until) = bench.wait(50, 0);
    assert_eq!(until, 30_000);
    bench.cancel(place);
    let used = bench.state.usage(ms(100)).map(|usage| usage.used);
    assert_eq!(used.collect::<Vec<_>>(), [1, 100]);
}

// RL-24: tensorzero, failsafe-go.
#[test]
fn a_debt_is_paid_before_anybody_is_admitted() {
    let quota = Quota::new().limit(Limit::tokens(100).per_second().burst(1_000));
    let mut bench = Bench::new(quota);
    let taken = bench.pass(900, 0);
    bench.finish(taken, Some(1_500), 0);
    let (place, until) = bench.wait(100, 0);
    assert_eq!(until, 6_000);
    assert_eq!(
        bench.turn(place, 5_999),
        Turned::Wait { until: Some(6_000) }
    );
    assert!(matches!(bench.turn(place, 6_000), Turned::Pass(_)));
}

// RL-30: failsafe-go's periods of a second. Its reservations of more than a period's amount are too large here.
#[test]
fn who_waits_for_a_period_waits_behind_those_ahead() {
    let quota = Quota::new().limit(Limit::requests(2).per_second().calendar(Zone::UTC));
    let mut bench = Bench::new(quota);
    let _in_flight = (bench.pass(0, 0), bench.pass(0, 0));
    let waits = [0; 5].map(|_| bench.wait(0, 0).1);
    assert_eq!(waits, [1_000, 1_000, 2_000, 2_000, 3_000]);
}

// RL-44: redis-cell and golang.org/x/time/rate; .NET refuses nothing's worth when nothing is left.
#[test]
fn who_costs_nothing_of_a_limit_passes_when_nothing_of_it_is_left() {
    let mut bench = Bench::new(tokens(1));
    let _in_flight = bench.pass(1, 0);
    let _in_flight = bench.pass(0, 0);
    let Usage { used, .. } = bench.state.usage(0).next().unwrap();
    assert_eq!(used, 1);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask { tokens: u64, priority: Priority },
    Finish { which: usize, used: Option<u64> },
    Refund { which: usize },
    Cancel { which: usize },
    Wait { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priority = prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High)
    ];
    let step = prop_oneof![
        5 => (0_u64..60, priority).prop_map(|(tokens, priority)| Step::Ask { tokens, priority }),
        3 => (0_usize..9, proptest::option::of(0_u64..80)).prop_map(|(which, used)| Step::Finish { which, used }),
        1 => (0_usize..9).prop_map(|which| Step::Refund { which }),
        1 => (0_usize..9).prop_map(|which| Step::Cancel { which }),
        3 => (0_u64..700).prop_map(|millis| Step::Wait { millis }),
    ];
    proptest::collection::vec(step, 0..150)
}

proptest! {
    /// Whatever is asked, ended, refunded and cancelled: no window is overrun by what was admitted, no more than the
    /// allowed number is under way, nobody of a priority is overtaken by a later one of it, and in the end everybody
    /// who still waits gets through.
    #[test]
    fn no_limit_is_overrun_and_nobody_is_overtaken_or_forgotten(steps in steps()) {
        let quota = Quota::new()
            .limit(Limit::requests(5).per_second())
            .limit(Limit::tokens(100).per_second())
            .max_concurrent(3);
        let mut bench = Bench::new(quota);
        let (mut now, mut running, mut waiting) = (0, Vec::new(), Vec::<(Place, Priority)>::new());
        // What was admitted and not refunded, as the upstream would count it: time, tokens reserved.
        let mut log = Vec::<(u64, u64)>::new();
        let serve = |bench: &mut Bench, now: u64, waiting: &mut Vec<(Place, Priority)>, running: &mut Vec<_>, log: &mut Vec<_>| {
            while let Some(place) = bench.state.first() {
                let Turned::Pass(taken) = bench.turn(place, now) else { break };
                let index = waiting.iter().position(|(other, _)| *other == place).unwrap();
                let (_, priority) = waiting.remove(index);
                assert!(waiting[..index].iter().all(|(_, other)| *other != priority), "overtaken");
                log.push((now, taken.cost.total_tokens()));
                running.push(taken);
            }
        };
        for step in steps {
            match step {
                Step::Wait { millis } => now += millis,
                Step::Ask { tokens, priority } => match bench.ask(tokens, priority, now) {
                    Answer::Pass(taken) => {
                        prop_assert!(waiting.iter().all(|(_, other)| *other < priority), "a newcomer went first");
                        log.push((now, tokens));
                        running.push(taken);
                    }
                    Answer::Wait { place, .. } => waiting.push((place, priority)),
                    Answer::TooLarge { limit } => prop_assert!(false, "{:?}", limit),
                },
                Step::Finish { which, used } if !running.is_empty() => {
                    let taken = running.swap_remove(which % running.len());
                    // Only refunds here: a debt is an overrun that nobody could prevent.
                    let used = used.map(|used| used.min(taken.cost.total_tokens()));
                    bench.finish(taken, used, now);
                }
                Step::Refund { which } if !running.is_empty() => {
                    let taken = running.swap_remove(which % running.len());
                    let entry = (taken.when.0 / 1_000_000, taken.cost.total_tokens());
                    let index = log.iter().position(|other| *other == entry).unwrap();
                    log.remove(index);
                    bench.refund(taken, now);
                }
                Step::Cancel { which } if !waiting.is_empty() => {
                    let (place, _) = waiting.remove(which % waiting.len());
                    bench.cancel(place);
                }
                _ => {}
            }
            serve(&mut bench, now, &mut waiting, &mut running, &mut log);
            prop_assert!(running.len() <= 3);
            prop_assert_eq!(bench.state.in_flight() as usize, running.len());
            prop_assert_eq!(bench.state.queued(), waiting.len());
            let in_window = log.iter().filter(|(at, _)| at + 1_000 > now).count();
            prop_assert!(in_window <= 5, "{} requests in a second", in_window);
        }
        for taken in running.drain(..) {
            bench.finish(taken, None, now);
        }
        for _ in 0..1_000 {
            now += 500;
            serve(&mut bench, now, &mut waiting, &mut running, &mut log);
            for taken in running.drain(..) {
                bench.finish(taken, None, now);
            }
        }
        prop_assert!(waiting.is_empty());
        prop_assert!(bench.state.is_idle(ms(now + 60_000)));
    }

    /// RL-02, whatever has happened before: who went ahead by his priority, who went away, what was used and given back. So it is while
    /// fewer than 64 wait.
    #[test]
    fn after_anything_too_the_predicted_wait_is_the_wait(steps in steps(), tokens in 0_u64..60, low in any::<bool>()) {
        let quota = Quota::new()
            .limit(Limit::requests(5).per_second())
            .limit(Limit::tokens(100).per_second());
        let mut bench = Bench::new(quota);
        let (mut now, mut waiting) = (0, Vec::new());
        let mut running: Vec<Taken> = Vec::new();
        for step in steps.into_iter().take(63) {
            match step {
                Step::Ask { tokens, priority } => match bench.ask(tokens, priority, now) {
                    Answer::Pass(taken) => running.push(taken),
                    Answer::Wait { place, .. } => waiting.push(place),
                    Answer::TooLarge { limit } => prop_assert!(false, "{:?}", limit),
                },
                Step::Finish { which, used } if !running.is_empty() => {
                    let taken = running.swap_remove(which % running.len());
                    bench.finish(taken, used, now);
                }
                Step::Refund { which } if !running.is_empty() => {
                    let taken = running.swap_remove(which % running.len());
                    bench.refund(taken, now);
                }
                Step::Cancel { which } if !waiting.is_empty() => {
                    bench.cancel(waiting[which % waiting.len()]);
                }
                Step::Wait { millis } => now += millis,
                _ => {}
            }
            let served = bench.serve(now, now);
            running.extend(served.into_iter().map(|(_, taken, _)| taken));
            waiting.retain(|place| bench.waiting.contains_key(place));
        }
        let priority = if low { Priority::Low } else { Priority::Normal };
        if let Answer::Wait { place, until } = bench.ask(tokens, priority, now) {
            let served = bench.serve(now, u64::MAX);
            let (.., at) = served.iter().find(|(it, ..)| *it == place).unwrap();
            prop_assert_eq!(*at, until);
        }
    }

    /// RL-02. The time that a request is told when it starts to wait is the time at which it is admitted, if nothing else happens.
    #[test]
    fn the_predicted_wait_is_the_wait(costs in proptest::collection::vec(1_u64..100, 1..40)) {
        let quota = Quota::new()
            .limit(Limit::requests(5).per_second())
            .limit(Limit::tokens(100).per_second())
            .min_interval(Duration::from_millis(7));
        let mut bench = Bench::new(quota);
        let mut told = Vec::new();
        for cost in costs {
            match bench.ask(cost, Priority::Normal, 0) {
                Answer::Wait { place, until } => told.push((place, until)),
                Answer::Pass(_) => prop_assert!(told.is_empty()),
                Answer::TooLarge { limit } => prop_assert!(false, "{:?}", limit),
            }
        }
        for (place, until) in told {
            let early = bench.turn_at(place, ms(until) - 1);
            let refused = matches!(early, Turned::Wait { .. });
            prop_assert!(refused);
            let passed = matches!(bench.turn(place, until), Turned::Pass(_));
            prop_assert!(passed);
        }
    }
}
