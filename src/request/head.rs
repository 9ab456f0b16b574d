//! How the layers look at a request.

use http::{Extensions, HeaderMap, Method, Request, Uri, header::HOST};

use crate::upstream::Upstream;

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
    /// The extensions: [`Upstream`], [`Cost`](crate::Cost), [`Priority`](crate::Priority) and what the user put in.
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
    pub(super) fn full_authority(&self) -> Option<&'a str> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None if self.headers.is_empty() => None,
            None => self.headers.get(HOST)?.to_str().ok(),
        }
    }
}
