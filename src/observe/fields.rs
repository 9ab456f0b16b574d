//! What each event says, by fixed names: the one table behind log lines and records. `tracing`, whose names are fixed where it
//! is called, says the same; a test holds the two together.

use std::{borrow::Cow, time::Duration};

use super::{events::Event, limit_use::LimitUse, receipt::Receipt};
use crate::{
    cost::Cost,
    error::{PassedBy, RefusalReason},
    money::Money,
    outcome::Failure,
};

/// What a field of an event holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Field<'a> {
    /// Words.
    Text(Cow<'a, str>),
    /// A whole number.
    Count(u64),
    /// Yes or no.
    Flag(bool),
    /// A time; its field's name ends in `_s`, for it is written in seconds.
    Time(Duration),
    /// Money.
    Money(Money),
    /// How much of each limit is taken.
    Limits(Cow<'a, [LimitUse]>),
}

impl Field<'_> {
    pub(super) fn into_owned(self) -> Field<'static> {
        match self {
            Self::Text(text) => Field::Text(text.into_owned().into()),
            Self::Count(count) => Field::Count(count),
            Self::Flag(flag) => Field::Flag(flag),
            Self::Time(time) => Field::Time(time),
            Self::Money(money) => Field::Money(money),
            Self::Limits(limits) => Field::Limits(limits.into_owned().into()),
        }
    }
}

/// Takes one field after the other.
pub(super) type Visit<'v> = dyn FnMut(&'static str, Field<'_>) + 'v;

impl Event<'_> {
    /// Shows every field. What is not known has none, and neither have the words of upstreams and clients, which may carry
    /// what is secret.
    pub(super) fn visit(&self, visit: &mut Visit<'_>) {
        let text = |text| Field::Text(Cow::Borrowed(text));
        match *self {
            Self::Admitted {
                key,
                waited,
                limits,
            } => {
                visit("key", text(key));
                visit("waited_s", Field::Time(waited));
                visit("limits", Field::Limits(limits.into()));
            }
            Self::Queued { key, limit, wait } | Self::Shadowed { key, limit, wait } => {
                visit("key", text(key));
                visit("limit", text(limit));
                visit("wait_s", Field::Time(wait));
            }
            Self::Left { key, waited } => {
                visit("key", text(key));
                visit("waited_s", Field::Time(waited));
            }
            Self::Refused {
                key,
                reason,
                limit,
                wait,
                patience,
            } => {
                visit("key", text(key));
                visit("reason", text(reason_of(reason)));
                visit("limit", text(limit));
                optional(visit, "wait_s", wait.map(Field::Time));
                if let Some(patience) = patience {
                    visit("patience", text(patience.as_str()));
                    visit("patience_s", Field::Time(patience.time()));
                }
            }
            Self::DeadlineExceeded {
                layer,
                upstream,
                late,
            } => {
                visit("layer", text(layer));
                visit("upstream", text(upstream));
                visit("late_s", Field::Time(late));
            }
            Self::Settled {
                key,
                reserved,
                used,
            } => {
                visit("key", text(key));
                visit_cost(visit, RESERVED, reserved);
                visit_cost(visit, USED, used);
            }
            Self::Learned {
                key,
                dimension,
                per,
                amount,
                remaining,
                is_new,
            } => {
                visit("key", text(key));
                visit("dimension", text(dimension.as_str()));
                optional(visit, "per_s", per.map(Field::Time));
                optional(visit, "amount", amount.map(Field::Count));
                visit("remaining", Field::Count(remaining));
                visit("is_new", Field::Flag(is_new));
            }
            Self::Paused { key, wait } => {
                visit("key", text(key));
                visit("wait_s", Field::Time(wait));
            }
            Self::Retrying {
                upstream,
                attempt,
                wait,
                failure,
            } => {
                visit("upstream", text(upstream));
                visit("attempt", Field::Count(attempt.into()));
                visit("wait_s", Field::Time(wait));
                visit_failure(visit, failure);
            }
            Self::GaveUp {
                upstream,
                attempts,
                failure,
                reason,
            } => {
                visit("upstream", text(upstream));
                visit("attempts", Field::Count(attempts.into()));
                visit("reason", text(reason));
                visit_failure(visit, failure);
            }
            Self::Opened { key, wait, reason } => {
                visit("key", text(key));
                visit("reason", text(reason));
                optional(visit, "wait_s", wait.map(Field::Time));
            }
            Self::HalfOpened { key, reason } | Self::Closed { key, reason } => {
                visit("key", text(key));
                visit("reason", text(reason));
            }
            Self::Disabled { key } => visit("key", text(key)),
            Self::CoolingDown {
                upstream,
                wait,
                kind,
            } => {
                visit("upstream", text(upstream));
                visit("wait_s", Field::Time(wait));
                visit("failure", text(kind.as_str()));
            }
            Self::Switched { from, to, failure } => {
                visit("from", text(from));
                visit("to", text(to));
                visit_failure(visit, failure);
            }
            Self::Exhausted {
                attempts,
                is_rate_limited,
                retry_after,
                passed_by,
            } => {
                visit("attempts", Field::Count(attempts.into()));
                visit("is_rate_limited", Field::Flag(is_rate_limited));
                optional(visit, "retry_after_s", retry_after.map(Field::Time));
                let passed_by = in_words(passed_by);
                optional(
                    visit,
                    "passed_by",
                    passed_by.map(|it| Field::Text(it.into())),
                );
            }
            Self::Ended(receipt) => visit_receipt(visit, receipt),
        }
    }
}

fn visit_failure(visit: &mut Visit<'_>, failure: &Failure) {
    visit("failure", Field::Text(failure.kind.as_str().into()));
    optional(visit, "retry_after_s", failure.retry_after.map(Field::Time));
}

fn visit_cost(visit: &mut Visit<'_>, names: [&'static str; 3], cost: Cost) {
    visit(names[0], Field::Count(cost.input_tokens));
    visit(names[1], Field::Count(cost.output_tokens));
    visit(names[2], Field::Money(cost.money));
}

fn visit_receipt(visit: &mut Visit<'_>, receipt: &Receipt<'_>) {
    let usage = &receipt.usage;
    visit("upstream", Field::Text(receipt.upstream.into()));
    visit("provider", Field::Text(receipt.provider.into()));
    visit("model", Field::Text(receipt.model.into()));
    visit("operation", Field::Text(receipt.operation.into()));
    visit("is_stream", Field::Flag(receipt.is_stream));
    visit("end", Field::Text(receipt.end.as_str().into()));
    let failure = receipt.end.failure().map(|kind| kind.as_str().into());
    optional(visit, "failure", failure.map(Field::Text));
    let status = receipt.status.map(|status| Field::Count(status.into()));
    optional(visit, "status", status);
    optional(visit, "head_s", receipt.head_after.map(Field::Time));
    optional(visit, "content_s", receipt.content_after.map(Field::Time));
    visit("took_s", Field::Time(receipt.took));
    optional(visit, "input_tokens", usage.input_tokens.map(Field::Count));
    optional(
        visit,
        "cached_tokens",
        usage.cached_tokens.map(Field::Count),
    );
    optional(
        visit,
        "output_tokens",
        usage.output_tokens.map(Field::Count),
    );
    optional(visit, "total_tokens", usage.total_tokens.map(Field::Count));
    optional(visit, "money", receipt.money.map(Field::Money));
    visit("is_truncated", Field::Flag(receipt.is_truncated));
}

fn optional(visit: &mut Visit<'_>, name: &'static str, field: Option<Field<'_>>) {
    if let Some(field) = field {
        visit(name, field);
    }
}

/// Who was passed by and why, where anybody was: `groq/m: cooling down (rate limited), again in 12s; openai/n: its limit is used
/// up`.
pub(super) fn in_words(passed_by: &[PassedBy]) -> Option<String> {
    let words: Vec<_> = passed_by.iter().map(PassedBy::to_string).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Why a limiter refused, in snake case.
pub(super) fn reason_of(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::WaitTooLong => "wait_too_long",
        RefusalReason::QueueFull => "queue_full",
        RefusalReason::TooLarge => "too_large",
    }
}

const RESERVED: [&str; 3] = [
    "reserved_input_tokens",
    "reserved_output_tokens",
    "reserved_money",
];

const USED: [&str; 3] = ["input_tokens", "output_tokens", "money"];
