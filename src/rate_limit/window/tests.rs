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
        let earliest = self.window.earliest(&self.limit, amount, now);
        assert!(!self.has_room(amount, now) || earliest == now);
        earliest
    }

    fn has_room(&self, amount: u64, now: Nanos) -> bool {
        self.window.has_room(&self.limit, amount, now)
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
fn most_that_fits_is_seen_to_at_a_glance() {
    const MINUTE: Nanos = 60_000_000_000;
    let calendar = Limit::requests(3).per_minute().calendar(Zone::UTC);
    for mut counted in [
        sliding(3, MINUTE),
        bucket(3, MINUTE, 3),
        Counted::new(calendar, 0),
    ] {
        counted.take(1, 0);
        counted.take(1, 1);
        assert!(counted.has_room(1, 1) && !counted.has_room(2, 1));
        // What has left makes room for what comes.
        counted.take(1, MINUTE);
        assert!(counted.has_room(1, MINUTE), "{counted:?}");
    }
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

// PITFALLS 12, governor#219: GCRA with a burst of N lets nearly 2 N through in the first window; fixed windows do so at their edge.
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

// PITFALLS 4, litellm#24677: the settlement of a window that is over was booked to the next one.
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
fn of_many_takings_the_one_that_is_settled_is_found() {
    let mut window = sliding(100, 1_000);
    for at in [0, 100, 200, 300] {
        window.take(10, at);
    }
    window.settle(100, 10, 1, 400);
    window.settle(200, 10, 32, 400);
    let used = [999, 1_000, 1_100, 1_200, 1_300].map(|at| window.used(at));
    assert_eq!(used, [53, 43, 42, 10, 0]);
}

#[test]
fn the_newest_taking_leaves_in_time_though_all_before_it_are_gone() {
    let mut window = sliding(100, 1_000);
    window.take(10, 0);
    window.take(10, 500);
    window.take(10, 1_200);
    window.settle(1_200, 10, 7, 1_600);
    let used = [1_600, 2_199, 2_200].map(|at| window.used(at));
    assert_eq!(used, [7, 7, 0]);
}

#[test]
fn usage_that_nobody_reserved_is_not_counted_once_its_window_is_over() {
    let mut window = sliding(100, 1_000);
    window.settle(0, 0, 70, 1_000);
    assert_eq!(window.used(1_000), 0);
    window.settle(1, 0, 70, 1_000);
    assert_eq!(window.used(1_000), 70);
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

// PITFALLS 18: Gemini's day begins at midnight Pacific time.
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

// RL-04: redis-cell's table of a bucket of 5 that refills one a second: what is left, when it is full again, and how long
// one who is refused waits.
#[test]
fn a_bucket_counts_as_redis_cell_does() {
    const MS: Nanos = 1_000_000;
    let mut bucket = bucket(1, 1_000 * MS, 5);
    // The time, the cost, what is left, when it is full again, the wait.
    let rows = [
        (0, 1, 4, 1_000, 0),
        (0, 1, 3, 2_000, 0),
        (0, 1, 2, 3_000, 0),
        (0, 1, 1, 4_000, 0),
        (0, 1, 0, 5_000, 0),
        (0, 1, 0, 5_000, 1_000),
        (3_000, 1, 2, 3_000, 0),
        (3_100, 1, 1, 3_900, 0),
        (4_000, 1, 1, 4_000, 0),
        (8_000, 1, 4, 1_000, 0),
        (9_500, 1, 4, 1_000, 0),
        (9_500, 0, 4, 1_000, 0),
        (9_500, 2, 2, 3_000, 0),
        (9_500, 5, 2, 3_000, 3_000),
    ];
    for row in rows {
        let (at, cost, left, full_after, wait) = row;
        let now = at * MS;
        assert_eq!(bucket.earliest(cost, now), now + wait * MS, "{row:?}");
        if wait == 0 {
            bucket.take(cost, now);
        }
        assert_eq!(5 - bucket.used(now), left, "{row:?}");
        assert_eq!(bucket.earliest(5, now), now + full_after * MS, "{row:?}");
    }
}

// RL-06: governor rounds the interval to whole nanoseconds, and at 900 000 a minute lets 540 more through in an hour.
#[test]
fn no_rate_drifts_within_an_hour() {
    const SECOND: Nanos = 1_000_000_000;
    const MINUTE: Nanos = 60 * SECOND;
    let rates = [
        (3, MINUTE),
        (7, MINUTE),
        (60, MINUTE),
        (6_000, MINUTE),
        (900_000, MINUTE),
        (1, 1_300_000_000),
        (3_000_000_000, SECOND),
    ];
    for (amount, per) in rates {
        // What comes between two polls, and one more, so that nothing of the refill is spilt.
        let burst = amount * 60 / (per / 1_000_000) + 2;
        let mut bucket = bucket(amount, per, burst);
        bucket.take(burst, 0);
        let mut admitted = 0;
        for poll in 1..=60_000 {
            let now = poll * 60_000_000;
            let free = burst - bucket.used(now);
            bucket.take(free, now);
            admitted += free;
        }
        let ideal = u128::from(amount) * 3_600 * u128::from(SECOND) / u128::from(per);
        assert_eq!(u128::from(admitted), ideal, "{amount} per {per} ns");
    }
}

// RL-18: fixed windows let 19 of 10 through within 20 ms of their edge.
#[test]
fn around_the_edge_of_a_second_ten_are_ten() {
    let mut window = sliding(10, 1_000);
    let mut take = |amount, at| match window.earliest(amount, at) {
        free if free == at => {
            window.take(amount, at);
            0
        }
        free => free - at,
    };
    assert_eq!((take(1, 0), take(9, 999)), (0, 0));
    assert_eq!((take(1, 1_000), take(1, 1_000)), (0, 999));
    assert_eq!((take(9, 1_999), take(1, 1_999)), (0, 1));
}

/// The first of a period too: it may arrive in the next, which is then one over its amount.
#[test]
fn with_a_margin_nothing_goes_so_late_that_the_next_period_may_count_it() {
    let minute = || Limit::requests(2).per_minute().calendar(Zone::UTC);
    const SECOND: Nanos = 1_000_000_000;
    let mut calendar = Counted::new(minute(), 0);
    calendar.limit.set_margin(Duration::from_secs(1));
    assert_eq!(calendar.earliest(1, 58 * SECOND), 58 * SECOND);
    assert_eq!(calendar.earliest(1, 59 * SECOND), 60 * SECOND);
    calendar.take(1, 58 * SECOND);
    assert_eq!(calendar.earliest(1, 59 * SECOND), 60 * SECOND);
    calendar.take(1, 60 * SECOND);
    assert_eq!(calendar.earliest(1, 119 * SECOND), 120 * SECOND);
    assert_eq!(calendar.earliest(1, 179 * SECOND), 180 * SECOND);
    // A margin as long as the period leaves no moment that is sure, and one has to do.
    calendar.limit.set_margin(Duration::from_secs(60));
    assert_eq!(calendar.earliest(1, 179 * SECOND), 179 * SECOND);
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

#[test]
fn few_takings_have_a_slot_each_and_of_many_those_within_a_128th_of_the_period_share_one() {
    let mut window = sliding(1_000, 128_000);
    for at in 0..128 {
        window.take(1, at);
    }
    assert_eq!(slots(&window), 128);
    window.take(1, 127 + 999);
    assert_eq!(slots(&window), 128);
    window.take(1, 127 + 1_000);
    assert_eq!(slots(&window), 129);
    // What shares a slot leaves with the last of it.
    assert_eq!(window.used(128_000 + 127 + 998), 3);
    assert_eq!(window.used(128_000 + 127 + 999), 1);
}

fn takings(takings: impl IntoIterator<Item = (WallNanos, WallNanos, u64)>) -> Vec<Taking> {
    let takings = takings.into_iter();
    let taking = |(from, at, amount)| Taking {
        from,
        at,
        amount,
        part: 0,
    };
    takings.map(taking).collect()
}

fn restored(amount: u64, period: Nanos, taken: &[Taking], now: Nanos) -> Counted {
    let mut window = sliding(amount, period);
    let anchor = Anchor {
        now,
        wall: now as WallNanos,
    };
    window.window.restore(&window.limit, taken, anchor, now);
    window
}

#[test]
fn of_what_nothing_is_taken_nothing_is_saved() {
    let anchor = Anchor { now: 5, wall: 5 };
    let calendar = Limit::requests(2).per_day().calendar(Zone::UTC);
    for mut counted in [
        sliding(2, 100),
        bucket(2, 100, 3),
        Counted::new(calendar, 0),
    ] {
        let limit = &counted.limit;
        assert_eq!(counted.window.save(limit, anchor, 5), []);
        counted.window.take(limit, 1, 5);
        let [taking] = counted.window.save(limit, anchor, 5)[..] else {
            panic!("{counted:?}")
        };
        assert_eq!((taking.from, taking.at, taking.amount), (5, 5, 1));
    }
}

/// By a clock that has been set back by days, the upstream's next day may have begun, and no later one.
#[test]
fn what_is_restored_of_a_day_to_come_stands_until_the_next_has_ended() {
    const DAY: Nanos = 86_400_000_000_000;
    let day = |days: i64, now: Nanos| {
        let mut day = Counted::new(Limit::requests(9).per_day().calendar(Zone::UTC), 0);
        let at = days * DAY as WallNanos + 5;
        let wall = now as WallNanos;
        let taken = takings([(at, at, 3)]);
        day.window
            .restore(&day.limit, &taken, Anchor { now, wall }, now);
        day
    };
    // At midnight, and a little later.
    for now in [0, 7] {
        let restored = |days| {
            let day = day(days, now);
            [now, DAY - 1, DAY, 2 * DAY - 1, 2 * DAY].map(|at| day.used(at))
        };
        assert_eq!(restored(-1), [0; 5]);
        assert_eq!(restored(0), [3, 3, 0, 0, 0]);
        assert_eq!(restored(1), [3, 3, 3, 3, 0]);
        assert_eq!(restored(5), [3, 3, 3, 3, 0]);
    }
    // What is sent at the end of the first day is counted together with the second, so it may arrive then.
    let mut both = day(1, 7);
    both.limit.set_margin(Duration::from_secs(1));
    assert_eq!(both.earliest(1, DAY - 1), DAY - 1);
    assert_eq!(both.earliest(1, 2 * DAY - 1), 2 * DAY);
}

#[test]
fn what_has_left_a_window_before_it_is_restored_stays_gone() {
    let taken = takings([(0, 100, 5), (50, 500, 7)]);
    assert_eq!(restored(100, 1_000, &taken, 1_099).used(1_099), 12);
    let window = restored(100, 1_000, &taken, 1_100);
    assert_eq!((window.used(1_100), window.used(1_500)), (7, 0));
    assert_eq!(slots(&window), 1);
    let saved = |now| {
        window
            .window
            .save(&window.limit, Anchor { now, wall: 0 }, now)
    };
    assert_eq!([1_499, 1_500].map(|now| saved(now).len()), [1, 0]);
}

/// However many there are, none leaves early, and none more than a 128th of the period late.
#[test]
fn what_is_restored_needs_no_more_room_than_what_was_taken_here() {
    const PERIOD: Nanos = 128_000;
    let taken = takings((0..4_000).map(|n| (10 * n, 10 * n, 1)));
    let window = restored(9_999, PERIOD, &taken, 40_000);
    // 40,000 are 40 128ths, of which the first are taken by the exact slots.
    assert!((128..=128 + 40).contains(&slots(&window)));
    for at in (PERIOD..PERIOD + 41_000).step_by(7) {
        let gone = |at: Nanos| at.checked_sub(PERIOD).map_or(0, |since| since / 10 + 1);
        let held = |at| 4_000 - gone(at).min(4_000);
        let used = window.used(at);
        assert!(used >= held(at), "{used} of {} at {at}", held(at));
        // They are 10 apart, so the first and the last of a slot are 990 at most.
        let late = held(at - 991);
        assert!(used <= late, "{used} of {late} at {at}");
    }
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
