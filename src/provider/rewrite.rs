//! A request as its provider wants it: URL, credentials, and the model in the JSON body.

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, Request, Uri, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHORIZATION},
    uri::{Parts, PathAndQuery},
};
use http_body_util::{BodyExt, Full};

use crate::{
    signal::json::{Scanner, Token},
    upstream::{Provider, Upstream},
};

/// Turns a request into one for this upstream.
///
/// Whatever credentials it carries were meant for somebody else, and go.
pub(super) fn address(
    mut request: Request<Full<Bytes>>,
    upstream: &Upstream,
) -> Request<Full<Bytes>> {
    let provider = upstream.provider();
    *request.uri_mut() = target(provider.url(), request.uri());
    *request.version_mut() = Version::default();
    exchange_credentials(request.headers_mut(), provider);
    match upstream.model() {
        Some(model) => {
            request.headers_mut().remove(CONTENT_LENGTH);
            request.map(|body| Full::new(with_model(&bytes_of(body), model)))
        }
        None => request,
    }
}

/// The request's path below the provider's base URL. A leading `/v1` or `/openai/v1` is part of a base URL, not of the
/// path.
fn target(base: &Uri, requested: &Uri) -> Uri {
    let path = requested.path();
    let path = path
        .strip_prefix("/openai")
        .filter(|rest| rest.starts_with("/v1/"))
        .unwrap_or(path);
    let path = path
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    let mut joined = format!("{}{path}", base.path().trim_end_matches('/'));
    let pairs = requested.query().unwrap_or_default().split('&');
    let pairs = pairs.filter(|pair| !pair.is_empty() && !is_credential(pair));
    for (pair, separator) in pairs.zip(["?"].into_iter().chain(std::iter::repeat("&"))) {
        joined.push_str(separator);
        joined.push_str(pair);
    }
    let mut parts = Parts::default();
    (parts.scheme, parts.authority) = (base.scheme().cloned(), base.authority().cloned());
    parts.path_and_query = PathAndQuery::try_from(joined).ok();
    // Both halves come from valid URIs, so together they are one.
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
}

fn exchange_credentials(headers: &mut HeaderMap, provider: &Provider) {
    headers.remove(HOST);
    for name in &CREDENTIALS {
        headers.remove(name);
    }
    if let Some(credentials) = provider.credentials() {
        headers.insert(AUTHORIZATION, credentials.clone());
    }
}

/// Header fields that carry, or name the owner of, the credentials of some provider.
const CREDENTIALS: [HeaderName; 8] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
];

fn is_credential(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    ["key", "api_key", "api-key", "access_token"]
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

/// The JSON object with another value for its `model`, and not a byte else changed. Without a `model` it gets one; what
/// is no object stays as it is.
pub(super) fn with_model(body: &Bytes, model: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else {
        return body.clone();
    };
    let name = serde_json::Value::from(model).to_string();
    let mut depth = 0_u32;
    for token in Scanner::new(text) {
        match token {
            Token::Enter(_) => depth += 1,
            Token::Leave => depth = depth.saturating_sub(1),
            Token::Text("model", value) if depth == 1 => {
                // The scanner's strings are slices of the text; the quotes stand around this one.
                let start = value.0.as_ptr() as usize - text.as_ptr() as usize;
                return splice(text, start - 1, start + value.0.len() + 1, &name);
            }
            _ => {}
        }
    }
    match text.find(|c: char| !c.is_whitespace()) {
        Some(brace) if text[brace..].starts_with('{') => {
            let is_empty = text[brace + 1..].trim_start().starts_with('}');
            let field = format!("\"model\":{name}{}", if is_empty { "" } else { "," });
            splice(text, brace + 1, brace + 1, &field)
        }
        _ => body.clone(),
    }
}

fn splice(text: &str, start: usize, end: usize, with: &str) -> Bytes {
    let end = end.min(text.len());
    let mut spliced = BytesMut::with_capacity(text.len() + with.len());
    for part in [&text[..start], with, &text[end..]] {
        spliced.put_slice(part.as_bytes());
    }
    spliced.freeze()
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
        let (parts, body) = address(request, upstream).into_parts();
        (parts.uri, parts.headers, bytes_of(body))
    }

    #[test]
    fn the_path_goes_below_the_base_url_whatever_prefix_the_caller_used() {
        let groq = Provider::groq();
        for path in [
            "/v1/chat/completions",
            "/chat/completions",
            "/openai/v1/chat/completions",
            "http://localhost/v1/chat/completions",
        ] {
            let target = target(groq.url(), &path.parse().unwrap());
            assert_eq!(
                target, "https://api.groq.com/openai/v1/chat/completions",
                "{path}"
            );
        }
        let odd = target(groq.url(), &"/v10/x?a=1&key=secret&b=2".parse().unwrap());
        assert_eq!(odd, "https://api.groq.com/openai/v1/v10/x?a=1&b=2");
    }

    #[test]
    fn credentials_of_somebody_else_go_and_the_provider_s_own_come() {
        let request = Request::post("/v1/chat/completions")
            .header(HOST, "localhost")
            .header(AUTHORIZATION, "Bearer other")
            .header("x-api-key", "other")
            .header("Openai-Organization", "other")
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
    fn the_model_changes_and_nothing_else_does() {
        let upstream = Provider::ollama().model("llama \"3\"");
        for (body, expected) in [
            (
                r#"{ "n" : 1.0, "model" : "gpt-4", "messages":[{"model":"x"}], "é":"\u00e9" }"#,
                r#"{ "n" : 1.0, "model" : "llama \"3\"", "messages":[{"model":"x"}], "é":"\u00e9" }"#,
            ),
            (
                r#"{"messages":[]}"#,
                r#"{"model":"llama \"3\"","messages":[]}"#,
            ),
            (r#" { } "#, r#" {"model":"llama \"3\"" } "#),
            ("[1]", "[1]"),
            ("", ""),
            ("no json", "no json"),
        ] {
            let request = Request::post("/v1/x").body(Full::from(body)).unwrap();
            let (_, _, changed) = addressed(request, &upstream);
            assert_eq!(changed, expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_model_is_put_into_whatever_comes_without_a_panic(body in ".{0,200}", cut in 0_usize..200) {
            let json = format!(r#"{{"a":{body:?},"model":"x","b":[{body}]}}"#);
            with_model(&Bytes::from(json.clone()), "m");
            with_model(&Bytes::copy_from_slice(&json.as_bytes()[..cut.min(json.len())]), "m");
        }
    }
}
