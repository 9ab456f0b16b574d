//! What is known of providers and their models: base URL, dialect, the variable that holds the key, the size of each model's
//! context, its price, and in which order to fall back.
//!
//! Everything has the date on which it was looked up, and nothing is guessed: what could not be looked up is not there. Prices
//! are list prices in US dollars, for requests of usual length; some providers charge more for very long prompts. Your contract
//! and the provider's page are right where they differ: set [`Upstream::price`] yourself.
//!
//! ```
//! use tower_upstream::stack::presets;
//!
//! let groq = presets::provider("groq").unwrap();
//! let asked: Vec<_> = groq.models().map(|model| model.name).collect();
//! assert_eq!(asked, ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]);
//! assert_eq!(groq.model("mixtral-8x7b-32768").unwrap().retired, Some("2025-03-20"));
//! assert_eq!(presets::fallback_order("groq"), Some(["groq", "openai", "anthropic"]));
//! ```

mod preset;
mod table;

use crate::upstream::Upstream;

pub use preset::{ModelPreset, ProviderPreset};

/// All providers that are known.
pub fn providers() -> impl Iterator<Item = &'static ProviderPreset> {
    table::PROVIDERS.iter()
}

/// The provider of this name.
pub fn provider(name: &str) -> Option<&'static ProviderPreset> {
    providers().find(|preset| preset.name == name)
}

/// Whom to turn to after this provider, itself first; `None` where there is no such order.
pub fn fallback_order(first: &str) -> Option<[&'static str; 3]> {
    let mut orders = table::FALLBACK_ORDERS.into_iter();
    orders.find(|[name, ..]| *name == first)
}

/// The upstream with what is known of its model, where it is at the provider's own base URL.
pub(super) fn complete(upstream: Upstream) -> Upstream {
    match model_of(&upstream) {
        Some(model) => model.complete(upstream),
        None => upstream,
    }
}

/// What is known of an upstream's model, where it is at the provider's own base URL.
pub(super) fn model_of(upstream: &Upstream) -> Option<&'static ModelPreset> {
    let name = upstream.model()?;
    let mut known = providers().filter(|preset| preset.model(name).is_some());
    known.find(|preset| is_at(preset, upstream))?.model(name)
}

/// The date on which the provider at this base URL answered no longer.
pub(super) fn retirement_of_provider(upstream: &Upstream) -> Option<&'static str> {
    let mut retired = providers().filter(|preset| preset.retired.is_some());
    retired.find(|preset| is_at(preset, upstream))?.retired
}

fn is_at(preset: &ProviderPreset, upstream: &Upstream) -> bool {
    let provider = preset.provider();
    provider.is_some_and(|provider| provider.url() == upstream.provider().url())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::upstream::Provider;

    #[test]
    fn every_preset_makes_a_provider_of_its_name() {
        for preset in providers() {
            match preset.provider() {
                Some(provider) => assert_eq!(provider.name(), preset.name),
                None => assert_eq!(preset.name, "azure"),
            }
        }
        let names: BTreeSet<_> = providers().map(|preset| preset.name).collect();
        assert_eq!(names.len(), providers().count());
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&format!("presets of {} providers", names.len())));
    }

    #[test]
    fn who_is_local_wants_no_key_and_everybody_else_names_a_variable() {
        for preset in providers() {
            let is_local = preset
                .provider()
                .is_some_and(|provider| provider.is_local());
            assert_eq!(preset.key_variable.is_none(), is_local, "{}", preset.name);
        }
    }

    #[test]
    fn every_price_has_a_date_and_who_is_retired_or_to_be_named_is_left_out() {
        let is_date = |text: &str| text.len() == 10 && text.as_bytes()[4] == b'-';
        for preset in providers() {
            assert!(preset.retired.is_none_or(is_date), "{}", preset.name);
            for model in preset.models {
                assert_eq!(model.price().is_some(), model.priced_on().is_some());
                assert!(model.priced_on().is_none_or(is_date), "{}", model.name);
                assert!(model.retired.is_none_or(is_date), "{}", model.name);
                let is_asked = preset.models().any(|asked| asked.name == model.name);
                assert_eq!(is_asked, model.retired.is_none() && !model.by_name);
                assert!(!model.by_name || model.retired.is_none(), "{}", model.name);
            }
        }
    }

    #[test]
    fn a_model_stands_once_in_its_table() {
        for preset in providers() {
            let names: BTreeSet<_> = preset.models.iter().map(|model| model.name).collect();
            assert_eq!(names.len(), preset.models.len(), "{}", preset.name);
        }
    }

    #[test]
    fn whoever_is_named_in_an_order_is_known_and_serves_something() {
        for order in table::FALLBACK_ORDERS {
            for name in order {
                assert!(provider(name).unwrap().models().count() > 0, "{name}");
            }
        }
    }

    #[test]
    fn a_model_elsewhere_has_not_the_price_that_it_has_at_home() {
        let groq = Provider::groq();
        let known = complete(groq.model("openai/gpt-oss-20b"));
        assert!(known.own_price().is_some() && known.context() == Some(131_072));
        let elsewhere = groq.base_url("https://gateway.example.com/v1").unwrap();
        let unknown = complete(elsewhere.model("openai/gpt-oss-20b"));
        assert!(unknown.own_price().is_none() && unknown.context().is_none());
        let own = Provider::groq()
            .model("openai/gpt-oss-20b")
            .context_tokens(5);
        assert_eq!(complete(own).context(), Some(5));
    }
}
