//! A builder out of what the file says: models of its providers as upstreams, and the policies.

use std::collections::HashSet;

use super::{
    providers::{Providers, Variables},
    reading::Reading,
    sections::{StackDraft, UpstreamDraft},
    show,
};
use crate::{
    retry::RetryPolicy,
    stack::{builder::StackBuilder, handle::Stack, strategy},
    upstream::Upstream,
};

pub(super) fn assemble(
    draft: StackDraft,
    variables: Variables<'_>,
    reading: &mut Reading<'_>,
) -> StackBuilder {
    let mut providers = Providers::new(&draft.providers, variables);
    // Those of which no upstream is listed are looked at as well: what is wrong with them is told before they are used.
    for (name, provider) in &draft.providers {
        providers.find(name, &provider.spot, reading);
    }
    let retry = draft.retry.build(RetryPolicy::llm(), reading);
    let mut builder = Stack::builder();
    let mut listed = HashSet::new();
    for upstream in &draft.upstreams {
        let own_retry = upstream.retry.as_ref();
        let own_retry = own_retry.map(|own| own.build(retry.clone(), reading));
        for upstream in upstreams(upstream, &mut providers, &mut listed, reading) {
            if let Some(retry) = &own_retry {
                builder = builder.retry_for(upstream.id(), retry.clone());
            }
            builder = builder.upstream(upstream);
        }
    }
    for (provider, variable) in providers.variables_used() {
        builder = builder.key_from(provider.as_str().into(), variable);
    }
    let order = draft.strategy.and_then(strategy::named);
    let fallback = draft.fallback.clone();
    builder = builder
        .fallback(move |chain| {
            let chain = fallback.apply(chain);
            order
                .into_iter()
                .fold(chain, |chain, order| chain.order(order))
        })
        .retry(retry)
        .circuit_breaker(draft.circuit_breaker.build(reading))
        .intake(draft.intake.build())
        .provider(draft.answers.build());
    let limiters = draft.rate_limit.iter().flat_map(|first| {
        let more = first.and.iter();
        [first].into_iter().chain(more)
    });
    for limiter in limiters {
        if let Some((limiter, quotas)) = limiter.build(reading) {
            builder = builder.add_limiter(limiter, false, quotas);
        }
    }
    builder
}

/// The models of one entry. One that the file names must not be listed yet: its quota would count for nothing. Of those of a preset
/// the ones that are listed stay as they are.
fn upstreams(
    draft: &UpstreamDraft,
    providers: &mut Providers<'_>,
    listed: &mut HashSet<String>,
    reading: &mut Reading<'_>,
) -> Vec<Upstream> {
    let quota = draft.quota.as_ref().map(|quota| quota.build(reading));
    let Some((name, spot)) = &draft.provider else {
        return Vec::new();
    };
    let Some(made) = providers.find(name, spot, reading) else {
        return Vec::new();
    };
    let models: Vec<&str> = match (&draft.models, made.preset) {
        (Some(models), _) => models.iter().map(|(model, _)| model.as_str()).collect(),
        (None, Some(preset)) => preset.models().map(|model| model.name).collect(),
        (None, None) => Vec::new(),
    };
    let mut is_new = |model: &str| listed.insert(format!("{name}/{model}"));
    for (model, spot) in draft.models.iter().flatten() {
        if !is_new(model) {
            let found = show::text(&format!("{name}/{model}"));
            reading.wrong_at(
                spot,
                format!("expected each model once, found {found} again"),
            );
        }
    }
    let at_models = draft.spot.key("models");
    if models.is_empty() && !reading.has(&at_models) {
        let problem = "is missing; no model of this provider is known: expected a list of models";
        reading.wrong_at(&at_models, problem);
    }
    let models = models
        .into_iter()
        .filter(|model| draft.models.is_some() || is_new(model));
    let upstreams = models.filter_map(|model| {
        let mut upstream = made.provider.model(model);
        if let Some(quota) = &quota {
            upstream = upstream.quota(quota.clone()).ok()?;
        }
        if let Some(price) = draft.price {
            upstream = upstream.price(price.build());
        }
        if let Some(weight) = draft.weight {
            upstream = upstream.weight(weight);
        }
        if let Some(tokens) = draft.context_tokens {
            upstream = upstream.context_tokens(tokens);
        }
        Some(upstream)
    });
    upstreams.collect()
}
