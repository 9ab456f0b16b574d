use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, TokioClock};

fn tally(calls: u32, failures: u32, slow: u32) -> Tally {
    Tally {
        calls,
        failures,
        slow,
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Record(bool, bool),
    Good(u32),
    Clear,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any::<(bool, bool)>().prop_map(|(failed, slow)| Step::Record(failed, slow)),
        5 => (0_u32..300).prop_map(Step::Good),
        1 => Just(Step::Clear),
        5 => Just(Step::Look),
    ]
}

/// How far the clock goes: it stands still, goes on, jumps years, or steps back.
fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => Just(0),
        6 => 0_i64..400,
        1 => Just(20 * 365 * 86_400_000),
        2 => -400_i64..0,
    ]
}

proptest! {
    #[test]
    fn a_ring_counts_as_a_list_of_the_calls_since_it_was_cleared_does(
        capacity in 1_u32..200,
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let now = TokioClock.now();
        let mut window = Window::new(Over::Calls(capacity));
        let mut list = VecDeque::new();
        for step in steps {
            match step {
                Step::Record(failed, slow) => {
                    list.push_back((failed, slow));
                    window.record(failed, slow, now);
                }
                Step::Good(calls) => {
                    list.extend((0..calls).map(|_| (false, false)));
                    window.add_good(calls);
                }
                Step::Clear => {
                    list.clear();
                    window.clear();
                }
                Step::Look => {}
            }
            while list.len() > capacity as usize {
                list.pop_front();
            }
            let count = |which: fn(&(bool, bool)) -> bool| list.iter().filter(|call| which(call)).count() as u32;
            let expected = tally(list.len() as u32, count(|call| call.0), count(|call| call.1));
            prop_assert_eq!(window.tally(now), expected);
        }
    }

    /// A naive list of the calls by the tenth that they fell in, at any clock.
    #[test]
    fn buckets_count_as_a_list_of_the_calls_by_their_tenths_does(
        steps in proptest::collection::vec((clock(), step()), 1..200),
    ) {
        let origin = TokioClock.now();
        let at = |millis: i64| origin + ms(u64::try_from(millis).unwrap());
        let mut window = Window::new(Over::Time(ms(1_000)));
        // The time, the latest that the window was told, and when its newest tenth began.
        let (mut time, mut latest, mut began) = (1_000, 0, None);
        let mut list: Vec<(i64, bool, bool)> = Vec::new();
        for (step, what) in steps {
            time = (time + step).max(0);
            let mut look = |began: &mut Option<i64>| {
                latest = latest.max(time);
                let passed = began.map_or(0, |began| (latest - began) / 100);
                *began = Some(match *began {
                    Some(began) if passed < 10 => began + passed * 100,
                    _ => latest,
                });
                latest
            };
            match what {
                Step::Record(failed, slow) => {
                    let now = look(&mut began);
                    list.push((began.unwrap(), failed, slow));
                    window.record(failed, slow, at(now));
                }
                Step::Good(calls) => if let Some(began) = began {
                    list.extend((0..calls).map(|_| (began, false, false)));
                    window.add_good(calls);
                },
                Step::Clear => {
                    list.clear();
                    window.clear();
                    began = None;
                }
                Step::Look => if began.is_some() {
                    look(&mut began);
                },
            }
            let newest = began.unwrap_or_default();
            list.retain(|call| call.0 > newest - 1_000);
            let count = |which: fn(&(i64, bool, bool)) -> bool| list.iter().filter(|call| which(call)).count() as u32;
            let expected = tally(list.len() as u32, count(|call| call.1), count(|call| call.2));
            prop_assert_eq!(window.tally(at(latest.max(newest))), expected);
            let end = window.until();
            prop_assert_eq!(end, began.map(|began| Until::Time(at(began + 100))));
        }
    }

    #[test]
    fn buckets_count_every_call_of_nine_tenths_and_none_older_than_the_window(
        steps in proptest::collection::vec((0_u64..400, any::<bool>()), 1..200),
    ) {
        let start = TokioClock.now();
        let mut window = Window::new(Over::Time(ms(1_000)));
        let (mut now, mut calls) = (0, Vec::new());
        for (step, failed) in steps {
            now += step;
            calls.push((now, failed));
            window.record(failed, false, start + ms(now));
            let counted = window.tally(start + ms(now));
            let within = |age: u64| calls.iter().filter(move |(at, _)| at + age > now);
            prop_assert!(counted.calls as usize >= within(900).count());
            prop_assert!(counted.calls as usize <= within(1_000).count());
            prop_assert!(counted.failures as usize <= within(1_000).filter(|(_, failed)| *failed).count());
        }
    }
}

// CB-11, linkerd2-proxy and tower: the work of a look grew with the time since the last one. PITFALLS 35: or with the calls.
#[test]
fn a_jump_of_years_and_a_step_back_are_constant_work() {
    let start = TokioClock.now();
    let mut window = Window::new(Over::Time(Duration::from_secs(60)));
    window.record(true, true, start + Duration::from_secs(10));
    window.record(true, false, start);
    assert_eq!(window.tally(start), tally(2, 2, 1));
    let years = start + Duration::from_secs(20 * 365 * 86_400);
    window.record(false, false, years);
    assert_eq!(window.tally(years), tally(1, 0, 0));
}

// PITFALLS 35: tower-resilience keeps each call of the window in a list, and goes through it at each call.
#[test]
fn a_window_takes_no_more_room_for_more_calls() {
    assert!(size_of::<Window>() <= 176, "{}", size_of::<Window>());
    let start = TokioClock.now();
    let mut window = Window::new(Over::Time(Duration::from_secs(60)));
    for call in 0..100_000 {
        window.record(call % 2 == 0, false, start);
    }
    assert_eq!(window.tally(start), tally(100_000, 50_000, 0));
}

#[test]
fn good_calls_push_out_the_slow_and_the_failed_in_their_order() {
    let now = TokioClock.now();
    for (has_failed, is_slow) in [(false, true), (true, false), (true, true)] {
        let counted = |calls| tally(calls, u32::from(has_failed), u32::from(is_slow));
        let mut window = Window::new(Over::Calls(10));
        window.add_good(3);
        window.record(has_failed, is_slow, now);
        window.add_good(9);
        assert_eq!(window.tally(now), counted(10), "the tenth last");
        window.add_good(1);
        assert_eq!(window.tally(now), tally(10, 0, 0));
    }
}

// PITFALLS 39, Helicone: a counter that begins anew at each edge of its window forgot nearly all at once.
#[test]
fn a_time_window_forgets_a_tenth_at_a_time() {
    let start = TokioClock.now();
    let mut window = Window::new(Over::Time(ms(1_000)));
    for tenth in 0..10 {
        window.record(true, false, start + ms(tenth * 100));
    }
    for tenth in 10..20 {
        let kept = 19 - u32::try_from(tenth).unwrap();
        let at = start + ms(tenth * 100);
        assert_eq!(window.tally(at), tally(kept, kept, 0));
    }
}

// CB-07, resilience4j's SlidingTimeWindowMetricsTest.
#[test]
fn a_bucket_leaves_when_the_window_has_passed_since_it_began() {
    let start = TokioClock.now();
    let mut window = Window::new(Over::Time(ms(5_000)));
    for (at, failed) in [(0, true), (100, false), (800, true)] {
        window.record(failed, false, start + ms(at));
    }
    assert_eq!(window.tally(start + ms(4_800)), tally(3, 2, 0));
    assert_eq!(window.tally(start + ms(5_800)), tally(0, 0, 0));
    window.record(false, false, start + ms(5_900));
    assert_eq!(window.tally(start + ms(5_900)), tally(1, 0, 0));
    window.record(false, false, start + ms(10_900));
    assert_eq!(window.tally(start + ms(10_900)), tally(1, 0, 0));
}

// CB-09, Polly's RollingHealthMetricsTests.
#[test]
fn rolling_sums_are_those_of_the_last_ten_seconds() {
    let start = TokioClock.now();
    let mut window = Window::new(Over::Time(ms(10_000)));
    let mut at = |millis: u64, expected: Tally, failed: &[bool]| {
        let now = start + ms(millis);
        assert_eq!(window.tally(now), expected, "at {millis} ms");
        for failed in failed {
            window.record(*failed, false, now);
        }
    };
    at(0, tally(0, 0, 0), &[true, false]);
    at(2_000, tally(2, 1, 0), &[true, false]);
    at(4_000, tally(4, 2, 0), &[false, false]);
    at(6_000, tally(6, 2, 0), &[false, false]);
    at(8_000, tally(8, 2, 0), &[false, false]);
    at(10_000, tally(8, 1, 0), &[]);
    at(12_000, tally(6, 0, 0), &[]);
}
