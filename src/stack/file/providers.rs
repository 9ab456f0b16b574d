//! Providers out of what the file says of them and what is known of them, with their keys.

use std::collections::BTreeMap;

use super::{
    nearest::nearest,
    reading::{Reading, Spot},
    sections::ProviderDraft,
    show,
};
use crate::{
    config_error::ConfigError,
    stack::presets::{self, ProviderPreset},
    upstream::Provider,
};

/// The value of a variable of the environment.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The providers of the file, and the known ones that it uses.
pub(super) struct Providers<'a> {
    drafts: &'a BTreeMap<String, ProviderDraft>,
    variables: Variables<'a>,
    /// `None` for one with a mistake in it, which has been told.
    made: BTreeMap<String, Option<Made>>,
}

#[derive(Clone)]
pub(super) struct Made {
    pub(super) provider: Provider,
    pub(super) preset: Option<&'static ProviderPreset>,
    /// The variable that its key was read from.
    variable: Option<String>,
}

impl<'a> Providers<'a> {
    pub(super) fn new(
        drafts: &'a BTreeMap<String, ProviderDraft>,
        variables: Variables<'a>,
    ) -> Self {
        Self {
            drafts,
            variables,
            made: BTreeMap::new(),
        }
    }

    /// The provider of this name, made when it is first asked for.
    pub(super) fn find(
        &mut self,
        name: &str,
        spot: &Spot,
        reading: &mut Reading<'_>,
    ) -> Option<Made> {
        if !self.made.contains_key(name) {
            let made = self.make(name, spot, reading);
            self.made.insert(name.to_owned(), made);
        }
        self.made.get(name)?.clone()
    }

    fn make(&self, name: &str, spot: &Spot, reading: &mut Reading<'_>) -> Option<Made> {
        let none = ProviderDraft::default();
        let draft = self.drafts.get(name);
        // What is wrong with these has been told.
        let is_unread = |key: &str, is_read: bool| !is_read && reading.has(&spot.key(key));
        if let Some(draft) = draft
            && (is_unread("preset", draft.preset.is_some())
                || is_unread("base_url", draft.base_url.is_some())
                || is_unread("api_version", draft.api_version.is_some()))
        {
            return None;
        }
        let preset = match draft.and_then(|draft| draft.preset) {
            Some(preset) => presets::provider(preset),
            None => presets::provider(name),
        };
        if draft.is_none() && preset.is_none() {
            let own = self.drafts.keys().map(String::as_str);
            let known = own.chain(presets::providers().map(|preset| preset.name));
            let near = nearest(name, known).map(|near| format!("; did you mean `{near}`?"));
            let (found, near) = (show::text(name), near.unwrap_or_default());
            reading.wrong_at(
                spot,
                format!("expected a provider of this file or a known one, found {found}{near}"),
            );
            return None;
        }
        let provider = service(name, draft, preset, spot, reading)?.named(name);
        let draft = draft.unwrap_or(&none);
        let provider = match draft.local {
            true => provider.local(),
            false => provider,
        };
        let provider = match &draft.quota {
            Some(quota) => provider.quota(quota.build(reading)).ok()?,
            None => provider,
        };
        self.sign(provider, draft, preset, spot, reading)
    }

    /// The provider with its key.
    fn sign(
        &self,
        provider: Provider,
        draft: &ProviderDraft,
        preset: Option<&'static ProviderPreset>,
        spot: &Spot,
        reading: &mut Reading<'_>,
    ) -> Option<Made> {
        // A key goes to its own service by default, and elsewhere only where the file says so. Azure has no place of its own.
        let is_at_home =
            draft.base_url.is_none() || preset.is_some_and(|preset| preset.name == "azure");
        let usual = preset
            .filter(|_| is_at_home)
            .and_then(|preset| preset.key_variable);
        let (variable, spot) = match (&draft.key_env, usual) {
            (Some((name, spot)), _) => (name.as_str(), spot),
            (None, Some(name)) => (name, spot),
            (None, None) => {
                return Some(Made {
                    provider,
                    preset,
                    variable: None,
                });
            }
        };
        let key = (self.variables)(variable).filter(|key| !key.trim().is_empty());
        let Some(key) = key else {
            let shown = if show::is_like_a_key(variable) {
                "named here"
            } else {
                variable
            };
            let problem = format!("the variable {shown}, which is to hold the key, is not set");
            reading.wrong_at(spot, problem);
            return None;
        };
        match provider.key(key.trim()) {
            Ok(provider) => Some(Made {
                provider,
                preset,
                variable: Some(variable.to_owned()),
            }),
            Err(error) => {
                let expected = error.expected();
                reading.wrong_at(
                    spot,
                    format!("the variable {variable} holds no key: expected {expected}"),
                );
                None
            }
        }
    }

    /// The variable that each provider's key was read from.
    pub(super) fn variables_used(self) -> impl Iterator<Item = (String, String)> {
        let made = self.made.into_iter();
        made.filter_map(|(name, made)| Some((name, made?.variable?)))
    }
}

/// The provider without name and key.
fn service(
    name: &str,
    draft: Option<&ProviderDraft>,
    preset: Option<&'static ProviderPreset>,
    spot: &Spot,
    reading: &mut Reading<'_>,
) -> Option<Provider> {
    let url = draft.and_then(|draft| draft.base_url.as_ref());
    let version = draft.and_then(|draft| draft.api_version.as_ref());
    let is_azure = preset.is_some_and(|preset| preset.name == "azure");
    if let (Some((_, spot)), false) = (version, is_azure) {
        reading.wrong_at(spot, "only azure has versions of its API: expected none");
    }
    let mut missing = |key: &str, wanted: &str| {
        // Where the file has no table for it, its use is the place to look at.
        let (spot, problem) = match draft {
            Some(_) => (spot.key(key), format!("is missing; expected {wanted}")),
            None => (
                spot.clone(),
                format!("{name} needs `providers.{name}.{key}`: {wanted}"),
            ),
        };
        reading.wrong_at(&spot, problem);
    };
    let provider = match (preset, url, version) {
        (Some(_), Some((url, url_spot)), Some((version, version_spot))) if is_azure => {
            let told = |error: ConfigError| match error.setting() {
                "api_version" => (version_spot, error),
                _ => (url_spot, error),
            };
            Provider::azure(url, version).map_err(told)
        }
        (Some(_), url, version) if is_azure => {
            if url.is_none() {
                missing(
                    "base_url",
                    "the URL of the resource, such as \"https://my-resource.openai.azure.com\"",
                );
            }
            if version.is_none() {
                missing(
                    "api_version",
                    "the version of its API, such as \"2024-10-21\"",
                );
            }
            return None;
        }
        (Some(preset), Some((url, spot)), _) => preset
            .provider()?
            .base_url(url)
            .map_err(|error| (spot, error)),
        (Some(preset), None, _) => Ok(preset.provider()?),
        (None, Some((url, spot)), _) => Provider::new(name, url).map_err(|error| (spot, error)),
        (None, None, _) => {
            missing(
                "base_url",
                "a URL or a `preset`, for it is no known provider",
            );
            return None;
        }
    };
    let provider = provider
        .map_err(|(spot, error)| reading.unworkable(spot, &error))
        .ok()?;
    let dialect = draft.and_then(|draft| draft.dialect);
    Some(dialect.into_iter().fold(provider, Provider::dialect))
}
