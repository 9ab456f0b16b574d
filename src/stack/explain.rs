//! What was understood, in words.

use std::{collections::BTreeMap, sync::Arc};

use super::{presets, quotas::Quotas};
use crate::{
    circuit_breaker::CircuitBreaker,
    cost::Price,
    fallback::Chain,
    rate_limit::RateLimiter,
    retry::RetryLayer,
    upstream::{Provider, Upstream},
};

/// What a stack is made of.
pub(super) struct Parts<'a> {
    /// None where there are no upstreams.
    pub(super) chain: Option<&'a Chain>,
    pub(super) retry: &'a RetryLayer,
    pub(super) breaker: &'a CircuitBreaker,
    pub(super) limiters: &'a [RateLimiter],
    /// The variables that the keys of providers were read from.
    pub(super) keys: &'a BTreeMap<Arc<str>, String>,
    /// Those that it was built with, with the keys that were read.
    pub(super) built: &'a [Upstream],
}

/// A paragraph for each part.
pub(super) fn explain(parts: &Parts<'_>) -> String {
    let mut lines = Vec::new();
    let upstreams = parts.chain.map_or(&[][..], Chain::listed);
    match upstreams {
        [] => lines.push("upstreams: none; requests go where they say".to_owned()),
        _ => lines.push("upstreams:".to_owned()),
    }
    let quotas = Quotas::of(parts.limiters);
    for (place, upstream) in (1..).zip(upstreams) {
        lines.push(format!(
            "  {place}. {upstream}, at {}",
            upstream.provider().url()
        ));
        let facts = facts(upstream, parts, &quotas);
        lines.extend(facts.map(|fact| format!("     {fact}")));
    }
    let mut section = |name: &str, facts: Vec<String>| {
        lines.push(format!("{name}:"));
        lines.extend(facts.into_iter().map(|fact| format!("  {fact}")));
    };
    if let Some(chain) = parts.chain {
        section("fallback", chain.in_words());
    }
    section("retry", parts.retry.policy().in_words());
    section("circuit breaker", parts.breaker.policy().in_words());
    let limiters = parts.limiters.iter().zip(&quotas.set);
    let limiters = limiters.flat_map(|(limiter, quotas)| {
        let quotas = quotas.iter().map(|(key, quota)| {
            let key = if key.is_empty() {
                "requests without a key"
            } else {
                key
            };
            match quota.in_words() {
                words if words.is_empty() => format!("  set for {key}: no limits"),
                words => format!("  set for {key}: {words}"),
            }
        });
        let more = quotas.len().saturating_sub(MOST_KEYS);
        let more = (more > 0).then(|| format!("  and for {more} more"));
        let words = std::iter::once(limiter.in_words());
        words.chain(quotas.take(MOST_KEYS)).chain(more)
    });
    section("rate limit", limiters.collect());
    lines.join("\n") + "\n"
}

fn facts(
    upstream: &Upstream,
    parts: &Parts<'_>,
    quotas: &Quotas<'_>,
) -> impl Iterator<Item = String> {
    let provider = upstream.provider();
    let quota = quotas.over(
        RateLimiter::goes_by_upstreams,
        upstream.id(),
        upstream.own_quota(),
    );
    let of_account = quotas.over(
        RateLimiter::goes_by_providers,
        provider.name(),
        provider.own_quota(),
    );
    [
        Some(key(provider, parts)),
        quota.map(|quota| format!("quota: {quota}")),
        of_account.map(|quota| format!("quota of the whole account: {quota}")),
        own_retry(upstream, parts.retry),
        upstream
            .own_price()
            .map(|price| price_in_words(price, upstream)),
        quotas.uncounted(upstream).map(|limit| {
            format!("beware: its price is not known, and `{limit}` counts nothing of it")
        }),
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

/// What of an upstream's own policy is other than of all.
fn own_retry(upstream: &Upstream, retry: &RetryLayer) -> Option<String> {
    let (mut own, of_all) = (
        retry.own_policy(upstream)?.in_words(),
        retry.policy().in_words(),
    );
    own.retain(|words| !of_all.contains(words));
    (!own.is_empty()).then(|| format!("retry: {}", own.join("; ")))
}

fn key(provider: &Provider, parts: &Parts<'_>) -> String {
    let Some(key) = provider.credentials() else {
        return "key: none".into();
    };
    let read = parts.built.iter().map(Upstream::provider);
    let read = read.filter(|it| it.name() == provider.name());
    let is_as_read = read
        .filter_map(Provider::credentials)
        .any(|it| it.key == key.key);
    match parts.keys.get(provider.name()) {
        Some(variable) if is_as_read => format!("key: from {variable}"),
        _ => "key: set in the program".into(),
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

/// A limiter may know a tenant each of a million; so many are read.
const MOST_KEYS: usize = 20;
