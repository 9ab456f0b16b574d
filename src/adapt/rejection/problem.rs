//! The problems of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::refusal::{Reason, Refusal};

pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Without a type that says more, a problem's title is the status's own (RFC 9457, 4.2.1).
pub(super) fn body(refusal: &Refusal, violated: &[&str]) -> Value {
    let (kind, title) = match refusal.reason {
        Reason::Quota => (QUOTA_EXCEEDED, "Quota exceeded"),
        Reason::Reduced => (REDUCED_CAPACITY, "Temporarily reduced capacity"),
        Reason::Status => {
            let title = refusal.status.canonical_reason();
            ("about:blank", title.unwrap_or_default())
        }
    };
    let mut problem = Map::new();
    problem.insert("type".into(), kind.into());
    problem.insert("title".into(), title.into());
    problem.insert("status".into(), refusal.status.as_u16().into());
    problem.insert("detail".into(), refusal.message.as_str().into());
    if refusal.reason == Reason::Quota && !violated.is_empty() {
        problem.insert("violated-policies".into(), json!(violated));
    }
    problem.into()
}

/// draft-ietf-httpapi-ratelimit-headers-11, section 5: for 429 and 503.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
