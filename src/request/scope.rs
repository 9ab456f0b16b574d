//! Which requests share one state, and the key of that.

use std::{fmt, ops::Deref, sync::Arc};

use http::uri::Scheme;

use super::{head::RequestHead, wishes::Caller};
use crate::upstream::Upstream;

/// Which requests share one state: one window, one breaker.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Scope {
    /// All requests together.
    All,
    /// Each [`Upstream`] its own; requests without one together.
    #[default]
    Upstream,
    /// Each [`Upstream`] its own; requests without one by host and port. A port that is the scheme's own is none.
    Host,
    /// Each [`Provider`](crate::Provider) its own, for limits of a whole account; requests without an upstream together.
    Provider,
    /// By a key that a closure reads from the request; see [`Scope::by`].
    By(KeyFn),
}

impl Scope {
    /// By any key: a tenant, a user, the hash of an API key.
    ///
    /// The key stands in events, errors and handles: give the hash of a secret, never the secret. In a server, a header such as the
    /// one below is a key only once you have checked who sends it: see [`adapt::peer`](crate::adapt::peer).
    ///
    /// ```
    /// use tower_upstream::Scope;
    ///
    /// let scope = Scope::by(|head| match head.headers.get("x-tenant") {
    ///     Some(tenant) => String::from_utf8_lossy(tenant.as_bytes()).into(),
    ///     None => "anonymous".into(),
    /// });
    /// ```
    pub fn by(key: impl Fn(&RequestHead<'_>) -> Arc<str> + Send + Sync + 'static) -> Self {
        Self::By(KeyFn(Arc::new(key)))
    }

    /// Each [`Caller`] has a state of his own, under his name behind this prefix; requests without one together, under the prefix.
    ///
    /// A prefix such as `tenant:` keeps them from the rows of upstreams where one [`Stats`](crate::observe::Stats) counts both.
    ///
    /// ```
    /// use tower_upstream::{RateLimiter, RequestHead, Scope, stack::Caller};
    ///
    /// let limiter = RateLimiter::default().scope(Scope::by_caller("tenant:"));
    /// let mut request = http::Request::new("a body");
    /// request.extensions_mut().insert(Caller("anna".into()));
    /// assert_eq!(&*limiter.key_of(&RequestHead::of(&request)), "tenant:anna");
    /// ```
    pub fn by_caller(prefix: &str) -> Self {
        let prefix: Arc<str> = prefix.into();
        Self::by(move |head| match head.extensions.get() {
            Some(Caller(name)) if prefix.is_empty() => name.clone(),
            Some(Caller(name)) => format!("{prefix}{name}").into(),
            None => prefix.clone(),
        })
    }

    /// The key of this request. Only a host in capitals allocates here, and [`Scope::By`] as it likes.
    #[inline(always)]
    pub(crate) fn key<'a>(&self, head: &RequestHead<'a>) -> Key<'a> {
        let upstream = || head.upstream().map(Upstream::shared_id);
        match self {
            Self::All => Key::Text(""),
            Self::Upstream => upstream().map_or(Key::Text(""), Key::Shared),
            Self::Host => match upstream() {
                Some(id) => Key::Shared(id),
                None => head.authority().map_or(Key::Text(""), |host| {
                    Key::host(without_default_port(host, head.uri.scheme()))
                }),
            },
            Self::Provider => match head.upstream() {
                Some(upstream) => Key::Shared(upstream.provider().shared_name()),
                None => Key::Text(""),
            },
            Self::By(key) => Key::Made((key.0)(head)),
        }
    }

    /// Whether [`is_key`](Self::is_key) may be asked for this key. Not where a closure makes keys, which would be asked twice; nor
    /// for an upstream that is called as a host is that is to be written otherwise, as in capitals or without its port.
    pub(crate) fn is_told_apart(&self, key: &str) -> bool {
        let is_plain = |byte: u8| byte != b'@' && !byte.is_ascii_uppercase();
        let has_port = DEFAULT_PORTS.iter().any(|(_, port)| key.ends_with(port));
        match self {
            Self::By(_) => false,
            // No host has a slash in it.
            Self::Host => key.contains('/') || (key.bytes().all(is_plain) && !has_port),
            Self::All | Self::Upstream | Self::Provider => true,
        }
    }

    /// Whether a key that was made [before](Self::key) is known to be that of this request, without making it: its host is
    /// compared as it stands.
    #[inline(always)]
    pub(crate) fn is_key(&self, head: &RequestHead<'_>, key: &str) -> bool {
        let upstream = || head.upstream().map(|upstream| &**upstream.shared_id());
        let own = match self {
            Self::All => None,
            Self::Upstream => upstream(),
            // No host's key that is told apart has capitals, credentials or a scheme's own port: a host that is the same has none,
            // and is its own key.
            Self::Host => upstream().or_else(|| head.full_authority()),
            Self::Provider => head
                .upstream()
                .map(|upstream| &**upstream.provider().shared_name()),
            Self::By(_) => return false,
        };
        is_same(own.unwrap_or(""), key)
    }

    /// Who has a state of his own.
    pub(crate) fn in_words(&self) -> &'static str {
        match self {
            Self::All => "all requests together",
            Self::Upstream => "each upstream",
            Self::Host => "each upstream or host",
            Self::Provider => "each provider",
            Self::By(_) => "each key of its own",
        }
    }

    /// The name in snake case.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Upstream => "upstream",
            Self::Host => "host",
            Self::Provider => "provider",
            Self::By(_) => "by",
        }
    }
}

/// The host without the port that its scheme has by itself.
fn without_default_port<'a>(host: &'a str, scheme: Option<&Scheme>) -> &'a str {
    let own = DEFAULT_PORTS.iter().find(|(name, _)| Some(name) == scheme);
    let without = own.and_then(|(_, port)| host.strip_suffix(port));
    without.unwrap_or(host)
}

/// RFC 9110, 4.2.
const DEFAULT_PORTS: [(Scheme, &str); 2] = [(Scheme::HTTP, ":80"), (Scheme::HTTPS, ":443")];

/// The key that a request falls under.
#[derive(Clone, Debug)]
pub(crate) enum Key<'a> {
    Text(&'a str),
    Shared(&'a Arc<str>),
    Made(Arc<str>),
}

impl<'a> Key<'a> {
    fn host(host: &'a str) -> Self {
        match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Self::Made(host.to_ascii_lowercase().into()),
            false => Self::Text(host),
        }
    }
}

impl Deref for Key<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Text(key) => key,
            Self::Shared(key) => key,
            Self::Made(key) => key,
        }
    }
}

impl Key<'_> {
    /// The key to keep.
    pub(crate) fn shared(&self) -> Arc<str> {
        match self {
            Self::Text(key) => (*key).into(),
            Self::Shared(key) => Arc::clone(key),
            Self::Made(key) => key.clone(),
        }
    }

    /// The key to keep; none where it is empty.
    pub(crate) fn named(&self) -> Option<Arc<str>> {
        (!self.is_empty()).then(|| self.shared())
    }
}

/// Whether two texts are the same. Most often they are one: to compare what they say takes longer than all else, and to compare
/// nothing to nothing takes some processors 100 ns, for the address of an empty text is no address.
#[inline(always)]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one.as_ptr() == other.as_ptr() || one == other)
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Upstream => "Upstream",
            Self::Host => "Host",
            Self::Provider => "Provider",
            Self::By(_) => "By(..)",
        })
    }
}

/// The closure of [`Scope::by`].
#[derive(Clone)]
pub struct KeyFn(Arc<KeyOf>);

type KeyOf = dyn Fn(&RequestHead<'_>) -> Arc<str> + Send + Sync;

impl fmt::Debug for KeyFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFn(..)")
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, header::HOST};

    use super::*;

    #[test]
    fn a_scope_by_host_knows_both_forms_of_a_target() {
        let absolute = Request::get("https://api.example.com:8443/v1")
            .body(())
            .unwrap();
        let origin = Request::get("/v1")
            .header(HOST, "api.example.com")
            .body(())
            .unwrap();
        let capitals = Request::get("http://me:hunter2@API.example.com/v1")
            .body(())
            .unwrap();
        let key = |request| Scope::Host.key(&RequestHead::of(&request)).to_string();
        assert_eq!(key(absolute), "api.example.com:8443");
        assert_eq!(key(origin), "api.example.com");
        assert_eq!(
            key(capitals),
            "api.example.com",
            "the same host, and no password in a key"
        );
    }

    /// A demanding user's test: one host had two windows.
    #[test]
    fn a_port_that_is_the_schemes_own_makes_no_other_key() {
        let key = |uri: &str| {
            let request = Request::get(uri).body(()).unwrap();
            Scope::Host.key(&RequestHead::of(&request)).to_string()
        };
        assert_eq!(key("http://api.test:80/"), "api.test");
        assert_eq!(key("https://API.test:443/"), "api.test");
        assert_eq!(key("https://api.test:80/"), "api.test:80");
        assert_eq!(key("http://api.test:443/"), "api.test:443");
        assert_eq!(key("http://api.test:8080/"), "api.test:8080");
        assert_eq!(key("http://[::80]/"), "[::80]");
        for key in ["api.test:80", "api.test:443"] {
            assert!(!Scope::Host.is_told_apart(key));
        }
        assert!(Scope::Host.is_told_apart("api.test:8080"));
    }

    #[test]
    fn a_key_that_was_made_before_is_known_for_its_requests_and_for_no_others() {
        let upstream = crate::upstream::Provider::openai().model("gpt");
        let request = |uri: &str, host: Option<&str>, upstream: Option<&Upstream>| {
            let mut request = Request::get(uri);
            request = host
                .into_iter()
                .fold(request, |request, host| request.header(HOST, host));
            let mut request = request.body(()).unwrap();
            upstream
                .cloned()
                .map(|upstream| request.extensions_mut().insert(upstream));
            request
        };
        let requests = [
            request("/v1", None, None),
            request("/v1", Some("api.example.com"), None),
            request("http://api.example.com/v1", Some("other"), None),
            request("http://api.example.com:8443/", None, None),
            request("http://api.example.com:80/", None, None),
            request("https://api.example.com/", None, None),
            request("http://other/v1", None, None),
            request("http://API.example.com/", None, None),
            request("http://me:hunter2@api.example.com/", None, None),
            request("http://other/v1", None, Some(&upstream)),
        ];
        let scopes = [Scope::All, Scope::Upstream, Scope::Host, Scope::Provider];
        for scope in scopes {
            for (one, other) in requests
                .iter()
                .flat_map(|one| requests.iter().map(move |other| (one, other)))
            {
                let heads = [one, other].map(RequestHead::of);
                let keys = heads.each_ref().map(|head| scope.key(head));
                let is_known = scope.is_key(&heads[0], &keys[1]);
                // Capitals, credentials and ports have to be looked at.
                let is_plain = matches!(keys[0], Key::Shared(_))
                    || (!one.uri().to_string().contains(['@', 'A'])
                        && one.uri().port_u16() != Some(80));
                let expected = *keys[0] == *keys[1] && (is_plain || !matches!(scope, Scope::Host));
                assert_eq!(
                    is_known,
                    expected,
                    "{scope:?}: {:?}, {:?}",
                    one.uri(),
                    other.uri()
                );
            }
        }
        let by = Scope::by(|_| "one".into());
        assert!(
            !by.is_key(&RequestHead::of(&requests[0]), "one"),
            "its closure is asked once"
        );
    }

    #[test]
    fn an_upstream_that_is_called_as_a_host_in_capitals_is_not_told_apart_from_it() {
        let request = Request::get("http://Gateway/").body(()).unwrap();
        let head = RequestHead::of(&request);
        assert_eq!(&*Scope::Host.key(&head), "gateway");
        for (key, is_told_apart) in [
            ("Gateway", false),
            ("me@gateway", false),
            ("gateway", true),
            ("groq/Llama", true),
            ("", true),
        ] {
            assert_eq!(Scope::Host.is_told_apart(key), is_told_apart, "{key}");
            assert!(Scope::Upstream.is_told_apart(key));
        }
        assert!(!Scope::by(|_| "".into()).is_told_apart("gateway"));
    }
}
