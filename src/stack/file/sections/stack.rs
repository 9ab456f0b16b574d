//! The whole file.

use std::collections::BTreeMap;

use super::{
    answers::{ANSWERS, AnswersDraft},
    circuit_breaker::{CIRCUIT_BREAKER, CircuitBreakerDraft},
    fallback::{FALLBACK, FallbackDraft},
    intake::{INTAKE, IntakeDraft},
    limiter::{LimiterDraft, RATE_LIMIT},
    retry::{RETRY, RetryDraft},
    upstream::{PROVIDER, ProviderDraft, UPSTREAM, UpstreamDraft},
};
use crate::stack::{
    file::{
        field::{Draft, Field, Form, Table},
        reading::Spot,
        section::{Item, Named, Part},
    },
    presets, strategy,
};

/// A stack, as the file has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StackDraft {
    pub(crate) strategy: Option<&'static str>,
    pub(crate) providers: BTreeMap<String, ProviderDraft>,
    pub(crate) upstreams: Vec<UpstreamDraft>,
    pub(crate) fallback: FallbackDraft,
    pub(crate) retry: RetryDraft,
    pub(crate) circuit_breaker: CircuitBreakerDraft,
    pub(crate) rate_limit: Option<LimiterDraft>,
    pub(crate) intake: IntakeDraft,
    pub(crate) answers: AnswersDraft,
}

pub(crate) const STACK: Table<StackDraft> = Table(
    "stack",
    &[&[
        Field::new(
            "strategy",
            "Whom to ask first. Default: \"quality-first\", in the order of the list.",
            &[Form::OneOf("a strategy", strategy::names, |stack, name| {
                stack.strategy = Some(name);
            })],
        ),
        Field::new(
            "upstreams",
            "Models of providers, in the order in which they are asked; or a known order of providers with the models that they \
         serve. Without upstreams, requests go where they say.",
            &[
                Form::List(&[Form::Table(&Item(
                    UPSTREAM,
                    |stack: &mut StackDraft, upstream| stack.upstreams.push(upstream),
                ))]),
                Form::Word("groq-first", |stack| stack.known_order("groq")),
                Form::Word("openai-first", |stack| stack.known_order("openai")),
                Form::Word("anthropic-first", |stack| stack.known_order("anthropic")),
            ],
        ),
        Field::new(
            "providers",
            "Providers by their names: those that are not known, and what is other than known of those that are.",
            &[Form::Table(&Named(
                PROVIDER,
                None,
                |stack: &mut StackDraft, name, provider| {
                    stack.providers.insert(name.into(), provider);
                },
            ))],
        ),
        Field::new(
            "fallback",
            "When to turn to the next upstream, and how long one is left alone.",
            &[Form::Table(&Part(FALLBACK, |stack: &mut StackDraft| {
                &mut stack.fallback
            }))],
        ),
        Field::new(
            "retry",
            "What is repeated at the same upstream.",
            &[
                Form::Word("off", |stack| stack.retry.is_off = true),
                Form::Table(&Part(RETRY, |stack: &mut StackDraft| &mut stack.retry)),
            ],
        ),
        Field::new(
            "circuit_breaker",
            "When an upstream is held to be down.",
            &[
                Form::Word("off", |stack| stack.circuit_breaker.is_off = true),
                Form::Table(&Part(CIRCUIT_BREAKER, |stack: &mut StackDraft| {
                    &mut stack.circuit_breaker
                })),
            ],
        ),
        Field::new(
            "rate_limit",
            "What is sent per period, and how long others wait.",
            &[Form::Table(&Part(RATE_LIMIT, |stack: &mut StackDraft| {
                stack.rate_limit.get_or_insert_default()
            }))],
        ),
        Field::new(
            "intake",
            "How requests are taken in.",
            &[Form::Table(&Part(INTAKE, |stack: &mut StackDraft| {
                &mut stack.intake
            }))],
        ),
        Field::new(
            "answers",
            "How answers are read.",
            &[Form::Table(&Part(ANSWERS, |stack: &mut StackDraft| {
                &mut stack.answers
            }))],
        ),
    ]],
);

impl StackDraft {
    fn known_order(&mut self, first: &str) {
        let order = presets::fallback_order(first).unwrap_or_default();
        let upstreams = order.map(|name| UpstreamDraft {
            provider: Some((name.into(), Spot::default().key("upstreams"))),
            ..UpstreamDraft::default()
        });
        self.upstreams.extend(upstreams);
    }
}

impl Draft for StackDraft {}
