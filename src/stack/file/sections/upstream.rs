//! `providers` and `upstreams`: what requests can be sent to.

use super::{
    quota::{QUOTA, QuotaDraft},
    retry::{RETRY, RetryDraft},
};
use crate::{
    cost::Price,
    money::Money,
    signal::Dialect,
    stack::{
        file::{
            field::{Draft, Field, Form, Table},
            reading::Spot,
            section::Part,
        },
        presets,
    },
};

/// A provider, as the file has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderDraft {
    pub(crate) preset: Option<&'static str>,
    pub(crate) base_url: Option<(String, Spot)>,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) key_env: Option<(String, Spot)>,
    pub(crate) api_version: Option<(String, Spot)>,
    pub(crate) local: bool,
    pub(crate) quota: Option<QuotaDraft>,
    pub(crate) spot: Spot,
}

/// Models of a provider, as the file has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamDraft {
    pub(crate) provider: Option<(String, Spot)>,
    pub(crate) models: Option<Vec<(String, Spot)>>,
    pub(crate) quota: Option<QuotaDraft>,
    pub(crate) retry: Option<RetryDraft>,
    pub(crate) price: Option<PriceDraft>,
    pub(crate) context_tokens: Option<u64>,
    pub(crate) weight: Option<u32>,
    pub(crate) spot: Spot,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PriceDraft {
    input: Money,
    cached_input: Option<Money>,
    cache_write: Option<Money>,
    output: Money,
}

pub(crate) const PROVIDER: Table<ProviderDraft> = Table(
    "provider",
    &[&[
        Field::new(
            "preset",
            "The known provider that this one is. Default: the one of its name, where there is one.",
            &[Form::OneOf(
                "a known provider",
                preset_names,
                |provider, name| provider.preset = Some(name),
            )],
        ),
        Field::new(
            "base_url",
            "The URL that request paths are put below. Default: that of the preset.",
            &[Form::Text(
                "a URL, such as \"https://api.example.com/v1\"",
                |provider, text, spot| {
                    provider.base_url = Some((text.into(), spot));
                },
            )],
        ),
        Field::new(
            "key_env",
            "The variable of the environment that holds the key. Default: that of the preset at its own URL, elsewhere none.",
            &[Form::Variable(|provider, name, spot| {
                provider.key_env = Some((name.into(), spot));
            })],
        ),
        Field::new(
            "dialect",
            "How its answers are read. Default: that of the preset, or \"openai\".",
            &[Form::OneOf(
                "the name of a dialect, such as \"openai\"",
                dialects,
                |provider, name| {
                    provider.dialect = Dialect::from_name(name);
                },
            )],
        ),
        Field::new(
            "api_version",
            "The version of Azure's API, such as \"2024-10-21\".",
            &[Form::Text(
                "a version, such as \"2024-10-21\"",
                |provider, text, spot| {
                    provider.api_version = Some((text.into(), spot));
                },
            )],
        ),
        Field::new(
            "local",
            "Whether it runs on hardware of your own. Default: as the preset, else false.",
            &[Form::Flag(|provider, flag| provider.local = flag)],
        ),
        Field::new(
            "quota",
            "What the whole account is granted, over all models.",
            &[Form::Table(&Part(QUOTA, |provider: &mut ProviderDraft| {
                provider.quota.get_or_insert_default()
            }))],
        ),
    ]],
);

pub(crate) const UPSTREAM: Table<UpstreamDraft> = Table(
    "upstream",
    &[&[
        Field::required(
            "provider",
            "The name of a provider of this file, or of a known one.",
            &[Form::Text(
                "the name of a provider, such as \"openai\"",
                |upstream, text, spot| {
                    upstream.provider = Some((text.into(), spot));
                },
            )],
        ),
        Field::new(
            "models",
            "Its models, in the order in which they are asked. Default: those of the preset, the most able first.",
            &[Form::List(&[Form::Text(
                "the name of a model",
                |upstream, text, spot| {
                    let models = upstream.models.get_or_insert_default();
                    models.push((text.into(), spot));
                },
            )])],
        ),
        Field::new(
            "quota",
            "What each of these models is granted.",
            &[Form::Table(&Part(QUOTA, |upstream: &mut UpstreamDraft| {
                upstream.quota.get_or_insert_default()
            }))],
        ),
        Field::new(
            "retry",
            "How each of these models is retried. Default, also for what is not said here: as the file's `retry` says.",
            &[
                Form::Word("off", |upstream| {
                    upstream.retry.get_or_insert_default().is_off = true;
                }),
                Form::Table(&Part(RETRY, |upstream: &mut UpstreamDraft| {
                    upstream.retry.get_or_insert_default()
                })),
            ],
        ),
        Field::new(
            "price",
            "What a million tokens of these models cost. Default: what is known of them, at the provider's own URL.",
            &[Form::Table(&Part(PRICE, |upstream: &mut UpstreamDraft| {
                upstream.price.get_or_insert_default()
            }))],
        ),
        Field::new(
            "weight",
            "With the strategy \"weighted\": the share of each of these models. Default: 1.",
            &[Form::Count(0, 1_000_000, |upstream, count| {
                upstream.weight = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "context_tokens",
            "The size of their context, input and output together. Default: what is known of them, at the provider's own URL.",
            &[Form::Count(1, u64::MAX, |upstream, count| {
                upstream.context_tokens = Some(count);
            })],
        ),
    ]],
);

const PRICE: Table<PriceDraft> = Table(
    "price",
    &[&[
        Field::required(
            "input",
            "A million tokens of prompts.",
            &[Form::Money(|price, money| price.input = money)],
        ),
        Field::new(
            "cached_input",
            "A million tokens of prompts out of the provider's cache. Default: as much as others.",
            &[Form::Money(|price, money| price.cached_input = Some(money))],
        ),
        Field::new(
            "cache_write",
            "A million tokens of prompts into the provider's cache. Default: as much as others.",
            &[Form::Money(|price, money| price.cache_write = Some(money))],
        ),
        Field::required(
            "output",
            "A million tokens of answers.",
            &[Form::Money(|price, money| price.output = money)],
        ),
    ]],
);

impl PriceDraft {
    pub(crate) fn build(self) -> Price {
        let mut price = Price::default().input(self.input).output(self.output);
        if let Some(cached) = self.cached_input {
            price = price.cached_input(cached);
        }
        if let Some(written) = self.cache_write {
            price = price.cache_write(written);
        }
        price
    }
}

impl Draft for ProviderDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.spot = spot;
    }
}

impl Draft for UpstreamDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.spot = spot;
    }
}

impl Draft for PriceDraft {}

fn preset_names() -> Vec<&'static str> {
    presets::providers().map(|preset| preset.name).collect()
}

fn dialects() -> Vec<&'static str> {
    Dialect::names().collect()
}
