//! [`Provider`]: a service that requests are sent to.

use std::{fmt, sync::Arc};

use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery},
};

use crate::{config_error::ConfigError, rate_limit::Quota, signal::Dialect};

/// A service that answers requests for one or more models, with one set of credentials.
///
/// Cheap to clone. Two keys for the same service are two providers; give them names of their own with [`named`](Self::named).
///
/// ```
/// use tower_upstream::Provider;
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let groq = Provider::groq().key("gsk_example")?;
/// let upstream = groq.model("openai/gpt-oss-120b");
/// assert_eq!(upstream.id(), "groq/openai/gpt-oss-120b");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Provider {
    inner: Arc<ProviderInner>,
}

#[derive(Clone)]
struct ProviderInner {
    name: Arc<str>,
    base_url: Uri,
    dialect: Dialect,
    wire: Wire,
    credentials: Option<Credentials>,
    quota: Option<Arc<Quota>>,
    local: bool,
}

/// How a provider wants requests addressed and signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// The key as a bearer token.
    OpenAi,
    /// The deployment in the path of what is asked of one, the version in the query, the key in `api-key`.
    Azure { api_version: Arc<str> },
    /// Below `/messages` the key in `x-api-key`, with a version; elsewhere as OpenAI's.
    Anthropic,
}

/// A key, in the two forms in which providers take it. Never printed.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) bearer: HeaderValue,
    pub(crate) key: HeaderValue,
}

impl Provider {
    /// A provider that speaks the OpenAI format below this base URL, such as `https://api.example.com/v1`.
    ///
    /// # Errors
    ///
    /// When `base_url` is not an absolute `http` or `https` URL, or carries credentials or a query.
    pub fn new(name: impl Into<Arc<str>>, base_url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            inner: Arc::new(ProviderInner {
                name: name.into(),
                base_url: parse_base_url(base_url)?,
                dialect: Dialect::OpenAi,
                wire: Wire::OpenAi,
                credentials: None,
                quota: None,
                local: false,
            }),
        })
    }

    /// OpenAI, at <https://api.openai.com/v1>.
    pub fn openai() -> Self {
        Self::preset("openai", "https://api.openai.com/v1", Dialect::OpenAi)
    }

    /// Groq, at <https://api.groq.com/openai/v1>.
    pub fn groq() -> Self {
        Self::preset("groq", "https://api.groq.com/openai/v1", Dialect::Groq)
    }

    /// Anthropic, at <https://api.anthropic.com/v1>: its own API for requests to `/messages`, its
    /// [OpenAI-compatible endpoint](https://docs.claude.com/en/api/openai-sdk) for all others.
    pub fn anthropic() -> Self {
        Self::preset(
            "anthropic",
            "https://api.anthropic.com/v1",
            Dialect::Anthropic,
        )
        .with(|inner| inner.wire = Wire::Anthropic)
    }

    /// Gemini, through its [OpenAI-compatible endpoint](https://ai.google.dev/gemini-api/docs/openai).
    pub fn gemini() -> Self {
        let base_url = "https://generativelanguage.googleapis.com/v1beta/openai";
        Self::preset("gemini", base_url, Dialect::Gemini)
    }

    /// An Azure OpenAI resource, such as `https://my-resource.openai.azure.com`, and the version of its API, such as
    /// `2024-10-21`. Its models are the names of your deployments, to which go chats, completions, embeddings, pictures and sound;
    /// responses, files, batches and all else go to the resource, below `/openai`.
    ///
    /// # Errors
    ///
    /// When `resource` is not an absolute `http` or `https` URL, or carries a query or credentials, or when `api_version`
    /// is empty or has characters that a query cannot carry.
    pub fn azure(resource: &str, api_version: &str) -> Result<Self, ConfigError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if api_version.is_empty() || !api_version.chars().all(is_plain) {
            return Err(ConfigError::new(
                "api_version",
                api_version,
                "letters, digits, `-`, `.` and `_`",
            ));
        }
        let wire = Wire::Azure {
            api_version: api_version.into(),
        };
        let azure = Self::new("azure", resource)?.dialect(Dialect::Azure);
        Ok(azure.with(|inner| inner.wire = wire))
    }

    /// A local Ollama server, at `http://localhost:11434/v1`.
    pub fn ollama() -> Self {
        Self::preset("ollama", "http://localhost:11434/v1", Dialect::Ollama).local()
    }

    /// A local vLLM server, at `http://localhost:8000/v1`.
    pub fn vllm() -> Self {
        Self::preset("vllm", "http://localhost:8000/v1", Dialect::Vllm).local()
    }

    fn preset(name: &'static str, base_url: &'static str, dialect: Dialect) -> Self {
        Self {
            inner: Arc::new(ProviderInner {
                name: name.into(),
                base_url: Uri::from_static(base_url),
                dialect,
                wire: Wire::OpenAi,
                credentials: None,
                quota: None,
                local: false,
            }),
        }
    }

    /// Sets the name that logs, keys and [`Upstream::id`](crate::Upstream::id) carry.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.with(|inner| inner.name = name)
    }

    /// Sets the API key, sent as the provider wants it: as a bearer token, in `api-key` or in `x-api-key`. It is never
    /// printed.
    ///
    /// # Errors
    ///
    /// When the key is empty, has characters that a header cannot carry, or begins with `Bearer`, which is put before it; the error
    /// does not repeat it. Blanks around it, as the line break at the end of a file, are no part of it.
    pub fn key(self, key: &str) -> Result<Self, ConfigError> {
        let key = key.trim();
        let header = |text: &str| {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        match (header(&format!("Bearer {key}")), header(key)) {
            (Some(bearer), Some(value)) if !key.is_empty() && !key.starts_with("Bearer ") => {
                Ok(self.with(|inner| inner.credentials = Some(Credentials { bearer, key: value })))
            }
            _ => Err(ConfigError::new(
                "key",
                "***",
                "printable ASCII that is not empty, without `Bearer`",
            )),
        }
    }

    /// Sets the URL that request paths are put below.
    ///
    /// # Errors
    ///
    /// When it is not an absolute `http` or `https` URL, or carries credentials or a query.
    pub fn base_url(self, base_url: &str) -> Result<Self, ConfigError> {
        let base_url = parse_base_url(base_url)?;
        Ok(self.with(|inner| inner.base_url = base_url))
    }

    /// Sets the quota that the whole account is granted, over all models. A limiter with a state for each provider
    /// ([`Scope::Provider`](crate::Scope::Provider)) keeps to it in place of its own; no other heeds it. A
    /// [`Stack`](crate::Stack) that is built with upstreams of such an account has one.
    ///
    /// # Errors
    ///
    /// When a limit of the quota cannot work; the error names it.
    pub fn quota(self, quota: Quota) -> Result<Self, ConfigError> {
        quota.check()?;
        Ok(self.with(|inner| inner.quota = Some(Arc::new(quota))))
    }

    /// Sets how its answers are read. Default: as OpenAI's.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        self.with(|inner| inner.dialect = dialect)
    }

    /// Marks it as running on hardware of your own.
    #[must_use]
    pub fn local(self) -> Self {
        self.with(|inner| inner.local = true)
    }

    /// The provider's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Whether it runs on hardware of your own.
    pub fn is_local(&self) -> bool {
        self.inner.local
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.inner.name
    }

    pub(crate) fn own_quota(&self) -> Option<&Arc<Quota>> {
        self.inner.quota.as_ref()
    }

    pub(crate) fn speaks(&self) -> Dialect {
        self.inner.dialect
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.inner.wire
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.inner.credentials.as_ref()
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.inner.base_url
    }

    fn with(mut self, change: impl FnOnce(&mut ProviderInner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.inner.name)
            .field("base_url", &self.inner.base_url)
            .field("dialect", &self.inner.dialect)
            .field(
                "credentials",
                &self.inner.credentials.as_ref().map(|_| "***"),
            )
            .field("quota", &self.inner.quota)
            .field("local", &self.inner.local)
            .finish()
    }
}

fn parse_base_url(text: &str) -> Result<Uri, ConfigError> {
    // What may be a password or a key is not repeated.
    let wrong = || {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = if shown.contains('@') {
            "(a URL with credentials)"
        } else {
            shown
        };
        ConfigError::new(
            "base_url",
            shown,
            "an absolute http or https URL without credentials and query",
        )
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let query = uri.path_and_query().and_then(PathAndQuery::query);
    let is_host =
        |authority: &Authority| !authority.host().is_empty() && !authority.as_str().contains('@');
    match uri.scheme_str() {
        Some("http" | "https") if uri.authority().is_some_and(is_host) && query.is_none() => {
            Ok(uri)
        }
        _ => Err(wrong()),
    }
}
