use std::time::Duration;

use super::*;
use crate::{
    outcome::Dimension,
    rate_limit::{mark::Then, saved::SavedElsewhere},
};

const SECOND: Nanos = 1_000_000_000;

struct Known {
    limit: Limit,
    window: Window,
    elsewhere: Elsewhere,
}

impl Known {
    fn new() -> Self {
        let limit = Limit::requests(100).per_minute();
        let window = Window::new(&limit, 0, 0);
        Self {
            limit,
            window,
            elsewhere: Elsewhere::default(),
        }
    }

    fn take(&mut self, amount: u64) {
        self.window.take(&self.limit, amount, 0);
    }

    fn heed(&mut self, remaining: u64, reset_after: Duration, now: Nanos) {
        let told = Told {
            dimension: Dimension::Requests,
            period: None,
            limit: None,
            remaining,
            reset_after: Some(reset_after),
            is_refilling: false,
        };
        let used = self.window.used(&self.limit, now);
        let elsewhere = told.elsewhere(&self.limit, Some(used), used, 0);
        self.elsewhere = Elsewhere::heard(&self.limit, elsewhere, told.reset_after, now);
    }

    fn earliest(&self, amount: u64, now: Nanos) -> Nanos {
        self.elsewhere
            .earliest(&self.limit, &self.window, amount, now)
    }

    fn used(&self, now: Nanos) -> u64 {
        self.window.used(&self.limit, now) + self.elsewhere.taken(now)
    }
}

#[test]
fn what_the_upstream_says_is_left_is_all_that_is_left_until_it_renews_the_quota() {
    let mut known = Known::new();
    known.take(1);
    known.heed(1, Duration::from_secs(20), 0);
    assert_eq!(known.used(0), 99);
    assert_eq!(known.earliest(1, 0), 0);
    assert_eq!(known.earliest(2, 0), 20 * SECOND);
    assert_eq!(known.used(20 * SECOND), 1);
}

#[test]
fn what_went_through_here_may_leave_before_the_quota_is_renewed() {
    let mut known = Known::new();
    known.take(60);
    known.heed(0, Duration::from_secs(300), 30 * SECOND);
    assert_eq!(known.earliest(1, 30 * SECOND), 60 * SECOND);
    assert_eq!(known.earliest(61, 30 * SECOND), 330 * SECOND);
}

#[test]
fn what_is_on_its_way_when_a_limit_is_first_heard_of_is_not_forgotten() {
    let limit = Limit::requests(10).per_minute();
    let told = Told {
        dimension: Dimension::Requests,
        period: None,
        limit: Some(10),
        remaining: 9,
        reset_after: None,
        is_refilling: false,
    };
    // Nothing is in the window, which is new; 19 were sent after the one that is answered.
    assert_eq!(told.elsewhere(&limit, None, 0, 19), 20);
}

#[test]
fn an_answer_that_was_overtaken_frees_nothing_of_what_a_later_one_told() {
    let quota = Quota::new().limit(Limit::requests(100).per_minute());
    let windows = [Window::new(&quota.limits[0], 0, 0)];
    let (mut learned, mut admitted) = (Learned::default(), Admissions::default());
    let mut told = Told {
        dimension: Dimension::Requests,
        period: None,
        limit: None,
        remaining: 95,
        reset_after: None,
        is_refilling: false,
    };
    let mut mark = || {
        admitted = admitted.and(&Cost::default());
        Mark {
            admitted,
            then: Some(&[Then {
                used: 0,
                given_back: 0,
            }]),
        }
    };
    let (older, newer) = (mark(), mark());
    let mut heed = |mark: Mark<'_>, remaining| {
        told.remaining = remaining;
        let admitted = mark.admitted;
        learned.heed((&quota, &windows), told, (mark, admitted), 0, 0);
        learned.elsewhere[0].taken(0)
    };
    assert_eq!(heed(newer, 40), 60);
    assert_eq!(heed(older, 95), 60);
    assert_eq!(heed(older, 10), 90, "what is less is believed");
    assert_eq!(heed(mark(), 95), 5);
}

#[test]
fn who_costs_nothing_of_a_limit_passes_though_all_of_it_is_taken_elsewhere() {
    let mut known = Known::new();
    known.heed(0, Duration::from_secs(20), 0);
    known.take(1);
    assert_eq!(known.earliest(1, 0), 20 * SECOND);
    assert_eq!(known.earliest(0, 0), 0);
}

#[test]
fn of_what_is_renewed_others_have_their_share() {
    let limit = Limit::requests(100).per_minute();
    let told = Told {
        dimension: Dimension::Requests,
        period: None,
        limit: None,
        remaining: 40,
        reset_after: None,
        is_refilling: false,
    };
    // 60 are counted, 30 of them are not ours. Of our 30 and the 10 sent since, 20 have been renewed, and three tenths of
    // those are not for us.
    assert_eq!(told.elsewhere(&limit, Some(30), 20, 10), 30 + 6);
    assert_eq!(told.elsewhere(&limit, Some(30), 40, 10), 30);
}

#[test]
fn what_is_taken_elsewhere_is_renewed_after_a_period_or_32_days_at_the_latest() {
    let limit = Limit::requests(100).per_minute();
    let until = |reset_after| Elsewhere::heard(&limit, 5, reset_after, 7).until;
    assert_eq!(until(None), 7 + 60 * SECOND);
    assert_eq!(until(Some(Duration::from_secs(90))), 7 + 90 * SECOND);
    let longest = 7 + 32 * 86_400 * SECOND;
    assert_eq!(until(Some(Duration::MAX)), longest);
    let restored = |until| {
        let anchor = Anchor { now: 7, wall: 0 };
        let saved = SavedElsewhere { amount: 5, until };
        Elsewhere::restored(saved, anchor, 7).map(|it| (it.amount, it.until))
    };
    assert_eq!(restored(WallNanos::MAX), Some((5, longest)));
    assert_eq!([restored(1), restored(0)], [Some((5, 8)), None]);
    let nothing = Elsewhere::heard(&limit, 0, None, 7);
    assert_eq!(nothing.save(Anchor { now: 7, wall: 0 }, 7), None);
}

fn told(dimension: Dimension, period: Option<Limit>, limit: Option<u64>) -> Told {
    Told {
        dimension,
        period: period.map(|like| like.per),
        limit,
        remaining: 0,
        reset_after: None,
        is_refilling: false,
    }
}

/// Hears so much of each, and returns how much is taken elsewhere of the limits, in their order.
fn heard(quota: &Quota, told: impl IntoIterator<Item = Told>) -> (Learned, Vec<u64>) {
    let windows = quota.limits.iter().map(|limit| Window::new(limit, 0, 0));
    let windows: Vec<_> = windows.collect();
    let mut learned = Learned::default();
    for told in told {
        let nothing = (Mark::default(), Admissions::default());
        learned.heed((quota, &windows), told, nothing, 0, 0);
    }
    let taken = learned.elsewhere.iter().map(|it| it.taken(0)).collect();
    (learned, taken)
}

#[test]
fn the_limit_that_is_told_of_is_known_by_its_period_its_amount_or_that_there_is_no_other() {
    let quota = Quota::new()
        .min_interval(Duration::from_secs(1))
        .limit(Limit::requests(20).per_minute())
        .limit(Limit::requests(70).per_day())
        .limit(Limit::tokens(500).per_minute());
    let day = || Some(Limit::requests(1).per_day());
    let hour = || Some(Limit::requests(1).per_hour());
    let taken = |told| heard(&quota, [told]).1;
    let requests = |period, limit| taken(told(Dimension::Requests, period, limit));
    assert_eq!(requests(day(), None), [0, 0, 70]);
    assert_eq!(requests(day(), Some(20)), [0, 0, 70]);
    assert_eq!(requests(None, Some(20)), [0, 20]);
    assert_eq!(requests(None, Some(70)), [0, 0, 70]);
    assert!(requests(None, Some(1)).is_empty());
    assert!(requests(None, None).is_empty());
    assert_eq!(requests(hour(), Some(9)), [0, 0, 0, 0, 9]);
    assert!(requests(hour(), Some(0)).is_empty());
    assert!(requests(hour(), None).is_empty());
    let tokens = taken(told(Dimension::Tokens, None, None));
    assert_eq!(tokens, [0, 0, 0, 500]);
    let spaced = Quota::new().min_interval(Duration::from_secs(1));
    let second = Some(Limit::requests(1).per_second());
    let (_, taken) = heard(&spaced, [told(Dimension::Requests, second, Some(5))]);
    assert_eq!(
        taken,
        [0, 5],
        "a spacing is no limit that an upstream tells of"
    );
}

#[test]
fn of_a_limit_that_was_learned_the_latest_amount_holds_and_of_two_in_one_answer_the_less() {
    let (quota, minute) = (Quota::new(), Some(Limit::requests(1).per_minute()));
    let mut learned = Learned::default();
    let mut admitted = Admissions::default();
    let older = admitted.and(&Cost::default());
    for amounts in [&[60][..], &[600], &[900, 30, 700], &[80]] {
        admitted = admitted.and(&Cost::default()).and(&Cost::default());
        let mark = |admitted| Mark {
            admitted,
            then: None,
        };
        for amount in amounts {
            let told = told(Dimension::Requests, minute.clone(), Some(*amount));
            learned.heed((&quota, &[]), told, (mark(admitted), admitted), 0, 0);
        }
        let least = amounts.iter().min().copied();
        assert_eq!(Some(learned.limits[0].0.amount), least);
        // An answer that was overtaken, and one that does not say for which period it is.
        let late = told(Dimension::Requests, minute.clone(), Some(9));
        learned.heed((&quota, &[]), late, (mark(older), admitted), 0, 0);
        let vague = told(Dimension::Requests, None, Some(9));
        learned.heed((&quota, &[]), vague, (mark(admitted), admitted), 0, 0);
        assert_eq!(Some(learned.limits[0].0.amount), least);
    }
}

/// So many of 100 are left, and all will be free again after that.
fn refills(limit: u64, remaining: u64, reset_secs: u64) -> Told {
    Told {
        remaining,
        reset_after: Some(Duration::from_secs(reset_secs)),
        is_refilling: true,
        ..told(Dimension::Requests, None, Some(limit))
    }
}

/// How a learned limit stands: amount, seconds, whether it holds nobody back, and when all of it is free.
type Standing = (u64, u64, bool, u64);

/// Hears all of it in turn. Returns how the first learned limit stands after each, and for how long nothing is left otherwise.
fn standing(all: &[Told]) -> Vec<(Option<Standing>, Option<u64>)> {
    let (quota, mut learned) = (Quota::new(), Learned::default());
    let mut admitted = Admissions::default();
    let mut heed = |told: &Told| {
        admitted = admitted.and(&Cost::default());
        let mark = Mark {
            admitted,
            then: None,
        };
        let closed = learned.heed((&quota, &[]), *told, (mark, admitted), 0, 0);
        let standing = learned.limits.first().map(|(limit, window)| {
            let elsewhere = learned.elsewhere[0];
            let until = elsewhere.earliest(limit, window, limit.amount, 0) / SECOND;
            (limit.amount, limit.per.as_secs(), limit.is_shadow, until)
        });
        (standing, closed.map(|wait| wait.as_secs()))
    };
    all.iter().map(&mut heed).collect()
}

#[test]
fn a_limit_whose_period_was_inferred_goes_by_the_latest_answer() {
    let stands = standing(&[
        refills(100, 99, 1),
        refills(100, 50, 30),
        // Too little is used to say anything of the period.
        refills(100, 99, 30),
        refills(100, 20, 48),
        refills(200, 100, 30),
        // Another amount, and nothing of its period.
        refills(900, 900, 0),
        refills(900, 450, 43_200),
    ]);
    let minute = |amount, is_shadow, until| (Some((amount, 60, is_shadow, until)), None);
    let (last, before) = stands.split_last().unwrap();
    assert_eq!(
        before,
        [
            (None, None),
            minute(100, false, 30),
            minute(100, false, 30),
            minute(100, false, 48),
            minute(200, false, 30),
            minute(200, true, 0),
        ]
    );
    let day = last
        .0
        .map(|(amount, per, is_shadow, _)| (amount, per, is_shadow));
    assert_eq!(day, Some((900, 86_400, false)));
}

/// Simulated: where it was inferred again and again, whoever had waited was let go at once each time.
#[test]
fn who_contradicts_what_was_inferred_has_no_period_inferred_again() {
    let minute = refills(100, 50, 30);
    let stands = standing(&[
        minute,
        refills(100, 20, 7),
        minute,
        refills(100, 0, 60),
        refills(100, 0, 61),
    ]);
    let shadows = stands.iter().map(|(limit, _)| limit.unwrap().2);
    assert_eq!(shadows.collect::<Vec<_>>(), [false, true, true, true, true]);
    let closed = stands.iter().map(|(_, closed)| *closed);
    assert_eq!(
        closed.collect::<Vec<_>>(),
        [None, None, None, Some(60), None]
    );
}

/// Simulated: to an upstream that counts otherwise than it says, twenty times as much was sent in vain.
#[test]
fn a_limit_whose_period_was_inferred_leaves_the_rate_that_a_refusal_cuts() {
    let quota = Quota::new();
    let has_pace = |told: &[Told]| {
        let mut learned = Learned {
            pace: Some(Pace::default()),
            ..Learned::default()
        };
        let nothing = (Mark::default(), Admissions::default());
        for told in told {
            learned.heed((&quota, &[]), *told, nothing, 0, 0);
        }
        let has_pace = learned.pace.is_some();
        learned.carry_over(&quota, &quota);
        assert_eq!(learned.pace.is_some(), has_pace);
        has_pace
    };
    let inferred = refills(100, 50, 30);
    let named = told(
        Dimension::Requests,
        Some(Limit::requests(1).per_minute()),
        Some(9),
    );
    assert!(has_pace(&[inferred]) && has_pace(&[inferred, inferred]));
    assert!(!has_pace(&[named]) && !has_pace(&[inferred, named]));
}

#[test]
fn what_was_taken_of_a_limit_stays_so_where_its_period_is_inferred_again() {
    let (quota, told) = (Quota::new(), refills(100, 90, 6));
    let (mut learned, _) = heard(&quota, [told]);
    let mut admitted = Admissions::default();
    for _ in 0..10 {
        admitted = admitted.and(&Cost::default());
        learned.take(&Cost::default(), 0);
    }
    let then = [Then {
        used: 10,
        given_back: 0,
    }];
    let mark = Mark {
        admitted,
        then: Some(&then),
    };
    // It has left the window here when the answer comes.
    for (now, used) in [(SECOND, 10), (61 * SECOND, 0)] {
        learned.heed((&quota, &[]), told, (mark, admitted), now, 0);
        let (limit, window) = &learned.limits[0];
        assert_eq!(window.used(limit, now), used);
        assert_eq!(learned.elsewhere[0].taken(now), 0);
    }
}

#[test]
fn where_nothing_is_left_of_a_limit_that_holds_nobody_nobody_is_held() {
    let quota = Quota::new().limit(Limit::requests(100).per_minute().shadow());
    let windows = [Window::new(&quota.limits[0], 0, 0)];
    let nothing = Told {
        is_refilling: false,
        ..refills(100, 0, 30)
    };
    let known = (Mark::default(), Admissions::default());
    let closed = Learned::default().heed((&quota, &windows), nothing, known, 0, 0);
    assert_eq!(closed, None);
}

#[test]
fn a_period_that_is_named_takes_the_place_of_one_that_was_inferred() {
    let quota = Quota::new();
    let day = Some(Limit::requests(1).per_day());
    let named = told(Dimension::Requests, day, Some(100));
    let (learned, taken) = heard(&quota, [refills(100, 50, 43_200)]);
    assert!(learned.limits[0].0.is_bucket());
    assert_eq!(taken, [0], "it is in the bucket, and comes back");
    let (learned, taken) = heard(&quota, [refills(100, 50, 43_200), named]);
    let [(limit, Window::Sliding(_))] = &learned.limits[..] else {
        panic!("{learned:?}")
    };
    assert!(!limit.is_inferred);
    assert_eq!(taken, [100]);
}

#[test]
fn what_is_inferred_is_of_the_limit_of_the_quota_with_that_period() {
    let quota = Quota::new()
        .limit(Limit::requests(80).per_minute())
        .limit(Limit::requests(5_000).per_day());
    let (learned, taken) = heard(&quota, [refills(100, 50, 30)]);
    assert!(learned.limits.is_empty());
    assert_eq!(taken, [30]);
}

#[test]
fn a_key_has_32_limits_at_most_those_that_were_learned_included() {
    let learned_of = |configured: u64| {
        let quota = (1..=configured).fold(Quota::new(), |quota, amount| {
            quota.limit(Limit::money(crate::Money::from_nanos(amount)).per_day())
        });
        let periods = [
            Limit::tokens(1).per_second(),
            Limit::tokens(1).per_minute(),
            Limit::tokens(1).per_hour(),
        ];
        let all = periods.map(|like| told(Dimension::Tokens, Some(like), Some(9)));
        let (mut learned, _) = heard(&quota, all);
        let told = learned.limits.len();
        let saved = SavedLimit {
            limit: Limit::tokens(9).per_day(),
            is_learned: true,
            taken: Vec::new(),
            elsewhere: None,
        };
        let anchor = Anchor { now: 0, wall: 0 };
        learned.restore(&quota, &saved, anchor, 0, 0);
        [told, learned.limits.len()]
    };
    assert_eq!(learned_of(11), [3, 4]);
    assert_eq!(learned_of(28), [3, 4]);
    assert_eq!(learned_of(29), [3, 3], "nor more after a restart");
    assert_eq!(learned_of(31), [1, 1]);
}

#[test]
fn a_limit_of_before_a_restart_is_taken_up_where_the_quota_has_none_like_it() {
    let minute = Limit::requests(9).per_minute();
    let taken_up = |quota: Quota| {
        let saved = SavedLimit {
            limit: minute.clone(),
            is_learned: true,
            taken: Vec::new(),
            elsewhere: None,
        };
        let (mut learned, _) = heard(&quota, []);
        for _ in 0..2 {
            let anchor = Anchor { now: 0, wall: 0 };
            learned.restore(&quota, &saved, anchor, 0, 0);
        }
        learned.limits.len()
    };
    assert_eq!(taken_up(Quota::new()), 1);
    assert_eq!(taken_up(Quota::new().limit(minute.clone())), 0);
    let other = Quota::new().limit(Limit::requests(9).per_hour());
    assert_eq!(taken_up(other), 1);
    let spaced = Quota::new().min_interval(Duration::from_secs(60));
    assert_eq!(taken_up(spaced), 1);
}

#[test]
fn what_was_sent_since_is_reckoned_in_what_the_limit_counts() {
    let quota = Quota::new()
        .limit(Limit::requests(10).per_minute())
        .limit(Limit::tokens(100).per_minute());
    let windows: Vec<_> = quota
        .limits
        .iter()
        .map(|it| Window::new(it, 0, 0))
        .collect();
    let mut learned = Learned::default();
    for (dimension, remaining) in [(Dimension::Requests, 10), (Dimension::Tokens, 100)] {
        let mut told = told(dimension, None, None);
        told.remaining = remaining;
        let since = [Cost::tokens(40, 0), Cost::tokens(0, 2), Cost::default()];
        let since = since.iter().fold(Admissions::default(), Admissions::and);
        learned.heed((&quota, &windows), told, (Mark::default(), since), 0, 0);
    }
    let taken = learned.elsewhere.iter().map(|it| it.taken(0));
    assert_eq!(taken.collect::<Vec<_>>(), [3, 42]);
}

#[test]
fn over_a_change_of_the_quota_what_was_told_of_the_limits_that_stay_is_kept() {
    let day = || Limit::tokens(200).per_day();
    let from = Quota::new()
        .limit(Limit::requests(10).per_minute())
        .limit(day());
    let input = Some(Limit::requests(1).per_minute());
    let hour = Some(Limit::requests(1).per_hour());
    let (mut learned, taken) = heard(
        &from,
        [
            told(Dimension::Requests, None, Some(10)),
            told(Dimension::Tokens, None, Some(200)),
            told(Dimension::Requests, hour, Some(30)),
            told(Dimension::InputTokens, input, Some(40)),
        ],
    );
    assert_eq!(taken, [10, 200, 30, 40]);
    let to = Quota::new()
        .limit(Limit::requests(99).per_hour())
        .limit(Limit::requests(11).per_minute())
        .limit(day());
    learned.carry_over(&from, &to);
    let taken = learned.elsewhere.iter().map(|it| it.taken(0));
    assert_eq!(taken.collect::<Vec<_>>(), [0, 0, 200, 40]);
    let [(limit, _)] = &learned.limits[..] else {
        panic!("{learned:?}")
    };
    assert_eq!(limit.dimension, Dimension::InputTokens);
    learned.carry_over(&to, &Quota::new());
    assert!(learned.pace.is_none(), "a limit is known");
    let mut learned = Learned::default();
    learned.carry_over(&to, &Quota::new());
    assert!(learned.pace.is_some());
    learned.carry_over(&Quota::new(), &to);
    assert!(learned.pace.is_none());
}

// misina#92, and a header that is older than what has been sent since.
#[test]
fn nothing_the_upstream_says_frees_what_was_taken_here() {
    let mut known = Known::new();
    known.take(100);
    known.heed(100, Duration::ZERO, SECOND);
    assert_eq!(known.earliest(1, SECOND), 60 * SECOND);
    known.heed(u64::MAX, Duration::MAX, SECOND);
    assert_eq!(known.earliest(1, SECOND), 60 * SECOND);
}
