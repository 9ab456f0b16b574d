//! What was understood, in words.

use std::{collections::BTreeMap, sync::Arc};

use super::presets;
use crate::{
    circuit_breaker::CircuitBreaker,
    cost::Price,
    fallback::Chain,
    rate_limit::RateLimiter,
    retry::RetryPolicy,
    upstream::{Provider, Upstream},
};

/// What a stack is made of.
pub(super) struct Parts<'a> {
    pub(super) chain: &'a Chain,
    pub(super) retry: &'a RetryPolicy,
    pub(super) breaker: &'a CircuitBreaker,
    pub(super) limiters: &'a [RateLimiter],
    /// The variables that the keys of providers were read from.
    pub(super) keys: &'a BTreeMap<Arc<str>, String>,
}

/// A paragraph for each part.
pub(super) fn explain(parts: &Parts<'_>) -> String {
    let mut lines = Vec::new();
    let upstreams = parts.chain.listed();
    match upstreams {
        [] => lines.push("upstreams: none; requests go where they say".to_owned()),
        _ => lines.push("upstreams:".to_owned()),
    }
    for (place, upstream) in (1..).zip(upstreams) {
        lines.push(format!(
            "  {place}. {upstream}, at {}",
            upstream.provider().url()
        ));
        lines.extend(facts(upstream, parts.keys).map(|fact| format!("     {fact}")));
    }
    let mut section = |name: &str, facts: Vec<String>| {
        lines.push(format!("{name}:"));
        lines.extend(facts.into_iter().map(|fact| format!("  {fact}")));
    };
    if !upstreams.is_empty() {
        section("fallback", parts.chain.in_words());
    }
    section("retry", parts.retry.in_words());
    section("circuit breaker", parts.breaker.policy().in_words());
    section(
        "rate limit",
        parts.limiters.iter().map(RateLimiter::in_words).collect(),
    );
    lines.join("\n") + "\n"
}

fn facts(upstream: &Upstream, keys: &BTreeMap<Arc<str>, String>) -> impl Iterator<Item = String> {
    let provider = upstream.provider();
    let quota = upstream.own_quota().map(|quota| quota.in_words());
    let quota = quota.filter(|quota| !quota.is_empty());
    let of_account = provider.own_quota().map(|quota| quota.in_words());
    let of_account = of_account.filter(|quota| !quota.is_empty());
    [
        Some(key(provider, keys)),
        quota.map(|quota| format!("quota: {quota}")),
        of_account.map(|quota| format!("quota of the whole account: {quota}")),
        upstream
            .own_price()
            .map(|price| price_in_words(price, upstream)),
        upstream
            .context()
            .map(|tokens| format!("context: {tokens} tokens")),
        Some(upstream.share())
            .filter(|share| *share != 1)
            .map(|share| format!("weight: {share}")),
        retired(upstream),
    ]
    .into_iter()
    .flatten()
}

fn key(provider: &Provider, keys: &BTreeMap<Arc<str>, String>) -> String {
    match (keys.get(provider.name()), provider.credentials()) {
        (Some(name), Some(_)) => format!("key: from {name}"),
        (None, Some(_)) => "key: set in the program".into(),
        (_, None) => "key: none".into(),
    }
}

fn price_in_words(price: &Price, upstream: &Upstream) -> String {
    let known = presets::model_of(upstream).filter(|model| model.price().as_ref() == Some(price));
    let date = known.and_then(presets::ModelPreset::priced_on);
    let date = date.map_or_else(String::new, |date| format!(", as listed on {date}"));
    format!("price: {}{date}", price.in_words())
}

fn retired(upstream: &Upstream) -> Option<String> {
    if let Some(date) = presets::retirement_of_provider(upstream) {
        return Some(format!("beware: the provider answered no longer on {date}"));
    }
    let date = presets::model_of(upstream)?.retired?;
    Some(format!(
        "beware: the provider served this model no longer on {date}"
    ))
}
