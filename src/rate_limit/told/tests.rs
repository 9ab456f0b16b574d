use proptest::prelude::*;

use super::*;

fn refilling(limit: u64, remaining: u64, reset_millis: u64) -> Told {
    Told {
        dimension: Dimension::Requests,
        period: None,
        limit: Some(limit),
        remaining,
        reset_after: Some(Duration::from_millis(reset_millis)),
        is_refilling: true,
    }
}

fn per(told: Told) -> Option<u64> {
    told.to_limit().map(|limit| limit.per.as_secs())
}

#[test]
fn the_period_of_a_limit_that_refills_follows_from_how_long_that_takes() {
    for (limit, remaining, reset_millis, period) in [
        (10, 5, 500, Some(1)),
        (500, 400, 12_000, Some(60)),
        (30_000, 28_437, 3_126, Some(60)),
        (30, 0, 58_200, Some(60)),
        (1_000, 900, 360_000, Some(3_600)),
        (14_400, 10_000, 26_400_000, Some(86_400)),
        (200, 0, 84_000_000, Some(86_400)),
        // Within a tenth, and no further.
        (100, 0, 54_000, Some(60)),
        (100, 0, 53_900, None),
        (100, 0, 66_000, Some(60)),
        (100, 0, 66_100, None),
        // A twentieth is enough, and less is not.
        (1_000, 950, 3_000, Some(60)),
        (1_000, 951, 2_940, None),
        (30, 29, 2_000, None),
        // The end of a window, or nothing.
        (100, 50, 10_000, None),
        (100, 0, 0, None),
        (100, 100, 60_000, None),
        (100, 101, 60_000, None),
        (0, 0, 60_000, None),
    ] {
        let told = refilling(limit, remaining, reset_millis);
        assert_eq!(per(told), period, "{told:?}");
        let named = |per| Some(Duration::from_secs(per));
        let told = told.with_inferred_period().and_then(|told| told.period);
        assert_eq!(told, period.and_then(named));
    }
}

#[test]
fn no_period_follows_where_it_does_not_refill_or_no_request_takes_of_it() {
    let told = refilling(100, 50, 30_000);
    assert_eq!(per(told), Some(60));
    let is_refilling = false;
    assert_eq!(
        per(Told {
            is_refilling,
            ..told
        }),
        None
    );
    let dimension = Dimension::Images;
    assert_eq!(per(Told { dimension, ..told }), None);
    let reset_after = None;
    assert_eq!(
        per(Told {
            reset_after,
            ..told
        }),
        None
    );
    let limit = None;
    assert_eq!(per(Told { limit, ..told }), None);
    let period = Some(Duration::from_secs(7));
    let named = Told { period, ..told };
    assert_eq!(per(named), Some(7), "what is said is not inferred");
    assert!(!named.to_limit().unwrap().is_inferred);
}

#[test]
fn a_day_that_was_inferred_refills_and_a_minute_is_a_window() {
    let is_bucket = |told: Told| {
        let limit = told.to_limit().unwrap();
        assert!(limit.is_inferred);
        limit.is_bucket()
    };
    assert!(!is_bucket(refilling(100, 50, 30_000)));
    assert!(is_bucket(refilling(100, 50, 43_200_000)));
}

#[test]
fn what_was_counted_of_a_day_comes_back_bit_by_bit() {
    // 100 a day; 60 are counted, and 3 more were sent since.
    let told = refilling(100, 40, 51_840_000);
    let limit = told.to_limit().unwrap();
    let mut admitted = Admissions::default();
    for _ in 0..3 {
        admitted = admitted.and(&crate::cost::Cost::default());
    }
    let window = told.window(&limit, (Mark::default(), admitted), 0, 0);
    let after = |seconds: u64| window.used(&limit, seconds * 1_000_000_000);
    assert_eq!([after(0), after(864), after(8_640)], [63, 62, 53]);
}

#[test]
fn what_cannot_be_of_the_limit_contradicts_it() {
    let limit = refilling(100, 50, 30_000).to_limit().unwrap();
    for (amount, remaining, reset_millis, contradicts) in [
        (100, 0, 60_000, false),
        (100, 50, 33_000, false),
        (100, 50, 33_100, true),
        (100, 50, 26_400, true),
        // Between 9 and 10 are used, for what is left is rounded down.
        (100, 90, 4_900, false),
        (100, 90, 4_800, true),
        (100, 90, 1_000, true),
        // Too little is used to tell.
        (100, 97, 59_000, false),
        (100, 100, 0, false),
        // It is another.
        (200, 100, 1_000, false),
    ] {
        let told = refilling(amount, remaining, reset_millis);
        assert_eq!(told.contradicts(&limit), contradicts, "{told:?}");
    }
    let three = refilling(3, 0, 60_000).to_limit().unwrap();
    let told = refilling(3, 0, 44_000);
    assert!(!told.contradicts(&three), "2.2 of 3 are used");
}

#[test]
fn nothing_is_left_until_the_end_of_a_window() {
    let closed_for = |told: Told| told.closed_for(false).map(|wait| wait.as_millis());
    let told = Told {
        is_refilling: false,
        limit: None,
        ..refilling(1, 0, 30_000)
    };
    assert_eq!(closed_for(told), Some(30_000));
    let is_refilling = true;
    assert_eq!(
        closed_for(Told {
            is_refilling,
            ..told
        }),
        None
    );
    let remaining = 1;
    assert_eq!(closed_for(Told { remaining, ..told }), None);
    for dimension in [Dimension::Images, Dimension::Concurrency, Dimension::Other] {
        assert_eq!(closed_for(Told { dimension, ..told }), None);
    }
    let reset_after = Some(Duration::MAX);
    let longest = Some(LONGEST.as_millis());
    let disproved = |secs: u64| {
        let told = refilling(1, 0, secs * 1_000);
        told.closed_for(true).map(|wait| wait.as_secs())
    };
    assert_eq!([disproved(60), disproved(61)], [Some(60), None]);
    assert_eq!(
        closed_for(Told {
            reset_after,
            ..told
        }),
        longest
    );
}

proptest! {
    /// It would hold everybody back for hours.
    #[test]
    fn the_end_of_a_window_is_never_taken_for_a_longer_period(
        period in 0_usize..4,
        limit in 1_u64..1_000_000,
        left in 0.0..1.0_f64,
        to_end in 0.0..=1.0_f64,
    ) {
        let period = PERIODS[period];
        let remaining = (left * limit as f64) as u64;
        let told = refilling(limit, remaining, (to_end * period * 1e3).ceil() as u64);
        prop_assert!(per(told).is_none_or(|inferred| inferred as f64 <= period), "{told:?}");
    }
}
