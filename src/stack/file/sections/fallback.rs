//! `fallback`: when to turn to the next upstream, and how long one is left alone.

use std::time::Duration;

use crate::{
    fallback::{Chain, WhenExhausted},
    outcome::FailureKind,
    stack::file::{
        field::{Draft, Field, Form, Table},
        section::Item,
    },
};

#[derive(Clone, Debug, Default)]
pub(crate) struct FallbackDraft {
    cooldown: Option<Duration>,
    max_attempts: Option<u32>,
    max_wait: Option<Duration>,
    when_exhausted: Option<WhenExhausted>,
    fall_back_on: Vec<FailureKind>,
}

#[derive(Clone, Copy, Debug, Default)]
struct WaitDraft(Duration);

pub(super) const FALLBACK: Table<FallbackDraft> = Table(
    "fallback",
    &[&[
        Field::new(
            "cooldown",
            "How long an upstream is left alone after a failure that does not say how long. Default: \"5m\".",
            &[Form::Time(Duration::ZERO, |fallback, time| {
                fallback.cooldown = Some(time);
            })],
        ),
        Field::new(
            "max_attempts",
            "The most attempts for one request, retries included. Default: no cap.",
            &[Form::Count(1, u32::MAX as u64, |fallback, count| {
                fallback.max_attempts = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "max_wait",
            "The longest that a request waits in line at one upstream while another would take it sooner. Default: \"2s\".",
            &[Form::Time(Duration::ZERO, |fallback, time| {
                fallback.max_wait = Some(time);
            })],
        ),
        Field::new(
            "when_exhausted",
            "What becomes of a request that finds every upstream cooling down: it is sent to one that named no time, fails, is sent anyway, or waits. Default: \"probe\".",
            &[
                Form::Word("probe", |fallback| {
                    fallback.when_exhausted = Some(WhenExhausted::Probe);
                }),
                Form::Word("fail", |fallback| {
                    fallback.when_exhausted = Some(WhenExhausted::Fail);
                }),
                Form::Word("try-anyway", |fallback| {
                    fallback.when_exhausted = Some(WhenExhausted::TryAnyway);
                }),
                Form::Table(&Item(
                    WAIT,
                    |fallback: &mut FallbackDraft, wait: WaitDraft| {
                        fallback.when_exhausted = Some(WhenExhausted::Wait { max: wait.0 });
                    },
                )),
            ],
        ),
        Field::new(
            "fall_back_on",
            "Kinds of failure on which to turn to the next as well. Default: none.",
            &[Form::List(&[Form::OneOf(
                "a kind of failure that another upstream could answer better",
                kinds,
                |fallback, name| {
                    fallback.fall_back_on.extend(FailureKind::from_name(name));
                },
            )])],
        ),
    ]],
);

const WAIT: Table<WaitDraft> = Table(
    "wait",
    &[&[Field::required(
        "wait",
        "The longest wait for the soonest to be back.",
        &[Form::Time(Duration::ZERO, |wait, time| wait.0 = time)],
    )]],
);

impl FallbackDraft {
    pub(crate) fn apply(&self, mut chain: Chain) -> Chain {
        if let Some(time) = self.cooldown {
            chain = chain.cooldown(time);
        }
        if let Some(attempts) = self.max_attempts {
            chain = chain.max_attempts(attempts);
        }
        if let Some(wait) = self.max_wait {
            chain = chain.max_wait(wait);
        }
        if let Some(choice) = self.when_exhausted {
            chain = chain.when_exhausted(choice);
        }
        self.fall_back_on
            .iter()
            .fold(chain, |chain, kind| chain.fall_back_on(*kind))
    }
}

impl Draft for FallbackDraft {}

impl Draft for WaitDraft {}

/// Those of which the chain knows something to do.
fn kinds() -> Vec<&'static str> {
    let kinds = FailureKind::ALL.iter().filter(|kind| kind.fall_back());
    kinds.map(|kind| kind.as_str()).collect()
}
