use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn counter(amount: u64, way: Way) -> Counter {
    Counter::new(amount, MINUTE, way, Duration::ZERO)
}

/// Takes so much at each of these times, where there is room, and says how much went in.
fn taken(counter: &mut Counter, asked: &[(f64, u64)]) -> Vec<bool> {
    let asked = asked.iter().map(|(at, amount)| (seconds(*at), *amount));
    asked
        .map(|(at, amount)| {
            let fits = counter.has_room(amount, at);
            if fits {
                counter.take(amount, at);
            }
            fits
        })
        .collect()
}

#[test]
fn a_sliding_count_forgets_each_taking_after_one_period() {
    let mut counter = counter(10, Way::Sliding);
    let asked = [
        (0.0, 6),
        (30.0, 4),
        (59.9, 1),
        (60.0, 6),
        (89.9, 1),
        (90.0, 4),
    ];
    assert_eq!(
        taken(&mut counter, &asked),
        [true, true, false, true, false, true]
    );
    assert_eq!(counter.fits_at(1, seconds(90.0)), seconds(120.0));
    assert_eq!(counter.fits_at(10, seconds(90.0)), seconds(150.0));
    assert_eq!(counter.renewed_at(seconds(90.0)), seconds(150.0));
}

#[test]
fn a_window_from_first_use_opens_with_the_first_request_and_closes_a_period_later() {
    let mut counter = counter(10, Way::FirstUse);
    let asked = [
        (5.0, 1),
        (64.0, 9),
        (64.9, 1),
        (65.0, 10),
        (124.9, 1),
        (200.0, 10),
    ];
    assert_eq!(
        taken(&mut counter, &asked),
        [true, true, false, true, false, true]
    );
    assert_eq!(counter.renewed_at(seconds(201.0)), seconds(260.0));
}

#[test]
fn a_calendar_minute_begins_anew_with_each_minute() {
    // It is 23:59:30 in UTC when it begins.
    let phase = Duration::from_secs(86_370);
    for utc_offset_minutes in [0, 90, -480] {
        let way = Way::Calendar { utc_offset_minutes };
        let mut counter = Counter::new(10, MINUTE, way, phase);
        let asked = [(0.0, 10), (29.9, 1), (30.0, 10), (89.9, 1), (90.0, 10)];
        assert_eq!(
            taken(&mut counter, &asked),
            [true, false, true, false, true]
        );
    }
}

#[test]
fn a_calendar_day_begins_at_midnight_of_its_offset() {
    let day = Duration::from_secs(86_400);
    let nine = Duration::from_secs(9 * 3_600);
    for (utc_offset_minutes, hours) in [(0, 15), (60, 14), (-480, 23), (-600, 1), (1_080, 21)] {
        let way = Way::Calendar { utc_offset_minutes };
        let mut counter = Counter::new(10, day, way, nine);
        let midnight = Duration::from_secs(hours * 3_600);
        assert_eq!(counter.renewed_at(Duration::ZERO), midnight);
    }
}

#[test]
fn a_bucket_lets_its_burst_through_and_then_what_it_refills() {
    let mut counter = counter(60, Way::Bucket { burst: 10 });
    let asked = [
        (0.0, 10),
        (0.999, 1),
        (1.0, 1),
        (11.0, 10),
        (11.5, 1),
        (500.0, 10),
        (500.0, 1),
    ];
    assert_eq!(
        taken(&mut counter, &asked),
        [true, false, true, true, false, true, false]
    );
    assert_eq!(counter.fits_at(3, seconds(500.5)), seconds(503.0));
    assert_eq!(counter.renewed_at(seconds(500.5)), seconds(510.0));
}

#[test]
fn a_bucket_rounds_nothing_in_favour_of_the_client() {
    let mut counter = counter(7, Way::Bucket { burst: 1 });
    counter.take(1, Duration::ZERO);
    let fits = counter.fits_at(1, Duration::ZERO);
    assert!(!counter.has_room(1, fits - Duration::from_nanos(1)));
    assert!(counter.has_room(1, fits));
}

#[test]
fn a_correction_changes_what_was_taken_and_nothing_that_has_gone() {
    let bucket = Way::Bucket { burst: 10 };
    let calendar = Way::Calendar {
        utc_offset_minutes: 0,
    };
    for way in [Way::Sliding, Way::FirstUse, calendar, bucket] {
        let mut counter = counter(10, way);
        let ticket = counter.take(8, Duration::ZERO);
        counter.correct(ticket, 8, 3, Duration::ZERO);
        assert_eq!(counter.remaining(Duration::ZERO), 7, "{way:?}");
        counter.correct(ticket, 3, 14, Duration::ZERO);
        assert_eq!(counter.overrun(), 4, "{way:?}");
        if way != bucket {
            let later = seconds(60.0);
            counter.take(5, later);
            counter.correct(ticket, 14, 2, later);
            assert_eq!(counter.remaining(later), 5, "{way:?}");
        }
    }
}

#[test]
fn how_much_was_used_is_told_in_the_way_of_the_count() {
    let calendar = Way::Calendar {
        utc_offset_minutes: 0,
    };
    for (way, steps) in [
        // As it is at each moment.
        (
            Way::Sliding,
            vec![(10, 0.5), (20, 1.0), (70, 0.5), (80, 0.0)],
        ),
        // What the window came to in the end, for until then nothing is lost.
        (Way::FirstUse, vec![(10, 1.0), (70, 0.0)]),
        (calendar, vec![(0, 1.0), (60, 0.0)]),
        // All of it while it refills, for a full bucket loses what it would get.
        (
            Way::Bucket { burst: 10 },
            vec![(0, 0.0), (10, 1.0), (70, 0.0)],
        ),
    ] {
        let mut counter = counter(10, way);
        counter.take(5, seconds(10.0));
        counter.take(5, seconds(20.0));
        let mut expected = Steps::default();
        for (at, share) in steps {
            expected.push(Duration::from_secs(at), (share * 10.0) as u64, 10);
        }
        assert_eq!(counter.finish(seconds(100.0)), expected, "{way:?}");
    }
}
