//! What travels in a request's extensions, and how the layers look at a request.

use std::{
    fmt, mem,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{Extensions, HeaderMap, Method, Request, Uri, header::HOST};

use crate::{outcome::Failure, upstream::Upstream};

pub use crate::cost::{Cost, Price};

/// A request without its body, as closures of the user see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The extensions: [`Upstream`], [`Cost`], [`Priority`] and what the user put in.
    pub extensions: &'a Extensions,
    /// The upstream, where it has been looked up, or one that is only considered in place of that in the extensions.
    known: Option<Option<&'a Upstream>>,
}

impl<'a> RequestHead<'a> {
    /// The head of this request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self::new(
            request.method(),
            request.uri(),
            request.headers(),
            request.extensions(),
        )
    }

    pub(crate) fn new(
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        extensions: &'a Extensions,
    ) -> Self {
        Self {
            method,
            uri,
            headers,
            extensions,
            known: None,
        }
    }

    /// The same request, with its upstream looked up once for all who ask.
    #[inline]
    pub(crate) fn with_upstream(self) -> Self {
        Self {
            known: Some(self.upstream()),
            ..self
        }
    }

    /// The same request, were it for this upstream.
    pub fn toward(self, upstream: &'a Upstream) -> Self {
        Self {
            known: Some(Some(upstream)),
            ..self
        }
    }

    /// The upstream that the request is for, where a layer chose one.
    #[inline]
    pub fn upstream(&self) -> Option<&'a Upstream> {
        match self.known {
            Some(upstream) => upstream,
            None if self.extensions.is_empty() => None,
            None => self.extensions.get(),
        }
    }

    /// The host and port that the request is for, from its target or its `Host` field, without credentials.
    pub fn authority(&self) -> Option<&'a str> {
        let authority = self.full_authority()?;
        // `rsplit` searches in a way that is made for longer texts.
        match authority.bytes().rposition(|byte| byte == b'@') {
            Some(at) => Some(&authority[at + 1..]),
            None => Some(authority),
        }
    }

    /// The authority with its credentials, if it has some.
    #[inline]
    fn full_authority(&self) -> Option<&'a str> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None if self.headers.is_empty() => None,
            None => self.headers.get(HOST)?.to_str().ok(),
        }
    }
}

/// Who goes first when requests wait: high before normal before low, but for those that have waited long: a request goes
/// before one of the next higher priority that came 30 s after it or later. Put it into the request's extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// As if it had come 30 s later.
    Low,
    /// The default.
    #[default]
    Normal,
    /// As if it had come 30 s earlier.
    High,
}

/// When the caller stops waiting. Put it into the request's extensions.
///
/// A layer whose wait would pass it does not begin that wait, and a request that comes after it is not sent: the rate limit, retry
/// and fallback layers fail it at once with [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded). Nor does a fallback turn to
/// the next upstream then. A call that is under way is not cut off, nor is an answer's body. For calls there is [`RetryPolicy::attempt_timeout`](crate::RetryPolicy::attempt_timeout); for all together,
/// wrap a `tokio::time::timeout_at` around the call and the reading of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// Whether these extensions carry one that has passed. The time is read only where there is one.
    #[inline]
    pub(crate) fn has_passed(extensions: &Extensions, now: impl FnOnce() -> Instant) -> bool {
        let own = || extensions.get::<Self>();
        !extensions.is_empty() && own().is_some_and(|Self(deadline)| now() > *deadline)
    }
}

/// Who makes a request: an agent, a tenant, a user. Put it into the request's extensions, for limiters of the scope `caller`.
///
/// It stands in events, errors and states: give no secret, and no name that the caller could make up for himself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(pub Arc<str>);

/// When the attempt under way is cut off by the layer that made it.
///
/// A future that is dropped learns no reason. So the retry layer writes this into each attempt's extensions when it has an
/// attempt timeout, and never a later one over that of another outside. The circuit breaker reads it, to tell an attempt
/// that timed out from a caller who went away; the rate limiter too, to begin no wait that would end after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptDeadline(pub(crate) Instant);

/// Which requests share one state: one window, one breaker.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Scope {
    /// All requests together.
    All,
    /// Each [`Upstream`] its own; requests without one together.
    #[default]
    Upstream,
    /// Each [`Upstream`] its own; requests without one by host and port.
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

    /// The key of this request. Only a host in capitals allocates here, and [`Scope::By`] as it likes.
    #[inline(always)]
    pub(crate) fn key<'a>(&self, head: &RequestHead<'a>) -> Key<'a> {
        let upstream = || head.upstream().map(Upstream::shared_id);
        match self {
            Self::All => Key::Text(""),
            Self::Upstream => upstream().map_or(Key::Text(""), Key::Shared),
            Self::Host => match upstream() {
                Some(id) => Key::Shared(id),
                None => head.authority().map_or(Key::Text(""), Key::host),
            },
            Self::Provider => match head.upstream() {
                Some(upstream) => Key::Shared(upstream.provider().shared_name()),
                None => Key::Text(""),
            },
            Self::By(key) => Key::Made((key.0)(head)),
        }
    }

    /// Whether [`is_key`](Self::is_key) may be asked for this key. Not where a closure makes keys, which would be asked twice; nor
    /// for an upstream that is called as a host is that is to be written otherwise.
    pub(crate) fn is_told_apart(&self, key: &str) -> bool {
        let is_plain = |byte: u8| byte != b'@' && !byte.is_ascii_uppercase();
        match self {
            Self::By(_) => false,
            // No host has a slash in it.
            Self::Host => key.contains('/') || key.bytes().all(is_plain),
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
            // No host's key has capitals or credentials: a host that is the same has none, and is its own key.
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

/// The ledger of one request: every attempt that failed, over retries and fallbacks together.
///
/// The fallback layer opens one for each request and the retry layer writes into the same. Put one into the request's
/// extensions yourself to keep a handle on it, or to cap the attempts of that one request.
#[derive(Clone, Debug)]
pub struct Attempts {
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    max: u32,
    alternatives: AtomicU32,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Whether a layer keeps the ledger, which then records how the last attempt ended.
    is_kept: bool,
    /// When the attempt under way began, once somebody has noted it.
    began: Option<Instant>,
    failed: Vec<Attempt>,
}

/// One attempt that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Where it was sent, where a layer chose that.
    pub upstream: Option<Arc<str>>,
    /// What came back.
    pub failure: Failure,
    /// How long it took, from when it was begun to its response head or its error: with the time that it waited in line at a limiter
    /// inside, so it is what its caller saw and not the upstream's own time. That is in the
    /// [`Receipt`](crate::observe::Receipt), and the wait in [`Event::Admitted`](crate::observe::Event::Admitted).
    pub took: Duration,
    /// What was done next.
    pub next: Next,
}

#[cfg(test)]
impl Attempt {
    pub(crate) fn example(upstream: &str, kind: crate::outcome::FailureKind) -> Self {
        Self {
            upstream: Some(upstream.into()),
            failure: Failure::new(kind),
            took: Duration::ZERO,
            next: Next::Stop,
        }
    }
}

/// What a layer did after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Waited so long and sent the request to the same upstream again.
    Retry {
        /// The wait.
        wait: Duration,
    },
    /// Sent the request to the next upstream.
    FallBack,
    /// Gave up.
    Stop,
}

impl Attempts {
    /// An empty ledger for at most `max` attempts in all; 0 counts as 1.
    pub fn new(max: u32) -> Self {
        let ledger = Ledger {
            max: max.max(1),
            alternatives: AtomicU32::new(0),
            log: Mutex::default(),
        };
        Self {
            ledger: Arc::new(ledger),
        }
    }

    /// The attempts that failed, in the order in which they were made.
    pub fn failed(&self) -> Vec<Attempt> {
        self.log().failed.clone()
    }

    /// How many attempts have failed.
    pub fn count(&self) -> u32 {
        u32::try_from(self.log().failed.len()).unwrap_or(u32::MAX)
    }

    /// How many more upstreams the fallback layer could still turn to.
    pub fn alternatives(&self) -> u32 {
        self.ledger.alternatives.load(Relaxed)
    }

    /// Whether one more attempt may follow the one that is under way.
    #[inline]
    pub(crate) fn allows_another(&self) -> bool {
        let max = self.ledger.max;
        max == u32::MAX || self.log().failed.len() + 1 < max as usize
    }

    /// Says how many more upstreams could still be turned to; a fallback of your own calls it before each attempt.
    ///
    /// While there are any, the retry layer waits for short hints only.
    pub fn set_alternatives(&self, alternatives: u32) {
        // Whoever reads it was given the request after that.
        self.ledger.alternatives.store(alternatives, Relaxed);
    }

    /// Keeps the ledger from now on. False where a layer outside keeps it already.
    pub(crate) fn keep(&self) -> bool {
        !mem::replace(&mut self.log().is_kept, true)
    }

    /// The next attempt begins, at this time where that is known already: else it is what [`note_start`](Self::note_start) says.
    pub(crate) fn begin(&self, now: impl Into<Option<Instant>>) {
        let mut log = self.log();
        (log.is_kept, log.began) = (true, now.into());
    }

    /// When the attempt under way began: now, where nobody has noted it. So the time is read once for all layers, and not at all
    /// for an attempt that has ended already.
    pub(crate) fn note_start(&self, now: impl FnOnce() -> Instant) -> Instant {
        *self.log().began.get_or_insert_with(now)
    }

    pub(crate) fn record(
        &self,
        upstream: Option<Arc<str>>,
        failure: Failure,
        next: Next,
        now: Instant,
    ) {
        let mut log = self.log();
        let took = log
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        log.failed.push(Attempt {
            upstream,
            failure,
            took,
            next,
        });
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.ledger
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Attempts {
    /// A ledger without a cap of its own.
    fn default() -> Self {
        Self::new(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
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
                // Capitals and credentials have to be looked at.
                let is_plain = matches!(keys[0], Key::Shared(_))
                    || !one.uri().to_string().contains(['@', 'A']);
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

    #[test]
    fn a_ledger_allows_its_cap_and_no_more() {
        let attempts = Attempts::new(2);
        assert!(attempts.allows_another());
        let failure = Failure::new(crate::outcome::FailureKind::ServerError);
        let now = crate::clock::Clock::now(&crate::clock::TokioClock);
        attempts.begin(now);
        attempts.record(
            None,
            failure,
            Next::FallBack,
            now + Duration::from_millis(3),
        );
        assert!(!attempts.allows_another());
        assert_eq!(attempts.failed()[0].took, Duration::from_millis(3));
    }
}
