//! What is known of one provider, and of one model.

use crate::{
    cost::Price,
    money::Money,
    signal::Dialect,
    upstream::{Provider, Upstream},
};

/// A provider, as it is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderPreset {
    /// Its name, in upstreams and in configuration files.
    pub name: &'static str,
    /// The environment variable that commonly holds its key; `None` where it wants none.
    pub key_variable: Option<&'static str>,
    /// A date on which it answered no longer.
    pub retired: Option<&'static str>,
    pub(super) service: Service,
    pub(super) models: &'static [ModelPreset],
}

/// A model of a provider, as it is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModelPreset {
    /// Its name, as requests carry it.
    pub name: &'static str,
    /// The size of its context in tokens, input and output together.
    pub context_tokens: Option<u64>,
    /// A date on which it was no longer served.
    pub retired: Option<&'static str>,
    /// Whether only who names it asks it.
    pub(super) by_name: bool,
    pub(super) listed: Option<Listed>,
}

/// A price, in millionths of a US dollar for a million tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) input: u64,
    pub(super) cached_input: u64,
    pub(super) output: u64,
    /// The date on which it was looked up.
    pub(super) on: &'static str,
}

/// How its [`Provider`] is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    /// One that this crate has.
    Own(fn() -> Provider),
    /// One that speaks the OpenAI format below this URL.
    At(&'static str, Dialect),
    /// One that has another URL for each customer.
    PerCustomer,
}

impl ProviderPreset {
    /// The provider, without a key. `None` for Azure, where each customer has a URL of his own: see [`Provider::azure`].
    pub fn provider(&self) -> Option<Provider> {
        match self.service {
            Service::Own(make) => Some(make()),
            Service::At(url, dialect) => {
                let provider = Provider::new(self.name, url).ok()?;
                Some(provider.dialect(dialect))
            }
            Service::PerCustomer => None,
        }
    }

    /// The models to ask where nobody names one, in the order in which to fall back: the most able first. Retired ones are not
    /// among them, nor those that are served beside their successor or cost several times as much as the others.
    pub fn models(&self) -> impl Iterator<Item = &'static ModelPreset> {
        let asked = |model: &&ModelPreset| model.retired.is_none() && !model.by_name;
        self.models.iter().filter(asked)
    }

    /// The model of this name, be it one to ask or not, and retired ones too.
    pub fn model(&self, name: &str) -> Option<&'static ModelPreset> {
        self.models.iter().find(|model| model.name == name)
    }
}

impl ModelPreset {
    /// What its tokens cost, in US dollars.
    pub fn price(&self) -> Option<Price> {
        let listed = self.listed?;
        let dollars = |millionths: u64| Money::from_nanos(millionths * 1_000);
        let price = Price::default()
            .input(dollars(listed.input))
            .cached_input(dollars(listed.cached_input))
            .output(dollars(listed.output));
        Some(price)
    }

    /// The date on which the price was looked up.
    pub fn priced_on(&self) -> Option<&'static str> {
        Some(self.listed?.on)
    }

    /// The upstream with what is known of it; what it has of its own stays.
    pub(super) fn complete(&self, mut upstream: Upstream) -> Upstream {
        if let (None, Some(price)) = (upstream.own_price(), self.price()) {
            upstream = upstream.price(price);
        }
        if let (None, Some(tokens)) = (upstream.context(), self.context_tokens) {
            upstream = upstream.context_tokens(tokens);
        }
        upstream
    }
}
