//! A request as its provider wants it: URL, credentials, and the model in the JSON body.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST},
    uri::{Parts, PathAndQuery},
};
use http_body::Body;
use http_body_util::Full;

use super::{edit::edit, form};
use crate::{
    outline::Outline,
    upstream::{Credentials, Provider, Upstream, Wire},
};

/// Turns a request into one for this upstream.
///
/// Whatever credentials it carries were meant for somebody else, and go. Returns whether it asks for a stream.
pub(super) fn address(
    request: &mut Request<Full<Bytes>>,
    upstream: &Upstream,
    include_usage: bool,
) -> bool {
    let path = below_base(request.uri().path(), upstream.provider().wire());
    let include_usage = include_usage && path.ends_with("/chat/completions");
    let credentials = credentials(upstream.provider(), path);
    let target = match request.uri().query() {
        None => upstream.target(path, || target(upstream, path, "")),
        Some(query) => target(upstream, path, query),
    };
    *request.uri_mut() = target;
    *request.version_mut() = Version::default();
    exchange_credentials(request.headers_mut(), credentials);
    // What comes compressed for the caller, nobody on the way can read. A client that unpacks asks for it by itself, below.
    request.headers_mut().remove(ACCEPT_ENCODING);
    let body = bytes_of(mem::take(request.body_mut()));
    let told = request.extensions_mut().remove::<Outline>();
    let outline = told.filter(|outline| outline.is_of(&body));
    let outline = outline.or_else(|| Outline::of(&body));
    let is_stream = outline.as_ref().is_some_and(|outline| outline.streams);
    let edited = match outline {
        Some(outline) => edit(&body, &outline, upstream.quoted_model(), include_usage),
        None => edited_form(request.headers(), &body, upstream),
    };
    if edited.is_some() {
        request.headers_mut().remove(CONTENT_LENGTH);
    }
    *request.body_mut() = Full::new(edited.unwrap_or(body));
    is_stream
}

/// The body with the upstream's model, where it is a form that names another.
fn edited_form(headers: &HeaderMap, body: &Bytes, upstream: &Upstream) -> Option<Bytes> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    form::edit(body, &form::boundary(content_type)?, upstream.model()?)
}

/// The path without the `/v1` or `/openai/v1` that callers put before it: that is part of a base URL. Who spoke to Azure before
/// writes `/openai` alone.
fn below_base<'a>(path: &'a str, wire: &Wire) -> &'a str {
    let prefix = match wire {
        Wire::Azure { .. } => "/",
        Wire::OpenAi | Wire::Anthropic => "/v1/",
    };
    let path = path
        .strip_prefix("/openai")
        .filter(|rest| rest.starts_with(prefix))
        .unwrap_or(path);
    path.strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path)
}

fn target(upstream: &Upstream, mut path: &str, query: &str) -> Uri {
    let provider = upstream.provider();
    let base = provider.url();
    let base_path = base.path().trim_end_matches('/');
    // Where nothing is added to it, it is as long as that, and becomes the target without a copy.
    let mut target = String::with_capacity(base_path.len() + path.len());
    target.push_str(base_path);
    let mut own_query = None;
    if let Wire::Azure { api_version } = provider.wire() {
        target.push_str("/openai");
        if let (Some(deployment), Some(operation)) = (upstream.model(), of_deployment(path)) {
            path = operation;
            target.push_str("/deployments/");
            push_encoded(&mut target, deployment);
        }
        own_query = Some(&**api_version);
    }
    target.push_str(path);
    let mut separator = '?';
    if let Some(version) = own_query {
        target.extend(["?api-version=", version]);
        separator = '&';
    }
    let replaced = |pair: &str| own_query.is_some() && pair.starts_with("api-version=");
    for pair in query.split('&') {
        if !pair.is_empty() && !is_credential(pair) && !replaced(pair) {
            target.push(separator);
            target.push_str(pair);
            separator = '&';
        }
    }
    let mut parts = Parts::default();
    (parts.scheme, parts.authority) = (base.scheme().cloned(), base.authority().cloned());
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    // Both halves come from valid URIs, so together they are one.
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
}

/// What is asked of one of Azure's deployments, where it is: that of the caller, below `/deployments/NAME`, or an operation that has
/// to name one (<https://learn.microsoft.com/azure/ai-foundry/openai/reference>). Responses, files, batches and whatever else there
/// is stand beside them.
fn of_deployment(path: &str) -> Option<&str> {
    if let Some(named) = path.strip_prefix("/deployments/") {
        return named.find('/').map(|end| &named[end..]);
    }
    let names_one = matches!(path, "/chat/completions" | "/completions" | "/embeddings")
        || path.starts_with("/images/")
        || path.starts_with("/audio/");
    names_one.then_some(path)
}

/// A name as one segment of a path (RFC 3986, 3.3).
fn push_encoded(target: &mut String, segment: &str) {
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                target.push(char::from(byte));
            }
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// The provider's own credentials, as it wants them below this path.
fn credentials<'a>(provider: &'a Provider, path: &str) -> Option<(HeaderName, &'a HeaderValue)> {
    let Credentials { bearer, key } = provider.credentials()?;
    Some(match provider.wire() {
        Wire::Azure { .. } => (API_KEY, key),
        Wire::Anthropic if path.starts_with("/messages") => (X_API_KEY, key),
        Wire::OpenAi | Wire::Anthropic => (AUTHORIZATION, bearer),
    })
}

fn exchange_credentials(headers: &mut HeaderMap, own: Option<(HeaderName, &HeaderValue)>) {
    headers.remove(HOST);
    remove_named_by_connection(headers);
    // What the own ones replace needs no removal.
    let goes = |(name, value): &(&HeaderName, &HeaderValue)| {
        (value.is_sensitive()
            || carries_credentials(name)
            || names_an_owner(name)
            || is_for_next_hop(name))
            && own.as_ref().is_none_or(|(own, _)| own != name)
    };
    while let Some((name, _)) = headers.iter().find(goes) {
        let name = name.clone();
        headers.remove(name);
    }
    let Some((name, value)) = own else { return };
    if name == X_API_KEY {
        headers
            .entry("anthropic-version")
            .or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    headers.insert(name, value.clone());
}

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Anthropic's own.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The version that Anthropic's API has had since 2023: <https://docs.claude.com/en/api/versioning>.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Whether a header field carries the credentials of some provider or gateway.
pub(crate) fn carries_credentials(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "api-key"
            | "authorization"
            | "cf-aig-authorization"
            | "cookie"
            | "helicone-auth"
            | "ocp-apim-subscription-key"
            | "proxy-authorization"
            | "x-amz-security-token"
            | "x-api-key"
            | "x-auth-token"
            | "x-goog-api-key"
            | "x-portkey-api-key"
            | "x-portkey-virtual-key"
    )
}

/// Whether a header field names the owner of credentials.
fn names_an_owner(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "openai-organization" | "openai-project" | "x-goog-user-project"
    )
}

/// Whether a header field is meant for whoever takes the connection, which is not the provider
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)). `expect` is, too, for the body is in memory.
fn is_for_next_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "connection" | "expect" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    ) || name.starts_with("proxy-")
}

/// Removes the fields that `connection` names: they are for the next hop as well.
fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let lines = headers.get_all(CONNECTION).iter();
    let names = lines.filter_map(|line| line.to_str().ok());
    let names = names.flat_map(|line| line.split(','));
    let names: Vec<HeaderName> = names.filter_map(|name| name.trim().parse().ok()).collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a pair of the query carries a key.
fn is_credential(pair: &str) -> bool {
    const NAMES: [&str; 7] = [
        "access_token",
        "api-key",
        "api_key",
        "apikey",
        "key",
        "subscription-key",
        "token",
    ];
    let name = pair.split('=').next().unwrap_or_default();
    NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// The bytes of a body that lies in memory.
fn bytes_of(mut body: Full<Bytes>) -> Bytes {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests;
