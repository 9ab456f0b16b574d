use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rate_limit::{Zone, epoch::wall_nanos};

/// A window with the limit that it counts for.
#[derive(Clone, Debug)]
struct Counted {
    limit: Limit,
    window: Window,
}

impl Counted {
    fn new(limit: Limit, wall: WallNanos) -> Self {
        let window = Window::new(&limit, 0, wall);
        Self { limit, window }
    }

    fn earliest(&self, amount: u64, now: Nanos) -> Nanos {
        self.window.earliest(&self.limit, amount, now)
    }

    fn take(&mut self, amount: u64, now: Nanos) {
        self.window.take(&self.limit, amount, now);
    }

    fn settle(&mut self, at: Nanos, reserved: u64, used: u64, now: Nanos) {
        self.window.settle(&self.limit, at, reserved, used, now);
    }

    fn used(&self, now: Nanos) -> u64 {
        self.window.used(&self.limit, now)
    }

    fn resize(&mut self, limit: Limit) {
        self.window.resize(&self.limit, &limit);
        self.limit = limit;
    }
}

fn sliding(amount: u64, period: Nanos) -> Counted {
    Counted::new(Limit::requests(amount).per(Duration::from_nanos(period)), 0)
}

fn bucket(amount: u64, period: Nanos, burst: u64) -> Counted {
    let limit = Limit::requests(amount).per(Duration::from_nanos(period));
    Counted::new(limit.burst(burst), 0)
}

#[test]
fn a_taking_leaves_the_window_exactly_one_period_later() {
    let mut window = sliding(3, 1_000);
    for at in [0, 100, 200] {
        assert_eq!(window.earliest(1, at), at);
        window.take(1, at);
    }
    assert_eq!(window.earliest(1, 300), 1_000);
    assert_eq!(window.earliest(1, 999), 1_000);
    assert_eq!(window.earliest(1, 1_000), 1_000);
    assert_eq!(window.earliest(2, 1_000), 1_100);
    assert_eq!(window.earliest(3, 1_000), 1_200);
}

// governor#219: GCRA with a burst of N lets nearly 2 N through in the first window; fixed windows do so at their edge.
#[test]
fn a_full_window_does_not_empty_at_an_edge() {
    let mut window = sliding(10, 60_000);
    window.take(10, 59_000);
    assert_eq!(window.earliest(1, 60_001), 119_000);
}

#[test]
fn a_settlement_goes_into_the_slot_that_was_reserved() {
    let mut window = sliding(100, 1_000);
    window.take(60, 0);
    window.take(40, 500);
    window.settle(0, 60, 90, 600);
    assert_eq!(window.used(600), 130);
    assert_eq!(window.earliest(60, 600), 1_000);
    window.settle(500, 40, 10, 600);
    assert_eq!(window.used(1_000), 10);
}

// litellm#24677: the settlement of a window that is over was booked to the next one.
#[test]
fn a_settlement_after_its_window_has_passed_changes_nothing() {
    let mut window = sliding(100, 1_000);
    window.take(60, 0);
    window.settle(0, 60, 500, 1_000);
    assert_eq!(window.used(1_000), 0);
}

#[test]
fn a_settlement_of_more_than_its_slot_holds_frees_nothing_of_the_others() {
    let mut window = sliding(100, 1_000);
    window.take(1, 0);
    window.take(70, 500);
    window.settle(0, 50, 0, 600);
    assert_eq!(window.used(600), 70);
}

#[test]
fn usage_that_nobody_reserved_is_still_counted() {
    let mut window = sliding(100, 1_000);
    window.settle(0, 0, 70, 200);
    assert_eq!(window.used(200), 70);
    assert_eq!(window.earliest(50, 200), 1_200);
}

#[test]
fn a_debt_delays_who_takes_and_nobody_else() {
    let mut window = sliding(100, 1_000);
    window.take(50, 0);
    window.settle(0, 50, 900, 1);
    assert_eq!(window.earliest(1, 1), 1_000);
    assert_eq!(window.earliest(0, 1), 1);
}

#[test]
fn a_bucket_is_exact_to_a_nanosecond() {
    let mut bucket = bucket(3, 1_000, 2);
    bucket.take(2, 0);
    assert_eq!(bucket.earliest(1, 0), 334);
    assert_eq!(bucket.earliest(1, 333), 334);
    bucket.take(1, 334);
    // Nothing of the refill is lost to rounding: three per thousand, not one per 334.
    assert_eq!(bucket.earliest(1, 334), 667);
    assert_eq!(bucket.earliest(2, 334), 1_000);
}

#[test]
fn a_bucket_fills_up_to_its_burst_however_long_it_rests() {
    let mut bucket = bucket(60, 60_000, 2);
    bucket.take(1, 0);
    assert_eq!(bucket.used(Nanos::MAX / 2), 0);
    bucket.take(2, Nanos::MAX / 2);
    assert_eq!(bucket.used(Nanos::MAX / 2), 2);
}

#[test]
fn a_bucket_in_debt_pays_it_back_first() {
    let mut bucket = bucket(1_000, 60_000, 1_000);
    bucket.take(900, 0);
    bucket.settle(0, 900, 1_400, 0);
    assert_eq!(bucket.used(0), 1_400);
    assert_eq!(bucket.earliest(100, 0), 30_000);
}

// Gemini's day begins at midnight Pacific time.
#[test]
fn a_calendar_day_begins_at_midnight_of_its_zone() {
    const HOUR: Nanos = 3_600_000_000_000;
    // 07:00 UTC on 15 January 2026 is an hour before midnight at UTC-8.
    let wall = wall_nanos(std::time::UNIX_EPOCH + Duration::from_secs(1_768_460_400));
    let pacific = Zone::utc_offset(-480);
    let mut day = Counted::new(Limit::requests(2).per_day().calendar(pacific), wall);
    day.take(2, 0);
    assert_eq!(day.earliest(1, 5), HOUR);
    assert_eq!(day.used(HOUR - 1), 2);
    assert_eq!(day.used(HOUR), 0);
    day.take(2, HOUR);
    assert_eq!(day.earliest(1, HOUR), 25 * HOUR);
    // A settlement of a day that is over does not touch the next one.
    day.settle(0, 1, 9, HOUR);
    assert_eq!(day.used(HOUR), 2);
    day.settle(HOUR, 1, 0, HOUR);
    assert_eq!(day.used(HOUR), 1);
    assert_eq!(day.earliest(1, 20_000 * HOUR), 20_000 * HOUR);
}

#[test]
fn another_amount_keeps_what_is_taken() {
    let limits: [fn(u64) -> Limit; 3] = [
        |amount| Limit::requests(amount).per_minute(),
        |amount| Limit::requests(amount).per_minute().burst(amount),
        |amount| Limit::requests(amount).per_day().calendar(Zone::UTC),
    ];
    for limit in limits {
        let mut window = Counted::new(limit(10), 0);
        window.take(7, 0);
        window.resize(limit(8));
        assert_eq!(window.used(0), 7, "{:?}", limit(8));
        assert_eq!(window.earliest(1, 0), 0);
        assert!(window.earliest(2, 0) > 0);
        window.resize(limit(20));
        assert_eq!(window.earliest(13, 0), 0);
    }
}

#[test]
fn amounts_at_the_end_of_their_range_do_not_overflow() {
    let mut bucket = bucket(u64::MAX, Nanos::MAX, u64::MAX);
    bucket.take(u64::MAX, 0);
    bucket.settle(0, u64::MAX, 0, Nanos::MAX);
    bucket.earliest(u64::MAX, Nanos::MAX);
    let mut window = sliding(u64::MAX, Nanos::MAX);
    window.take(u64::MAX, 1);
    window.take(u64::MAX, 2);
    window.settle(1, 1, u64::MAX, 3);
    assert_eq!(window.earliest(1, 3), Nanos::MAX);
}

fn slots(counted: &Counted) -> usize {
    match &counted.window {
        Window::Sliding(window) => window.slots().count(),
        _ => 0,
    }
}

/// How long after it was sent each request arrives.
fn arrivals(sent: &[(Nanos, u64)], delays: &[Nanos]) -> Vec<(Nanos, u64)> {
    let delays = delays.iter().cycle();
    let mut arrivals: Vec<_> = sent
        .iter()
        .zip(delays)
        .map(|((at, n), delay)| (at + delay, *n))
        .collect();
    arrivals.sort_unstable();
    arrivals
}

proptest! {
    /// However requests are delayed on their way, by up to the margin: no period of the upstream's holds more than the
    /// amount, and its own bucket is never empty.
    #[test]
    fn with_a_margin_no_delay_on_the_way_makes_an_upstream_count_too_many(
        amount in 1_u64..40,
        burst in 1_u64..20,
        margin in 0_u64..5_000,
        steps in proptest::collection::vec((0_u64..9_000, 1_u64..20), 1..200),
        delays in proptest::collection::vec(0_u64..=100, 1..20),
    ) {
        const PERIOD: Nanos = 100_000;
        let delays: Vec<_> = delays.iter().map(|share| share * margin / 100).collect();
        let send = |mut counted: Counted, most: u64| {
            counted.limit.set_margin(Duration::from_nanos(margin));
            let (mut now, mut sent) = (0, Vec::new());
            for (step, cost) in &steps {
                let cost = (*cost).min(most);
                now = counted.earliest(cost, now + step);
                counted.take(cost, now);
                sent.push((now, cost));
            }
            arrivals(&sent, &delays)
        };
        let arrived = send(sliding(amount, PERIOD), amount);
        for (end, _) in &arrived {
            let held: u64 = arrived.iter().filter(|(at, _)| at <= end && at + PERIOD > *end).map(|(_, n)| n).sum();
            prop_assert!(held <= amount, "{held} of {amount}");
        }
        let mut judge = bucket(amount, PERIOD, burst);
        for (at, cost) in send(bucket(amount, PERIOD, burst), burst) {
            prop_assert_eq!(judge.earliest(cost, at), at);
            judge.take(cost, at);
        }
    }

    /// A sliding window against the full log of what was taken: never more than the amount in any period, and never a
    /// wait of more than 1 % of the period too long.
    #[test]
    fn no_period_holds_more_than_the_amount_and_no_wait_is_a_hundredth_too_long(
        amount in 1_u64..2_000,
        steps in proptest::collection::vec((0_u64..4_000, 1_u64..50), 1..400),
    ) {
        const PERIOD: Nanos = 100_000;
        let mut window = sliding(amount, PERIOD);
        let (mut now, mut log) = (0, Vec::<(Nanos, u64)>::new());
        for (step, cost) in steps {
            now += step;
            let cost = cost.min(amount);
            let at = window.earliest(cost, now);
            prop_assert!(at >= now);
            let taken_at = |end: Nanos| log.iter().filter(|(at, _)| at + PERIOD > end).map(|(_, n)| n).sum::<u64>();
            let leaves = log.iter().map(|(at, _)| at + PERIOD).filter(|end| *end > now);
            let exact = std::iter::once(now).chain(leaves).find(|end| taken_at(*end) + cost <= amount).unwrap();
            prop_assert!(at >= exact, "admitted at {at}, free at {exact}");
            prop_assert!(at - exact <= PERIOD / 100, "admitted at {at}, free at {exact}");
            now = at;
            window.take(cost, now);
            log.push((now, cost));
            prop_assert!(slots(&window) <= 128 + 130);
        }
    }

    #[test]
    fn a_bucket_never_lets_more_through_than_its_burst_and_what_it_refilled(
        amount in 1_u64..1_000,
        burst in 1_u64..100,
        steps in proptest::collection::vec((0_u64..2_000, 1_u64..20), 1..200),
    ) {
        const PERIOD: Nanos = 100_000;
        let mut bucket = bucket(amount, PERIOD, burst);
        let (mut now, mut taken) = (0_u64, 0_u128);
        for (step, cost) in steps {
            now += step;
            let cost = cost.min(burst);
            now = bucket.earliest(cost, now);
            bucket.take(cost, now);
            taken += u128::from(cost);
            let refilled = u128::from(now) * u128::from(amount);
            prop_assert!(taken * u128::from(PERIOD) <= u128::from(burst) * u128::from(PERIOD) + refilled);
        }
    }

    #[test]
    fn under_steady_demand_the_window_gives_99_percent_of_its_amount(amount in 200_u64..5_000, every in 1_u64..400) {
        const PERIOD: Nanos = 1_000_000;
        let mut window = sliding(amount, PERIOD);
        let (mut now, mut count) = (0, 0_u64);
        // Demand that comes in small pieces, faster than the limit.
        let pace = every.min(PERIOD / amount / 2 + 1);
        while now < 10 * PERIOD {
            now = window.earliest(1, now + pace);
            window.take(1, now);
            count += 1;
        }
        let ideal = amount * 10;
        prop_assert!(count * 100 >= ideal * 99, "{count} of {ideal}");
    }
}

#[test]
fn a_million_of_them_fit_into_40_megabytes() {
    assert!(size_of::<Window>() <= 40, "{}", size_of::<Window>());
}
