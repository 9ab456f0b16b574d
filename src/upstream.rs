//! What a request can be sent to: a [`Provider`], and one of its models as an [`Upstream`].

mod provider;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use http::Uri;

pub use provider::Provider;
pub(crate) use provider::{Credentials, Wire};

use crate::{config_error::ConfigError, cost::Price, rate_limit::Quota};

/// One place that a request can be sent to: a model of a [`Provider`].
///
/// Travels in the request's extensions. Cheap to clone; two upstreams are equal when their ids are.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<UpstreamInner>,
}

#[derive(Clone)]
struct UpstreamInner {
    id: Arc<str>,
    provider: Provider,
    model: Option<Arc<str>>,
    /// The model's name as a JSON string.
    quoted_model: Option<Arc<str>>,
    quota: Option<Arc<Quota>>,
    price: Option<Price>,
    context_tokens: Option<u64>,
    weight: u32,
    /// The path that was asked for first, and where it is here: most clients ask for one path.
    first_target: OnceLock<(Box<str>, Uri)>,
}

impl Upstream {
    fn assemble(provider: Provider, model: Option<Arc<str>>, id: Arc<str>) -> Self {
        let quoted = |model: &Arc<str>| serde_json::Value::from(&**model).to_string().into();
        Self {
            inner: Arc::new(UpstreamInner {
                id,
                provider,
                quoted_model: model.as_ref().map(quoted),
                model,
                quota: None,
                price: None,
                context_tokens: None,
                weight: 1,
                first_target: OnceLock::new(),
            }),
        }
    }

    /// Sets the quota that this upstream grants you. A limiter with a state for each upstream ([`Scope::Upstream`],
    /// [`Scope::Host`]) keeps to it in place of its own; one with another scope goes by its own alone.
    ///
    /// [`Scope::Upstream`]: crate::Scope::Upstream
    /// [`Scope::Host`]: crate::Scope::Host
    ///
    /// # Errors
    ///
    /// When a limit of the quota cannot work; the error names it.
    pub fn quota(self, quota: Quota) -> Result<Self, ConfigError> {
        quota.check()?;
        Ok(self.with(|inner| inner.quota = Some(Arc::new(quota))))
    }

    /// Sets what its tokens cost, for limits of [money](crate::Limit::money). Default: unknown.
    #[must_use]
    pub fn price(self, price: Price) -> Self {
        self.with(|inner| inner.price = Some(price))
    }

    /// Sets the size of the model's context, in tokens of input and output together.
    ///
    /// A request that turned out too large for one upstream is not sent to another whose context is no larger.
    #[must_use]
    pub fn context_tokens(self, tokens: u64) -> Self {
        self.with(|inner| inner.context_tokens = Some(tokens))
    }

    /// Sets its share of the requests under [`Order::Weighted`](crate::Order::Weighted), up to a million; 0 is asked only
    /// when no other can be. Default: 1.
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        self.with(|inner| inner.weight = weight)
    }

    /// The name that logs, keys and errors carry: `provider/model`, or the provider's name alone.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The provider that serves it.
    pub fn provider(&self) -> &Provider {
        &self.inner.provider
    }

    /// The model, where one is set.
    pub fn model(&self) -> Option<&str> {
        self.inner.model.as_deref()
    }

    /// The model as a JSON string, quotes and all.
    pub(crate) fn quoted_model(&self) -> Option<&str> {
        self.inner.quoted_model.as_deref()
    }

    /// Where a path is here. `make` says it, whenever it is asked.
    pub(crate) fn target(&self, path: &str, make: impl Fn() -> Uri) -> Uri {
        let first = &self.inner.first_target;
        let (asked, target) = first.get_or_init(|| (path.into(), make()));
        match **asked == *path {
            true => target.clone(),
            false => make(),
        }
    }

    /// The same with this key of its provider.
    pub(crate) fn with_key(self, key: &str) -> Result<Self, ConfigError> {
        let provider = self.inner.provider.clone().key(key)?;
        Ok(self.with(|inner| inner.provider = provider))
    }

    pub(crate) fn shared_id(&self) -> &Arc<str> {
        &self.inner.id
    }

    pub(crate) fn own_quota(&self) -> Option<&Arc<Quota>> {
        self.inner.quota.as_ref()
    }

    pub(crate) fn own_price(&self) -> Option<&Price> {
        self.inner.price.as_ref()
    }

    pub(crate) fn share(&self) -> u32 {
        self.inner.weight
    }

    pub(crate) fn context(&self) -> Option<u64> {
        self.inner.context_tokens
    }

    fn with(mut self, change: impl FnOnce(&mut UpstreamInner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }
}

impl Provider {
    /// One of its models.
    pub fn model(&self, model: impl Into<Arc<str>>) -> Upstream {
        let model = model.into();
        let id = format!("{}/{model}", self.name()).into();
        Upstream::assemble(self.clone(), Some(model), id)
    }
}

/// The provider with whatever model the request names.
impl From<Provider> for Upstream {
    fn from(provider: Provider) -> Self {
        let id = provider.shared_name().clone();
        Self::assemble(provider, None, id)
    }
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        self.inner.id == other.inner.id
    }
}

impl Eq for Upstream {}

impl Hash for Upstream {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.id.hash(state);
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.id)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("id", &self.inner.id)
            .field("provider", &self.inner.provider)
            .field("quota", &self.inner.quota)
            .field("price", &self.inner.price)
            .field("context_tokens", &self.inner.context_tokens)
            .field("weight", &self.inner.weight)
            .finish()
    }
}

/// Who answered: an [`Upstream`] in the extensions of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy(pub Upstream);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let provider = Provider::openai().key("sk-very-secret").unwrap();
        let upstream = provider.model("gpt-4o-mini");
        assert!(!format!("{provider:?} {upstream:?}").contains("secret"));
        for bad in ["sk-secret\nx", "Bearer sk-secret"] {
            let error = Provider::openai().key(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        // As it is read from a file.
        let provider = Provider::openai().key(" sk-secret\n").unwrap();
        assert_eq!(provider.credentials().unwrap().key, "sk-secret");
    }

    #[test]
    fn a_base_url_that_cannot_work_names_the_setting_and_the_value() {
        for bad in [
            "",
            "api.example.com",
            "/v1",
            "ftp://example.com",
            "https://",
            "http://a b",
            "https://a/v1?key=1",
        ] {
            let error = Provider::new("x", bad).unwrap_err();
            assert_eq!(error.setting(), "base_url", "{bad}");
            let shown = bad.split('?').next().unwrap();
            assert!(error.to_string().contains(shown), "{error}");
        }
    }

    #[test]
    fn what_may_be_a_password_in_a_url_is_not_repeated() {
        for url in [
            "https://user:hunter2@example.com/v1",
            "https://example.com/v1?key=hunter2",
        ] {
            let error = Provider::new("x", url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        assert!(Provider::new("x", "https://gateway.example.com/v1/@cf").is_ok());
        assert!(Provider::openai().key(" ").is_err());
        assert_eq!(
            Provider::azure("https://x.openai.azure.com", "a&b")
                .unwrap_err()
                .setting(),
            "api_version"
        );
    }

    #[test]
    fn a_provider_with_another_name_gives_upstreams_of_its_own() {
        let (first, second) = (Provider::groq(), Provider::groq().named("groq-2"));
        assert_ne!(first.model("m"), second.model("m"));
        assert_eq!(Upstream::from(second).id(), "groq-2");
    }
}
