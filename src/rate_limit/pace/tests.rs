use proptest::prelude::*;

use super::*;

const MS: Nanos = 1_000_000;

/// Sends as fast as the pace allows until `until`, every 10 ms at most; returns how many went.
fn send(pace: &mut Pace, from: Nanos, until: Nanos) -> u64 {
    let (mut now, mut sent) = (from, 0);
    while now < until {
        pace.take(now);
        sent += 1;
        now = pace.earliest(now + 10 * MS);
    }
    sent
}

#[test]
fn nothing_is_held_back_until_the_upstream_refuses() {
    let mut pace = Pace::default();
    assert_eq!(send(&mut pace, 0, 10_000 * MS), 1_000);
}

#[test]
fn a_refusal_cuts_the_rate_which_grows_back_and_is_forgotten_in_the_end() {
    let mut pace = Pace::default();
    send(&mut pace, 0, 2_000 * MS);
    pace.refused(1_999 * MS, 0, 2_000 * MS);
    let rate = |pace: &mut Pace, from: Nanos| send(pace, from * MS, (from + 500) * MS) * 2;
    let cut = rate(&mut pace, 2_000);
    assert!(
        (66..=76).contains(&cut),
        "100 a second is cut to 70, not {cut}"
    );
    // 0.4 k³ = 100 × 0.3 at k = 4.2 s.
    let about_peak = rate(&mut pace, 6_000);
    assert!((96..=104).contains(&about_peak), "{about_peak}");
    let later = send(&mut pace, 60_000 * MS, 61_000 * MS);
    assert_eq!(later, 100, "nothing holds it back any more");
    assert!(pace.held.is_none());
}

#[test]
fn refusals_of_what_was_on_its_way_cut_once() {
    let mut pace = Pace::default();
    send(&mut pace, 0, 2_000 * MS);
    for sent in 1_900..2_000 {
        pace.refused(sent * MS, 0, 2_000 * MS);
    }
    let rate = pace.held.unwrap().rate(2_000 * MS, pace.measured);
    assert!((60.0..80.0).contains(&rate), "{rate}");
    pace.refused(2_001 * MS, 0, 2_100 * MS);
    assert!(pace.held.unwrap().rate(2_100 * MS, pace.measured) < 60.0);
}

#[test]
fn however_often_it_refuses_the_upstream_is_asked_again() {
    let mut pace = Pace::default();
    for second in 1..1_000 {
        pace.take(second * 1_000 * MS);
        pace.refused(second * 1_000 * MS, 0, second * 1_000 * MS + 1);
    }
    let now = 1_000_000 * MS;
    assert!(pace.earliest(now) - now <= 2_000 * MS);
}

/// A new user's test: of 100 requests at once to an upstream that takes 20 in 2 s, each wave of retries was a herd again.
#[test]
fn after_a_burst_the_rate_is_what_was_taken_of_it_until_more_is() {
    let mut pace = Pace::default();
    (0..100).for_each(|_| pace.take(0));
    (0..80).for_each(|_| pace.refused(0, 2_000 * MS, 10 * MS));
    // 20 in the 2 s that were named, and the 10 ms before.
    assert_near(pace.held.unwrap().peak, 20.0 / 2.01);
    assert_near(pace.held.unwrap().cubic(2_010 * MS), 0.7 * 20.0 / 2.01);
    let next = send(&mut pace, 2_010 * MS, 4_010 * MS);
    assert!((20..=26).contains(&next), "{next}");
    let bare = {
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.take(0));
        (0..80).for_each(|_| pace.refused(0, 0, 10 * MS));
        pace.held.unwrap().peak
    };
    assert_near(bare, 20.0 / 1.01);
}

#[test]
fn what_went_on_for_longer_than_the_wait_is_a_rate() {
    let peak = |named| {
        let mut pace = Pace::default();
        send(&mut pace, 0, 3_000 * MS);
        pace.refused(2_999 * MS, named, 3_000 * MS);
        pace.held.unwrap().peak
    };
    assert!((95.0..=105.0).contains(&peak(2_000 * MS)));
    assert!((95.0..=105.0).contains(&peak(3_000 * MS)));
    // 299 of 300 in 3 s, and nothing for 27 s more.
    assert_near(peak(27_000 * MS), 299.0 / 30.0);
    // A second is no silence yet: 99 in 4 s, and nothing for 30 s more.
    let mut pace = Pace::default();
    (0..5).for_each(|second| (0..20).for_each(|_| pace.take(second * 1_000 * MS)));
    pace.refused(4_000 * MS, 30_000 * MS, 4_000 * MS);
    assert_near(pace.held.unwrap().peak, 99.0 / 34.0);
    // After a silence it is another run.
    let mut pace = Pace::default();
    send(&mut pace, 0, 500 * MS);
    (0..10).for_each(|_| pace.take(5_000 * MS));
    pace.refused(5_000 * MS, 4_000 * MS, 5_000 * MS);
    assert_near(pace.held.unwrap().peak, 9.0 / 4.0);
}

/// A demanding user's test: at the slowest of rates a wait of 1 s became one of 2 s, and a deadline of 1.5 s was missed.
#[test]
fn when_the_wait_that_was_named_is_over_one_request_goes_and_the_next_by_the_rate() {
    for named in [1, 50, 100, 333, 500, 1_000, 1_900, 2_000, 30_000] {
        for cuts in 1..4 {
            let (mut pace, mut now) = (Pace::default(), 0);
            for _ in 0..cuts {
                pace.take(now);
                pace.refused(now, named * MS, now + MS);
                now += MS + named * MS;
            }
            assert!(pace.earliest(now) - now <= 1, "{named} ms, {cuts} cuts");
            pace.take(now);
            let next = pace.earliest(now) - now;
            assert!(next >= 900 * MS, "{named} ms, {cuts} cuts: {next}");
        }
    }
}

fn assert_near(is: f64, wanted: f64) {
    assert!((is - wanted).abs() < 1e-3, "{is} instead of {wanted}");
}

/// Ten a second went when the upstream refused.
fn refused_at_ten(now: Nanos) -> Pace {
    let mut pace = Pace {
        measured: 10.0,
        ..Pace::default()
    };
    pace.refused(now - 1, 0, now);
    pace
}

#[test]
fn what_goes_is_measured_by_the_half_second_and_what_is_new_counts_four_fifths() {
    let mut pace = Pace::default();
    let mut take = |times, at| {
        (0..times).for_each(|_| pace.take(at * MS));
        pace.measured
    };
    assert_near(take(10, 0), 0.0);
    assert_near(take(20, 700), 20.0);
    assert_near(take(1, 1_000), 0.2 * 20.0 + 0.8 * 40.0);
    assert_near(take(1, 1_499), 36.0);
    // Two within a second and a half.
    assert_near(take(1, 2_600), 0.2 * 36.0 + 0.8 * 2.0 / 1.5);
}

/// RFC 9438, 4.2, with a peak of 10: k³ is 10 × 0.3 / 0.4, and k 1.957.
#[test]
fn after_a_refusal_the_rate_goes_along_the_curve_of_cubic() {
    let cut = 10_000 * MS;
    let held = refused_at_ten(cut).held.unwrap();
    let rate = |after: u64, measured| held.rate(cut + after * MS, measured);
    assert_near(rate(0, 10.0), 7.0);
    assert_near(rate(1_000, 10.0), 9.649);
    assert_near(rate(1_957, 10.0), 10.0);
    assert_near(rate(4_000, 10.0), 13.409);
    assert_near(rate(6_000, 10.0), 20.0);
    assert_near(rate(6_000, 100.0), 36.426);
    assert_near(rate(0, 0.0), 1.0);
}

#[test]
fn what_one_second_brings_may_go_at_once_and_no_more() {
    let cut = 10_000 * MS;
    let mut pace = refused_at_ten(cut);
    let held = pace.held.unwrap();
    assert_near(held.level_at(cut + 500 * MS, 7.0), 3.5);
    assert_near(held.level_at(cut + 9_000 * MS, 7.0), 7.0);
    assert_near(held.level_at(cut + 9_000 * MS, 0.5), 1.0);
    let first = pace.earliest(cut);
    assert_eq!((first - cut) / 1_000, 142_857, "a seventh of a second");
    pace.since = cut;
    pace.take(cut + 400 * MS);
    let (level, rate) = (pace.held.unwrap().level, held.rate(cut + 400 * MS, 10.0));
    assert_near(level, 0.4 * rate - 1.0);
}

#[test]
fn the_peak_is_what_went_and_no_more_than_what_might() {
    let peak = |pace: &Pace| pace.held.unwrap().peak;
    let mut pace = Pace {
        count: 30,
        measured: 10.0,
        ..Pace::default()
    };
    pace.refused(0, 0, 1_000 * MS);
    assert_near(peak(&pace), 30.0);
    let mut early = Pace {
        count: 30,
        ..Pace::default()
    };
    early.refused(0, 0, 100 * MS);
    assert_near(peak(&early), 60.0);
    let cut = 10_000 * MS;
    let mut pace = refused_at_ten(cut);
    pace.measured = 100.0;
    pace.refused(cut, 0, cut + 1_000 * MS);
    assert_near(peak(&pace), 10.0);
    pace.refused(cut + 1, 0, cut + 1_000 * MS);
    assert_near(peak(&pace), 9.649);
    let mut unknown = Pace::default();
    unknown.refused(0, 0, cut);
    assert_near(peak(&unknown), SLOWEST);
}

#[test]
fn at_twice_the_peak_it_is_forgotten_unless_somebody_waits_for_it() {
    let cut = 10_000 * MS;
    let pace = refused_at_ten(cut);
    // 0.4 (t - k)³ is 10 at t = 4.881.
    assert!(pace.is_held(cut + 4_880 * MS));
    assert!(!pace.is_held(cut + 4_882 * MS));
    let take = |level, at| {
        let mut pace = pace.clone();
        (pace.since, pace.measured) = (at, 100.0);
        let held = pace.held.as_mut().unwrap();
        (held.level, held.at) = (level, at);
        pace.take(at);
        pace.held.is_some()
    };
    assert!(take(f64::MAX, cut + 4_880 * MS));
    assert!(!take(f64::MAX, cut + 4_882 * MS));
    assert!(take(19.0, cut + 4_882 * MS));
}

proptest! {
    /// Against an upstream that takes so many a second and tells nothing: one in six is refused at the slowest of rates, which
    /// grow back in a second, and most of what it takes is used.
    #[test]
    fn the_rate_finds_what_the_upstream_takes(limit in 5_u64..200) {
        let mut pace = Pace::default();
        let (mut now, mut taken, mut refused) = (0, std::collections::VecDeque::new(), 0);
        let mut served = 0;
        while now < 120_000 * MS {
            pace.take(now);
            while taken.front().is_some_and(|at| at + 1_000 * MS <= now) {
                taken.pop_front();
            }
            if taken.len() as u64 >= limit {
                refused += 1;
                pace.refused(now, 0, now);
            } else {
                taken.push_back(now);
                served += 1;
            }
            now = pace.earliest(now + 500 * MS / limit);
        }
        prop_assert!(served * 100 >= limit * 120 * 75, "{served} of {}", limit * 120);
        prop_assert!(refused * 5 <= served, "{refused} refused, {served} served");
    }

    #[test]
    fn no_time_and_no_order_of_calls_breaks_it(steps in proptest::collection::vec((any::<u64>(), 0_u8..3), 1..60)) {
        let mut pace = Pace::default();
        for (now, step) in steps {
            match step {
                0 => pace.take(now),
                1 => pace.refused(now, 0, now),
                _ => prop_assert!(pace.earliest(now) >= now),
            }
        }
    }
}
