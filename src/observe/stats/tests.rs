use std::time::Duration;

use super::*;
use crate::{
    Money,
    error::{Patience, RefusalReason},
    observe::{End, LimitUse},
    outcome::{Dimension, Failure, FailureKind, Usage},
};

fn receipt(end: End) -> Receipt<'static> {
    let mut receipt = Receipt::new("groq/m", end);
    receipt.usage.input_tokens = Some(10);
    receipt
}

fn ended(stats: &Stats, end: End, times: u64) {
    (0..times).for_each(|_| stats.event(&Event::Ended(&receipt(end))));
}

fn admitted(stats: &Stats, waited: Duration, used: u64, times: u64) {
    let minute = Duration::from_secs(60);
    let limits = &[LimitUse::new(Dimension::Tokens, 12_000, minute, used)];
    let event = Event::Admitted {
        key: "groq/m",
        waited,
        limits,
    };
    (0..times).for_each(|_| stats.event(&event));
}

fn refused(stats: &Stats, reason: RefusalReason, times: u64) {
    let event = Event::Refused {
        key: "groq/m",
        reason,
        limit: "",
        wait: None,
        patience: None,
    };
    (0..times).for_each(|_| stats.event(&event));
}

fn upstream(stats: &Stats) -> UpstreamStats {
    stats.snapshot().upstreams["groq/m"].clone()
}

fn key(stats: &Stats) -> KeyStats {
    stats.snapshot().keys["groq/m"].clone()
}

#[test]
fn a_receipt_counts_under_its_end_and_what_it_says_is_added_up() {
    let stats = Stats::new();
    let mut whole = receipt(End::Answered);
    whole.usage = Usage {
        input_tokens: Some(100),
        cached_tokens: Some(40),
        output_tokens: Some(7),
        total_tokens: Some(107),
        ..Usage::default()
    };
    whole.money = Some(Money::from_cents(3));
    whole.is_truncated = true;
    whole.head_after = Some(Duration::from_millis(10));
    whole.content_after = Some(Duration::from_millis(20));
    whole.took = Duration::from_millis(30);
    stats.event(&Event::Ended(&whole));
    stats.event(&Event::Ended(&Receipt::new("groq/m", End::Broken)));
    stats.event(&Event::Ended(&Receipt::new("groq/m", End::Cancelled)));
    let mut failed = Receipt::new("groq/m", End::Failed(FailureKind::Overloaded));
    failed.head_after = Some(Duration::from_millis(1));
    stats.event(&Event::Ended(&failed));
    let row = upstream(&stats);
    let counts = (row.requests, row.answered, row.broken, row.cancelled);
    assert_eq!(counts, (4, 1, 1, 1));
    assert_eq!(row.failed, [(FailureKind::Overloaded, 1)].into());
    let tokens = (row.input_tokens, row.cached_tokens, row.output_tokens);
    assert_eq!(tokens, (100, 40, 7));
    assert_eq!((row.money, row.truncated), (Money::from_cents(3), 1));
    assert_eq!(
        row.usage_unknown, 1,
        "of one that was dropped nothing is expected"
    );
    // The fastest failure is no speed (PITFALLS 56).
    assert_eq!(
        (row.head.count, row.head.p50),
        (1, Duration::from_millis(10))
    );
    assert_eq!((row.content.count, row.took.count), (1, 1));
    assert_eq!(row.took.longest, Duration::from_millis(30));
}

#[test]
fn retries_cooldowns_and_turns_to_others_count_where_they_belong() {
    let stats = Stats::new();
    let failure = Failure::new(FailureKind::Overloaded);
    for seconds in [3, 1] {
        stats.event(&Event::Retrying {
            upstream: "groq/m",
            attempt: 1,
            wait: Duration::from_secs(seconds),
            failure: &failure,
        });
    }
    stats.event(&Event::GaveUp {
        upstream: "groq/m",
        attempts: 3,
        failure: &failure,
        reason: "",
    });
    stats.event(&Event::CoolingDown {
        upstream: "groq/m",
        wait: Duration::from_secs(1),
        kind: FailureKind::Overloaded,
    });
    stats.event(&Event::Switched {
        from: "groq/m",
        to: "openai/n",
        failure: &failure,
    });
    stats.event(&Event::Exhausted {
        attempts: 2,
        is_rate_limited: false,
        retry_after: None,
        passed_by: &[],
    });
    let row = upstream(&stats);
    assert_eq!((row.retries, row.gave_up, row.cooldowns), (2, 1, 1));
    assert_eq!(row.retry_waited, Duration::from_secs(4));
    assert_eq!(row.retry_longest, Duration::from_secs(3));
    assert_eq!((row.switched_away, row.switched_to), (1, 0));
    let snapshot = stats.snapshot();
    assert_eq!(snapshot.upstreams["openai/n"].switched_to, 1);
    assert_eq!(snapshot.exhausted, 1);
    stats.reset();
    assert_eq!(stats.snapshot(), Snapshot::default());
}

#[test]
fn the_limiter_s_decisions_and_the_most_that_was_taken_count_by_key() {
    let stats = Stats::new();
    admitted(&stats, Duration::from_secs(3), 6_000, 1);
    admitted(&stats, Duration::ZERO, 9_000, 1);
    admitted(&stats, Duration::ZERO, 1_000, 1);
    refused(&stats, RefusalReason::QueueFull, 2);
    refused(&stats, RefusalReason::TooLarge, 1);
    for limit in ["12000 tokens per 60s", "12000 tokens per 60s", ""] {
        stats.event(&Event::Queued {
            key: "groq/m",
            limit,
            wait: Duration::from_secs(3),
        });
    }
    stats.event(&Event::Left {
        key: "groq/m",
        waited: Duration::from_secs(1),
    });
    stats.event(&Event::Opened {
        key: "groq/m",
        wait: None,
        reason: "",
    });
    let row = key(&stats);
    assert_eq!((row.admitted, row.queued, row.left), (3, 3, 1));
    assert_eq!((row.refused(), row.refused_queue_full), (3, 2));
    assert_eq!((row.waited, row.long_waits), (Duration::from_secs(3), 1));
    assert_eq!(row.held_back_by["12000 tokens per 60s"], 2);
    assert_eq!((row.peaks.len(), row.peaks[0].share), (1, 0.75));
    assert_eq!(row.circuit_opened, 1);
}

/// PITFALLS 61: a map keyed by what callers send never shrinks.
#[test]
fn names_that_callers_make_up_share_a_row_beyond_the_bound() {
    let stats = Stats::new().most_keys(2).most_upstreams(1);
    for number in 0..100 {
        let name = format!("tenant-{number}");
        stats.event(&Event::Disabled { key: &name });
        stats.event(&Event::Paused {
            key: &name,
            wait: Duration::ZERO,
        });
        stats.event(&Event::Ended(&Receipt::new(&name, End::Answered)));
    }
    let snapshot = stats.snapshot();
    assert_eq!(snapshot.keys.len(), 3);
    assert_eq!(snapshot.keys["(others)"].paused, 98);
    assert_eq!(snapshot.upstreams["(others)"].requests, 99);
}

/// What is done so many times of 1,000, and whether it is said.
type Case = (InsightKind, fn(&Stats, u64), u64, &'static str);

const CASES: [Case; 14] = [
    (
        InsightKind::Failing,
        |stats, times| {
            ended(stats, End::Failed(FailureKind::Timeout), times / 2);
            ended(
                stats,
                End::Failed(FailureKind::Overloaded),
                times - times / 2,
            );
            ended(stats, End::Answered, 1_000 - times);
        },
        100,
        "groq/m: 10 % of 1000 requests failed, most of them by timeout; add an upstream that can take over, or ask the provider.",
    ),
    (
        InsightKind::RateLimitedUpstream,
        |stats, times| {
            ended(stats, End::Failed(FailureKind::RateLimited), times);
            ended(stats, End::Answered, 1_000 - times);
        },
        20,
        "groq/m: the upstream refused 2 % of 1000 requests for their rate; set its limits as they are, or with a margin, so that requests wait here instead.",
    ),
    (
        InsightKind::Waiting,
        |stats, times| {
            let limit = "12000 tokens per 60s";
            let wait = Duration::from_millis(2_001);
            stats.event(&Event::Queued {
                key: "groq/m",
                limit,
                wait,
            });
            admitted(stats, wait, 0, times);
            admitted(stats, Duration::from_secs(2), 0, 1_000 - times);
        },
        50,
        "groq/m: 5 % of 1000 requests waited longer than 2 s for `12000 tokens per 60s`; ask for a higher quota or add an upstream.",
    ),
    (
        InsightKind::Waiting,
        |stats, times| {
            let wait = Duration::from_millis(2_001);
            stats.event(&Event::Queued {
                key: "groq/m",
                limit: "2 at a time",
                wait,
            });
            admitted(stats, wait, 0, times);
            admitted(stats, Duration::ZERO, 0, 1_000 - times);
        },
        50,
        "groq/m: 5 % of 1000 requests waited longer than 2 s for `2 at a time`; raise `max_concurrent` or add an upstream.",
    ),
    (
        InsightKind::Refused,
        |stats, times| {
            refused(stats, RefusalReason::WaitTooLong, times / 2);
            refused(stats, RefusalReason::QueueFull, times - times / 2);
            admitted(stats, Duration::ZERO, 0, 1_000 - times);
        },
        10,
        "groq/m: 1 % of 1000 requests were refused because they would have waited too long for their turn; add an upstream, ask for a higher quota, or allow a longer wait.",
    ),
    (
        InsightKind::OutOfTime,
        |stats, times| {
            let event = Event::Refused {
                key: "groq/m",
                reason: RefusalReason::WaitTooLong,
                limit: "2 at a time",
                wait: None,
                patience: Some(Patience::Deadline(Duration::from_secs(5))),
            };
            (0..times).for_each(|_| stats.event(&event));
            stats.event(&Event::Queued {
                key: "groq/m",
                limit: "2 at a time",
                wait: Duration::ZERO,
            });
            admitted(stats, Duration::ZERO, 0, 1_000 - times);
        },
        10,
        "groq/m: 1 % of 1000 requests were refused because they would have waited for `2 at a time` beyond their own deadline; add an upstream, raise `max_concurrent`, or give them more time.",
    ),
    (
        InsightKind::TooLarge,
        |stats, times| {
            refused(stats, RefusalReason::TooLarge, times);
            admitted(stats, Duration::ZERO, 0, 1_000 - times);
        },
        10,
        "groq/m: 1 % of 1000 requests were larger than a limit ever allows; shorten them, lower their maximum of tokens, or add an upstream that takes them.",
    ),
    (
        InsightKind::NearLimit,
        |stats, times| admitted(stats, Duration::ZERO, times * 12, 1_000),
        900,
        "groq/m: at its peak 90 % of `12000 tokens per 60s` was taken; a little more, and requests will wait.",
    ),
    (
        InsightKind::FallingBack,
        |stats, times| {
            let failure = Failure::new(FailureKind::Overloaded);
            let (from, to) = ("groq/m", "openai/n");
            ended(stats, End::Answered, 1_000);
            let event = Event::Switched {
                from,
                to,
                failure: &failure,
            };
            (0..times).for_each(|_| stats.event(&event));
        },
        250,
        "groq/m: 25 % of 1000 requests went on to another upstream; put one that answers first in the chain, or ask for a higher quota.",
    ),
    (
        InsightKind::Truncated,
        |stats, times| {
            let mut receipt = receipt(End::Answered);
            receipt.is_truncated = true;
            (0..times).for_each(|_| stats.event(&Event::Ended(&receipt)));
            ended(stats, End::Answered, 1_000 - times);
        },
        50,
        "groq/m: 5 % of 1000 answers were cut off at their maximum of tokens; raise the maximum, or ask for shorter answers.",
    ),
    (
        InsightKind::Breaking,
        |stats, times| {
            ended(stats, End::Broken, times);
            ended(stats, End::Answered, 1_000 - times);
        },
        20,
        "groq/m: 2 % of 1000 answers broke off in the middle; look at proxies and timeouts on the way, or ask the provider.",
    ),
    (
        InsightKind::Cancelled,
        |stats, times| {
            let mut slow = receipt(End::Answered);
            slow.content_after = Some(Duration::from_secs(9));
            ended(stats, End::Cancelled, times);
            (times..1_000).for_each(|_| stats.event(&Event::Ended(&slow)));
        },
        100,
        "groq/m: 10 % of 1000 requests were given up by their callers; one answer in ten begins later than 9.0s, so a faster model or more patience may help.",
    ),
    (
        InsightKind::UsageUnknown,
        |stats, times| {
            let silent = Receipt::new("groq/m", End::Answered);
            (0..times).for_each(|_| stats.event(&Event::Ended(&silent)));
            ended(stats, End::Answered, 1_000 - times);
        },
        100,
        "groq/m: 10 % of 1000 answers told no usage, and are not in the sums of tokens and money; for streams, set `include_usage` on the provider layer.",
    ),
    (
        InsightKind::Shadowed,
        |stats, times| {
            admitted(stats, Duration::ZERO, 0, 1_000);
            let event = Event::Shadowed {
                key: "groq/m",
                limit: "60 requests per 60s",
                wait: Duration::ZERO,
            };
            (0..times).for_each(|_| stats.event(&event));
        },
        10,
        "groq/m: a limit in shadow mode would have held back 1 % of 1000 requests; raise it before it is put into force.",
    ),
];

#[test]
fn a_limit_that_is_near_says_so_in_other_words_where_somebody_has_waited() {
    let (stats, wait) = (Stats::new(), Duration::from_millis(80));
    stats.event(&Event::Queued {
        key: "groq/m",
        limit: "12000 tokens per 60s",
        wait,
    });
    admitted(&stats, wait, 12_000, 1);
    admitted(&stats, Duration::ZERO, 12_000, 99);
    let told: Vec<_> = stats.insights().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "groq/m: at its peak 100 % of `12000 tokens per 60s` was taken; 1 of 100 requests waited a moment, and a little more makes it longer."
        ]
    );
}

#[test]
fn advice_is_given_from_its_threshold_on_and_not_before() {
    for (kind, act, least, text) in CASES {
        let stats = Stats::new();
        act(&stats, least);
        let insights = stats.insights();
        let told: Vec<_> = insights.iter().map(|insight| insight.kind).collect();
        assert_eq!(told, [kind], "only that: {insights:?}");
        assert_eq!(insights[0].to_string(), text);
        assert_eq!(&*insights[0].subject, "groq/m");
        assert!((insights[0].share - least as f64 / 1_000.0).abs() < 1e-9);

        let stats = Stats::new();
        act(&stats, least - 1);
        assert_eq!(stats.insights(), [], "{kind:?}");
    }
}

#[test]
fn little_that_was_seen_is_no_reason_for_advice() {
    let stats = Stats::new();
    ended(&stats, End::Failed(FailureKind::Timeout), 19);
    admitted(&stats, Duration::from_secs(9), 12_000, 19);
    refused(&stats, RefusalReason::TooLarge, 0);
    assert_eq!(stats.insights(), []);
    ended(&stats, End::Failed(FailureKind::Timeout), 1);
    admitted(&stats, Duration::from_secs(9), 12_000, 1);
    let kinds: Vec<_> = stats
        .insights()
        .iter()
        .map(|insight| insight.kind)
        .collect();
    assert_eq!(kinds, [InsightKind::Failing, InsightKind::Waiting]);
}

/// A wrong key was told as so many failures like any others.
#[test]
fn where_every_answer_denies_access_the_key_is_to_be_looked_at() {
    let stats = Stats::new();
    let denied = || ended(&stats, End::Failed(FailureKind::Auth), 1);
    (0..19).for_each(|_| denied());
    assert_eq!(stats.insights(), []);
    denied();
    ended(&stats, End::Failed(FailureKind::Timeout), 1);
    let told: Vec<_> = stats.insights().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "groq/m: each of 20 answers said that the key is wrong or may not do this (401, 403); look at the provider's key (`Provider::key`, or `key_env` in the file) and at what it may use."
        ]
    );
    // Where some were answered, the key is right, and may not be for all that is asked.
    ended(&stats, End::Answered, 1);
    let kinds: Vec<_> = stats.insights().iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [InsightKind::Failing]);
}

#[test]
fn what_is_worst_among_failures_is_none_that_waiting_cures() {
    let stats = Stats::new();
    ended(&stats, End::Answered, 58);
    ended(&stats, End::Failed(FailureKind::RateLimited), 30);
    ended(&stats, End::Failed(FailureKind::ServerError), 12);
    let failing = |it: &Insight| it.kind == InsightKind::Failing;
    let insight = stats.insights().into_iter().find(failing).unwrap();
    assert!(
        insight.to_string().contains("most of them by server error"),
        "{}",
        insight
    );
}

#[test]
fn callers_who_left_before_any_answer_began_are_not_told_of_answers() {
    let stats = Stats::new();
    ended(&stats, End::Cancelled, 100);
    let left = |it: &Insight| it.kind == InsightKind::Cancelled;
    let insight = stats.insights().into_iter().find(left).unwrap();
    assert!(insight.to_string().contains("no answer began"), "{insight}");
}

// A request that went to another upstream and was answered there counted as refused, and `insights` advised a longer wait.
#[test]
fn who_left_a_line_for_another_upstream_was_not_refused() {
    let stats = Stats::new();
    stats.event(&Event::Refused {
        key: "groq/m",
        reason: RefusalReason::WaitTooLong,
        limit: "2 at a time",
        wait: None,
        patience: Some(Patience::Chain(Duration::from_secs(2))),
    });
    let row = stats.snapshot().keys["groq/m"].clone();
    assert_eq!(
        (row.left, row.refused(), row.refused_by_deadline),
        (1, 0, 0)
    );
}
