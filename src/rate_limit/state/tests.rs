use proptest::prelude::*;

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    rate_limit::Limit,
};

/// A state, its quota, and a time that counts milliseconds from its beginning.
struct Bench {
    state: State,
    start: Instant,
    patience: Patience,
}

impl Bench {
    fn new(quota: Quota) -> Self {
        quota.check().unwrap();
        let start = TokioClock.now();
        let patience = Patience {
            max_wait: None,
            deadline: None,
            queue_capacity: usize::MAX,
        };
        let state = State::new(Arc::new(quota), start, TokioClock.wall());
        Self {
            state,
            start,
            patience,
        }
    }

    fn at(&self, at: u64) -> Instant {
        self.start + Duration::from_millis(at)
    }

    fn ask(&mut self, tokens: u64, priority: Priority, at: u64) -> Admission {
        let cost = Cost::tokens(tokens, 0);
        let now = self.at(at);
        self.state.ask(cost, priority, self.patience, now)
    }

    fn pass(&mut self, tokens: u64, at: u64) -> Reservation {
        match self.ask(tokens, Priority::Normal, at) {
            Admission::Pass(reservation) => reservation,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, tokens: u64, at: u64) -> (Place, u64) {
        match self.ask(tokens, Priority::Normal, at) {
            Admission::Wait { place, until } => (place, self.millis(until)),
            other => panic!("{other:?}"),
        }
    }

    fn turn(&mut self, place: Place, at: u64) -> Turn {
        let now = self.at(at);
        self.state.turn(place, now)
    }

    fn finish(&mut self, reservation: Reservation, used: Option<u64>, at: u64) -> bool {
        let (used, now) = (used.map(|used| Cost::tokens(used, 0)), self.at(at));
        self.state.finish(reservation, used, now)
    }

    fn millis(&self, instant: Instant) -> u64 {
        (instant - self.start).as_millis() as u64
    }
}

fn requests(amount: u64) -> Quota {
    Quota::new().limit(Limit::requests(amount).per_minute())
}

fn tokens(amount: u64) -> Quota {
    Quota::new().limit(Limit::tokens(amount).per_minute())
}

#[test]
fn refused_one_nanosecond_before_the_time_it_was_told_and_admitted_at_it() {
    let mut bench = Bench::new(requests(1));
    let _in_flight = bench.pass(0, 0);
    let (place, until) = bench.wait(0, 1);
    assert_eq!(until, 60_000);
    let at = bench.at(until);
    let early = bench.state.turn(place, at - Duration::from_nanos(1));
    assert_eq!(early, Turn::Wait { until: Some(at) });
    assert!(matches!(bench.state.turn(place, at), Turn::Pass(_)));
}

// litellm#39309, and linkerd's local rate limit: the refusal of one limit had already spent another.
#[test]
fn a_request_that_one_limit_refuses_spends_nothing_of_the_others() {
    let mut bench = Bench::new(requests(2).limit(Limit::tokens(100).per_minute()));
    bench.patience.max_wait = Some(Duration::ZERO);
    let _in_flight = bench.pass(90, 0);
    assert!(matches!(
        bench.ask(50, Priority::Normal, 1),
        Admission::Reject(Rejection::WaitTooLong { .. })
    ));
    let _in_flight = bench.pass(10, 2);
}

// litellm#28805, openlimit#8, Fabric#364: a cost above the limit waited for ever.
#[test]
fn a_request_larger_than_a_limit_is_refused_at_once_and_names_it() {
    let mut bench = Bench::new(requests(9).limit(Limit::tokens(7_000).per_minute()));
    let rejection = Rejection::TooLarge { limit: Some(1) };
    assert_eq!(
        bench.ask(7_001, Priority::Normal, 0),
        Admission::Reject(rejection)
    );
    let _in_flight = bench.pass(7_000, 0);
    let mut bench = Bench::new(Quota::new().max_tokens_per_request(10));
    assert_eq!(
        bench.ask(11, Priority::Normal, 0),
        Admission::Reject(Rejection::TooLarge { limit: None })
    );
}

// resilience4j and tower-resilience sleep through the whole timeout before they refuse.
#[test]
fn a_wait_that_would_be_too_long_is_refused_at_once_and_one_that_just_fits_is_not() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(60).per_minute().burst(1)));
    bench.patience.max_wait = Some(Duration::from_millis(1_000));
    let _in_flight = bench.pass(0, 0);
    let (_, until) = bench.wait(0, 0);
    assert_eq!(until, 1_000);
    let until = bench.at(2_000);
    assert_eq!(
        bench.ask(0, Priority::Normal, 0),
        Admission::Reject(Rejection::WaitTooLong { until: Some(until) })
    );
}

#[test]
fn a_deadline_of_the_caller_counts_as_the_longest_wait_does() {
    let mut bench = Bench::new(requests(1));
    let _in_flight = bench.pass(0, 0);
    bench.patience.deadline = Some(bench.at(59_999));
    assert!(matches!(
        bench.ask(0, Priority::Normal, 1),
        Admission::Reject(Rejection::WaitTooLong { .. })
    ));
    bench.patience.deadline = Some(bench.at(60_000));
    bench.wait(0, 1);
}

// governor and tower-resilience let newcomers overtake, so that a large request starves among small ones.
#[test]
fn a_small_request_does_not_overtake_a_large_one_that_waits() {
    let mut bench = Bench::new(Quota::new().limit(Limit::tokens(100).per_second().burst(100)));
    let _in_flight = bench.pass(100, 0);
    let (big, big_until) = bench.wait(100, 0);
    let (small, small_until) = bench.wait(1, 1);
    assert_eq!((big_until, small_until), (1_000, 1_010));
    assert_eq!(bench.turn(small, 999), Turn::Wait { until: None });
    assert!(matches!(bench.turn(big, 1_000), Turn::Pass(_)));
    assert!(matches!(bench.turn(small, 1_010), Turn::Pass(_)));
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
            Admission::Wait { place, .. } => places.push(place),
            other => panic!("{other:?}"),
        }
    }
    match bench.ask(0, Priority::High, 60_002) {
        Admission::Wait { place, .. } => places.push(place),
        other => panic!("{other:?}"),
    }
    bench.finish(running, None, 60_003);
    let mut order = Vec::new();
    while let Some(place) = bench.state.first() {
        let Turn::Pass(reservation) = bench.turn(place, 60_003) else {
            panic!("the first must pass")
        };
        order.push(places.iter().position(|other| *other == place).unwrap());
        bench.finish(reservation, None, 60_003);
    }
    assert_eq!(order, [3, 1, 2, 0, 4]);
}

#[test]
fn one_who_leaves_the_queue_leaves_nothing_behind() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(60).per_minute().burst(1)));
    let _in_flight = bench.pass(0, 0);
    let (first, _) = bench.wait(0, 0);
    let (second, until) = bench.wait(0, 0);
    assert_eq!(until, 2_000);
    assert!(
        bench.state.cancel(first),
        "the second is the first now and must be woken"
    );
    assert!(!bench.state.cancel(first));
    assert!(matches!(bench.turn(second, 1_000), Turn::Pass(_)));
}

#[test]
fn a_full_queue_refuses_and_says_how_long_it_would_have_been() {
    let mut bench = Bench::new(requests(1));
    bench.patience.queue_capacity = 1;
    let _in_flight = bench.pass(0, 0);
    bench.wait(0, 1);
    let until = bench.at(120_000);
    assert_eq!(
        bench.ask(0, Priority::Normal, 2),
        Admission::Reject(Rejection::QueueFull { until })
    );
}

#[test]
fn what_was_never_sent_is_given_back_whole() {
    let mut bench = Bench::new(requests(1).max_concurrent(1));
    let reservation = bench.pass(0, 0);
    let now = bench.at(10);
    assert!(bench.state.refund(reservation, now));
    let _in_flight = bench.pass(0, 11);
}

#[test]
fn a_lower_usage_lets_the_next_pass_and_a_higher_one_is_a_debt() {
    let mut bench = Bench::new(tokens(100));
    let reservation = bench.pass(100, 0);
    let (place, _) = bench.wait(60, 5);
    assert!(
        bench.finish(reservation, Some(40), 1_000),
        "the first must be woken"
    );
    let Turn::Pass(reservation) = bench.turn(place, 1_000) else {
        panic!("60 of 60 are free")
    };
    bench.finish(reservation, Some(700), 1_001);
    assert_eq!(bench.wait(1, 1_002).1, 61_000);
}

// aisix#124: an answer whose usage is not known was settled with nothing.
#[test]
fn an_unknown_usage_leaves_the_estimate() {
    let mut bench = Bench::new(tokens(100));
    let reservation = bench.pass(100, 0);
    bench.finish(reservation, None, 10);
    assert_eq!(bench.wait(1, 11).1, 60_000);
}

// litellm#40130: a second 429 with a shorter hint ended the first pause.
#[test]
fn a_pause_holds_back_everybody_and_is_only_extended() {
    let mut bench = Bench::new(Quota::new());
    let (long, short, now) = (
        Duration::from_secs(60),
        Duration::from_millis(700),
        bench.start,
    );
    assert!(bench.state.pause(long, now));
    assert!(!bench.state.pause(short, now));
    assert_eq!(bench.wait(0, 2).1, 60_000);
    assert!(
        bench.state.pause(Duration::MAX, now),
        "an absurd pause must not overflow"
    );
}

#[test]
fn requests_are_spaced() {
    let mut bench = Bench::new(Quota::new().min_interval(Duration::from_millis(100)));
    let _in_flight = bench.pass(0, 0);
    let (first, first_until) = bench.wait(0, 10);
    let (second, second_until) = bench.wait(0, 10);
    assert_eq!((first_until, second_until), (100, 200));
    assert!(matches!(bench.turn(first, 100), Turn::Pass(_)));
    assert_eq!(
        bench.turn(second, 199),
        Turn::Wait {
            until: Some(bench.at(200))
        }
    );
    assert!(matches!(bench.turn(second, 200), Turn::Pass(_)));
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
    let far = bench.start + Duration::from_secs(150 * 365 * 86_400);
    assert!(matches!(bench.state.turn(place, far), Turn::Pass(_)));
}

#[test]
fn another_quota_keeps_what_was_taken_of_the_limits_that_stay() {
    let mut bench = Bench::new(requests(2).limit(Limit::tokens(100).per_minute()));
    let _in_flight = bench.pass(90, 0);
    let quota = Arc::new(requests(9).limit(Limit::tokens(100).per_minute()));
    let now = bench.at(1);
    bench.state.change_quota(quota, now);
    assert_eq!(bench.wait(11, 1).1, 60_000);
    let now = bench.at(1);
    bench.state.reset(now);
    let _in_flight = bench.ask(100, Priority::High, 2);
    assert!(matches!(_in_flight, Admission::Pass(_)));
}

/// The window did not hold what is settled, so its settlement must not free what others have taken since.
#[test]
fn what_was_taken_before_a_reset_is_not_settled_against_what_came_after() {
    let limits = [
        Limit::tokens(100).per_minute(),
        Limit::tokens(100).per_minute().burst(100),
        Limit::tokens(100).per_day().calendar(0),
    ];
    for limit in limits {
        let mut bench = Bench::new(Quota::new().limit(limit.clone()));
        let (settled, refunded) = (bench.pass(50, 0), bench.pass(50, 0));
        let now = bench.at(1);
        bench.state.reset(now);
        let _in_flight = bench.pass(100, 1);
        bench.finish(settled, Some(0), 2);
        let now = bench.at(2);
        bench.state.refund(refunded, now);
        assert_eq!(bench.state.usage(now)[0].1, 100, "{limit:?}");
    }
}

// liter-llm: waiters did not see one another's debt, and 100 callers at 1/s were all done in 1 s.
#[test]
fn each_who_waits_is_told_a_time_behind_those_ahead() {
    let mut bench = Bench::new(Quota::new().limit(Limit::requests(1).per_second()));
    let _in_flight = bench.pass(0, 0);
    for second in 1..=100 {
        assert_eq!(bench.wait(0, 0).1, second * 1_000);
    }
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
                let Turn::Pass(reservation) = bench.turn(place, now) else { break };
                let index = waiting.iter().position(|(other, _)| *other == place).unwrap();
                let (_, priority) = waiting.remove(index);
                assert!(waiting[..index].iter().all(|(_, other)| *other != priority), "overtaken");
                log.push((now, reservation.cost.total_tokens()));
                running.push(reservation);
            }
        };
        for step in steps {
            match step {
                Step::Wait { millis } => now += millis,
                Step::Ask { tokens, priority } => match bench.ask(tokens, priority, now) {
                    Admission::Pass(reservation) => {
                        prop_assert!(waiting.iter().all(|(_, other)| *other < priority), "a newcomer went first");
                        log.push((now, tokens));
                        running.push(reservation);
                    }
                    Admission::Wait { place, .. } => waiting.push((place, priority)),
                    Admission::Reject(rejection) => prop_assert!(false, "{:?}", rejection),
                },
                Step::Finish { which, used } if !running.is_empty() => {
                    let reservation = running.swap_remove(which % running.len());
                    // Only refunds here: a debt is an overrun that nobody could prevent.
                    let used = used.map(|used| used.min(reservation.cost.total_tokens()));
                    bench.finish(reservation, used, now);
                }
                Step::Refund { which } if !running.is_empty() => {
                    let reservation = running.swap_remove(which % running.len());
                    let entry = (reservation.at / 1_000_000, reservation.cost.total_tokens());
                    let index = log.iter().position(|other| *other == entry).unwrap();
                    log.remove(index);
                    let at = bench.at(now);
                    bench.state.refund(reservation, at);
                }
                Step::Cancel { which } if !waiting.is_empty() => {
                    let (place, _) = waiting.remove(which % waiting.len());
                    bench.state.cancel(place);
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
        for reservation in running.drain(..) {
            bench.finish(reservation, None, now);
        }
        for _ in 0..1_000 {
            now += 500;
            serve(&mut bench, now, &mut waiting, &mut running, &mut log);
            for reservation in running.drain(..) {
                bench.finish(reservation, None, now);
            }
        }
        prop_assert!(waiting.is_empty());
        let later = bench.at(now + 60_000);
        prop_assert!(bench.state.is_idle(later));
    }

    /// The time that a request is told when it starts to wait is the time at which it is admitted, if nothing else happens.
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
                Admission::Wait { place, until } => told.push((place, until)),
                Admission::Pass(_) => prop_assert!(told.is_empty()),
                Admission::Reject(rejection) => prop_assert!(false, "{:?}", rejection),
            }
        }
        for (place, until) in told {
            let early = bench.state.turn(place, until - Duration::from_nanos(1));
            let refused = matches!(early, Turn::Wait { .. });
            prop_assert!(refused);
            let admitted = bench.state.turn(place, until);
            let passed = matches!(admitted, Turn::Pass(_));
            prop_assert!(passed);
        }
    }
}
