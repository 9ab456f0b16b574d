//! One of every kind of event, for tests, with what its line says.

use std::time::Duration;

use super::{End, Event, LimitUse, Receipt};
use crate::{
    Cost, Money,
    error::{PassedBy, Patience, RefusalReason, WhyNot},
    outcome::{Dimension, Failure, FailureKind, RefusedBy, Usage},
};

/// Shows every example to the observer.
pub(super) fn with_events(mut show: impl FnMut(&Event<'_>)) {
    let wait = Duration::from_millis(3_250);
    let failure = Failure::new(FailureKind::RateLimited)
        .with_retry_after(Duration::from_secs(20))
        .with_message("the key sk-secret of org-secret");
    let failure = &failure;
    let limits = &[LimitUse::new(
        Dimension::Tokens,
        12_000,
        Duration::from_secs(60),
        9_000,
    )];
    let mut receipt = Receipt::new("groq/m", End::Answered);
    (receipt.provider, receipt.model) = ("groq", "m");
    (receipt.operation, receipt.is_stream) = ("chat", true);
    receipt.status = Some(200);
    receipt.head_after = Some(Duration::from_millis(100));
    receipt.content_after = Some(Duration::from_millis(150));
    receipt.took = Duration::from_millis(900);
    receipt.usage = Usage {
        input_tokens: Some(7),
        cached_tokens: Some(4),
        output_tokens: Some(2),
        total_tokens: Some(9),
        ..Usage::default()
    };
    receipt.money = Some(Money::from_nanos(1_500));
    receipt.is_truncated = true;
    let ends = [
        End::Failed(FailureKind::ServerError),
        End::Broken,
        End::Cancelled,
    ];
    let ends = ends.map(|end| Receipt::new("groq/m", end));
    let cooling = WhyNot::CoolingDown(FailureKind::RateLimited);
    let open = WhyNot::WouldRefuse(RefusedBy::Circuit);
    let passed_by = [
        PassedBy::new("groq/m", cooling, Some(wait)),
        PassedBy::new("openai/n", open, None),
    ];
    for event in [
        Event::Admitted {
            key: "groq/m",
            waited: wait,
            limits,
        },
        Event::Queued {
            key: "groq/m",
            limit: "12000 tokens per 60s",
            wait,
        },
        Event::Left {
            key: "groq/m",
            waited: wait,
        },
        Event::Refused {
            key: "groq/m",
            reason: RefusalReason::WaitTooLong,
            limit: "",
            wait: Some(wait),
            patience: Some(Patience::Deadline(Duration::from_secs(2))),
        },
        Event::Refused {
            key: "groq/m",
            reason: RefusalReason::TooLarge,
            limit: "12000 tokens per 60s",
            wait: None,
            patience: None,
        },
        Event::DeadlineExceeded {
            layer: "retry",
            upstream: "groq/m",
            late: wait,
        },
        Event::Shadowed {
            key: "groq/m",
            limit: "12000 tokens per 60s",
            wait,
        },
        Event::Settled {
            key: "groq/m",
            reserved: Cost::tokens(10, 100).with_money(Money::from_cents(5)),
            used: Cost::tokens(9, 40).with_money(Money::from_nanos(1_500)),
        },
        Event::Learned {
            key: "groq/m",
            dimension: Dimension::Requests,
            per: Some(Duration::from_secs(86_400)),
            amount: Some(14_400),
            remaining: 14_370,
            is_new: true,
        },
        Event::Learned {
            key: "groq/m",
            dimension: Dimension::Tokens,
            per: None,
            amount: None,
            remaining: 3,
            is_new: false,
        },
        Event::Paused {
            key: "groq/m",
            wait,
        },
        Event::Retrying {
            upstream: "groq/m",
            attempt: 1,
            wait,
            failure,
        },
        Event::GaveUp {
            upstream: "groq/m",
            attempts: 3,
            failure,
            reason: "the last attempt",
        },
        Event::Opened {
            key: "groq/m",
            wait: Some(wait),
            reason: "failure rate",
        },
        Event::Opened {
            key: "groq/m",
            wait: None,
            reason: "forced open",
        },
        Event::HalfOpened {
            key: "groq/m",
            reason: "its time is over",
        },
        Event::Closed {
            key: "groq/m",
            reason: "probes succeeded",
        },
        Event::Disabled { key: "groq/m" },
        Event::CoolingDown {
            upstream: "groq/m",
            wait,
            kind: FailureKind::QuotaExhausted,
        },
        Event::Switched {
            from: "groq/m",
            to: "openai/n",
            failure,
        },
        Event::Exhausted {
            attempts: 3,
            is_rate_limited: true,
            retry_after: Some(wait),
            passed_by: &passed_by,
        },
        Event::Exhausted {
            attempts: 0,
            is_rate_limited: false,
            retry_after: None,
            passed_by: &[],
        },
        Event::Ended(&receipt),
        Event::Ended(&ends[0]),
        Event::Ended(&ends[1]),
        Event::Ended(&ends[2]),
    ] {
        show(&event);
    }
}

/// The name of each example, and its fields as JSON.
pub(super) fn examples() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "admitted",
            r#"{"key":"groq/m","waited_s":3.25,"limits":[{"limit":"12000 tokens per 60s","capacity":12000,"used":9000}]}"#,
        ),
        (
            "queued",
            r#"{"key":"groq/m","limit":"12000 tokens per 60s","wait_s":3.25}"#,
        ),
        ("left", r#"{"key":"groq/m","waited_s":3.25}"#),
        (
            "refused",
            r#"{"key":"groq/m","reason":"wait_too_long","limit":"","wait_s":3.25,"patience":"deadline","patience_s":2}"#,
        ),
        (
            "refused",
            r#"{"key":"groq/m","reason":"too_large","limit":"12000 tokens per 60s"}"#,
        ),
        (
            "deadline_exceeded",
            r#"{"layer":"retry","upstream":"groq/m","late_s":3.25}"#,
        ),
        (
            "shadowed",
            r#"{"key":"groq/m","limit":"12000 tokens per 60s","wait_s":3.25}"#,
        ),
        (
            "settled",
            r#"{"key":"groq/m","reserved_input_tokens":10,"reserved_output_tokens":100,"reserved_money":0.05,"input_tokens":9,"output_tokens":40,"money":0.0000015}"#,
        ),
        (
            "learned",
            r#"{"key":"groq/m","dimension":"requests","per_s":86400,"amount":14400,"remaining":14370,"is_new":true}"#,
        ),
        (
            "learned",
            r#"{"key":"groq/m","dimension":"tokens","remaining":3,"is_new":false}"#,
        ),
        ("paused", r#"{"key":"groq/m","wait_s":3.25}"#),
        (
            "retrying",
            r#"{"upstream":"groq/m","attempt":1,"wait_s":3.25,"failure":"rate_limited","retry_after_s":20}"#,
        ),
        (
            "gave_up",
            r#"{"upstream":"groq/m","attempts":3,"reason":"the last attempt","failure":"rate_limited","retry_after_s":20}"#,
        ),
        (
            "opened",
            r#"{"key":"groq/m","reason":"failure rate","wait_s":3.25}"#,
        ),
        ("opened", r#"{"key":"groq/m","reason":"forced open"}"#),
        (
            "half_opened",
            r#"{"key":"groq/m","reason":"its time is over"}"#,
        ),
        ("closed", r#"{"key":"groq/m","reason":"probes succeeded"}"#),
        ("disabled", r#"{"key":"groq/m"}"#),
        (
            "cooling_down",
            r#"{"upstream":"groq/m","wait_s":3.25,"failure":"quota_exhausted"}"#,
        ),
        (
            "switched",
            r#"{"from":"groq/m","to":"openai/n","failure":"rate_limited","retry_after_s":20}"#,
        ),
        (
            "exhausted",
            r#"{"attempts":3,"is_rate_limited":true,"retry_after_s":3.25,"passed_by":"groq/m: cooling down (rate limited), again in 3.25s; openai/n: its circuit is open"}"#,
        ),
        ("exhausted", r#"{"attempts":0,"is_rate_limited":false}"#),
        (
            "ended",
            r#"{"upstream":"groq/m","provider":"groq","model":"m","operation":"chat","is_stream":true,"end":"answered","status":200,"head_s":0.1,"content_s":0.15,"took_s":0.9,"input_tokens":7,"cached_tokens":4,"output_tokens":2,"total_tokens":9,"money":0.0000015,"is_truncated":true}"#,
        ),
        (
            "ended",
            r#"{"upstream":"groq/m","provider":"","model":"","operation":"","is_stream":false,"end":"failed","failure":"server_error","took_s":0,"is_truncated":false}"#,
        ),
        (
            "ended",
            r#"{"upstream":"groq/m","provider":"","model":"","operation":"","is_stream":false,"end":"broken","took_s":0,"is_truncated":false}"#,
        ),
        (
            "ended",
            r#"{"upstream":"groq/m","provider":"","model":"","operation":"","is_stream":false,"end":"cancelled","took_s":0,"is_truncated":false}"#,
        ),
    ]
}
