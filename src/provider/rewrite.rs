//! A request as its provider wants it: URL, credentials, and the model in the JSON body.

use std::iter::repeat;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Uri, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST},
    uri::{Parts, PathAndQuery},
};
use http_body_util::{BodyExt, Full};

use super::edit::edit;
use crate::upstream::{Credentials, Provider, Upstream, Wire};

/// Turns a request into one for this upstream.
///
/// Whatever credentials it carries were meant for somebody else, and go.
pub(super) fn address(
    mut request: Request<Full<Bytes>>,
    upstream: &Upstream,
    include_usage: bool,
) -> Request<Full<Bytes>> {
    let provider = upstream.provider();
    let path = below_base(request.uri().path()).to_owned();
    *request.uri_mut() = target(upstream, &path, request.uri().query().unwrap_or_default());
    *request.version_mut() = Version::default();
    exchange_credentials(request.headers_mut(), provider, &path);
    let include_usage = include_usage && path.starts_with("/chat/completions");
    let (mut parts, body) = request.into_parts();
    let body = bytes_of(body);
    let body = match edit(&body, upstream.model(), include_usage) {
        Some(edited) => {
            parts.headers.remove(CONTENT_LENGTH);
            edited
        }
        None => body,
    };
    Request::from_parts(parts, Full::new(body))
}

/// The path without the `/v1` or `/openai/v1` that callers put before it: that is part of a base URL.
fn below_base(path: &str) -> &str {
    let path = path
        .strip_prefix("/openai")
        .filter(|rest| rest.starts_with("/v1/"))
        .unwrap_or(path);
    path.strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path)
}

fn target(upstream: &Upstream, path: &str, query: &str) -> Uri {
    let provider = upstream.provider();
    let base = provider.url();
    let mut target = base.path().trim_end_matches('/').to_owned();
    let mut own_query = None;
    if let Wire::Azure { api_version } = provider.wire() {
        target.push_str("/openai");
        if let Some(deployment) = upstream.model() {
            target.push_str("/deployments/");
            push_encoded(&mut target, deployment);
        }
        own_query = Some(format!("api-version={api_version}"));
    }
    target.push_str(path);
    let replaced = |pair: &str| own_query.is_some() && pair.starts_with("api-version=");
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_credential(pair) && !replaced(pair));
    for (pair, separator) in own_query
        .as_deref()
        .into_iter()
        .chain(pairs)
        .zip(["?"].into_iter().chain(repeat("&")))
    {
        target.push_str(separator);
        target.push_str(pair);
    }
    let mut parts = Parts::default();
    (parts.scheme, parts.authority) = (base.scheme().cloned(), base.authority().cloned());
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    // Both halves come from valid URIs, so together they are one.
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
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

fn exchange_credentials(headers: &mut HeaderMap, provider: &Provider, path: &str) {
    headers.remove(HOST);
    let is_owned = |name: &str| CREDENTIALS.contains(&name) || OWNERS.contains(&name);
    let secret = headers
        .iter()
        .filter(|(name, value)| value.is_sensitive() || is_owned(name.as_str()));
    let secret: Vec<_> = secret.map(|(name, _)| name.clone()).collect();
    for name in secret {
        headers.remove(name);
    }
    let Some(Credentials { bearer, key }) = provider.credentials() else {
        return;
    };
    match provider.wire() {
        Wire::Azure { .. } => headers.insert("api-key", key.clone()),
        Wire::Anthropic if path.starts_with("/messages") => {
            headers
                .entry("anthropic-version")
                .or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
            headers.insert("x-api-key", key.clone())
        }
        Wire::OpenAi | Wire::Anthropic => headers.insert(AUTHORIZATION, bearer.clone()),
    };
}

/// The version that Anthropic's API has had since 2023: <https://docs.claude.com/en/api/versioning>.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Header fields that carry the credentials of some provider or gateway.
pub(crate) const CREDENTIALS: [&str; 13] = [
    "api-key",
    "authorization",
    "cf-aig-authorization",
    "cookie",
    "helicone-auth",
    "ocp-apim-subscription-key",
    "proxy-authorization",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
    "x-portkey-api-key",
    "x-portkey-virtual-key",
];

/// Header fields that name the owner of credentials.
const OWNERS: [&str; 3] = [
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
];

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
    let frame = futures::FutureExt::now_or_never(body.frame()).flatten();
    frame
        .and_then(Result::ok)
        .and_then(|frame| frame.into_data().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressed(request: Request<Full<Bytes>>, upstream: &Upstream) -> (Uri, HeaderMap, Bytes) {
        let (parts, body) = address(request, upstream, false).into_parts();
        (parts.uri, parts.headers, bytes_of(body))
    }

    fn uri(upstream: &Upstream, requested: &str) -> String {
        let request = Request::post(requested).body(Full::default()).unwrap();
        addressed(request, upstream).0.to_string()
    }

    #[test]
    fn the_path_goes_below_the_base_url_whatever_prefix_the_caller_used() {
        let upstream = Provider::groq().model("m");
        for path in [
            "/v1/chat/completions",
            "/chat/completions",
            "/openai/v1/chat/completions",
            "http://localhost/v1/chat/completions",
        ] {
            assert_eq!(
                uri(&upstream, path),
                "https://api.groq.com/openai/v1/chat/completions",
                "{path}"
            );
        }
        let odd = uri(&upstream, "/v10/x?a=1&key=secret&b=2");
        assert_eq!(odd, "https://api.groq.com/openai/v1/v10/x?a=1&b=2");
    }

    #[test]
    fn azure_has_the_deployment_in_the_path_and_its_version_in_the_query() {
        let azure = Provider::azure("https://mine.openai.azure.com/", "2024-10-21")
            .unwrap()
            .key("mine")
            .unwrap();
        let upstream = azure.model("my gpt");
        assert_eq!(
            uri(&upstream, "/v1/chat/completions?api-version=old&x=1"),
            "https://mine.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21&x=1"
        );
        let request = Request::post("/v1/chat/completions")
            .body(Full::default())
            .unwrap();
        let (_, headers, _) = addressed(request, &upstream);
        assert_eq!(headers["api-key"], "mine");
        assert!(!headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn anthropic_takes_the_key_in_its_own_field_below_messages_and_as_a_token_elsewhere() {
        let upstream = Provider::anthropic().key("mine").unwrap().model("m");
        let headers = |path: &str| {
            let request = Request::post(path).body(Full::default()).unwrap();
            addressed(request, &upstream).1
        };
        let native = headers("/v1/messages");
        assert_eq!(native["x-api-key"], "mine");
        assert_eq!(native["anthropic-version"], "2023-06-01");
        assert!(!native.contains_key(AUTHORIZATION));
        let compatible = headers("/v1/chat/completions");
        assert_eq!(compatible[AUTHORIZATION], "Bearer mine");
        assert!(!compatible.contains_key("x-api-key"));
    }

    #[test]
    fn credentials_of_somebody_else_go_and_the_provider_s_own_come() {
        let mut secret = HeaderValue::from_static("other");
        secret.set_sensitive(true);
        let request = Request::post("/v1/chat/completions")
            .header(HOST, "localhost")
            .header(AUTHORIZATION, "Bearer other")
            .header("x-api-key", "other")
            .header("Openai-Organization", "other")
            .header("x-session", secret)
            .header("x-trace", "stays")
            .body(Full::default())
            .unwrap();
        let upstream = Provider::openai().key("mine").unwrap().model("m");
        let (_, headers, _) = addressed(request, &upstream);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-trace"], "stays");
        assert_eq!(headers[AUTHORIZATION], "Bearer mine");
        assert!(headers[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn a_body_that_changes_its_length_loses_the_old_one() {
        let upstream = Provider::ollama().model("a-longer-name");
        let request = Request::post("/v1/x").header(CONTENT_LENGTH, "13");
        let (_, headers, body) = addressed(
            request.body(Full::from(r#"{"model":"x"}"#)).unwrap(),
            &upstream,
        );
        assert_eq!(body, r#"{"model":"a-longer-name"}"#);
        assert!(!headers.contains_key(CONTENT_LENGTH));
    }
}
