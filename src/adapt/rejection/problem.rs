//! The response that an error becomes.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{Full, LengthLimitError};
use serde_json::{Map, Value, json};

use crate::{
    error::{Error, RateLimited, RefusalReason},
    outcome::{FailureKind, Outcome},
    period,
};

/// The response that an error becomes, as the [module docs](super) describe it; for handlers that call a client stack
/// themselves.
///
/// ```
/// use tower_upstream::{Error, adapt::rejection, error::{RateLimited, RefusalReason}};
///
/// let error = Error::RateLimited(RateLimited::new(RefusalReason::QueueFull));
/// assert_eq!(rejection::response(&error).status(), 429);
/// ```
pub fn response(error: &Error) -> Response<Full<Bytes>> {
    written(error, &[]).map(Full::new)
}

/// The response, which names the policies that were violated, as far as they are known.
pub(super) fn written(error: &Error, violated: &[&str]) -> Response<Bytes> {
    let (status, kind) = meaning(error);
    let problem = problem(error, status, kind, violated);
    let mut response = Response::new(Bytes::from(problem.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    // Layers outside, in the same process, are not to take a refusal for an upstream's.
    response
        .extensions_mut()
        .insert(Outcome::from(error.failure()));
    response
}

/// The status, and the type of problem that is registered for it.
fn meaning(error: &Error) -> (StatusCode, Option<&'static str>) {
    match error {
        Error::RateLimited(RateLimited {
            reason: RefusalReason::TooLarge,
            ..
        }) => (StatusCode::PAYLOAD_TOO_LARGE, None),
        Error::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, Some(QUOTA_EXCEEDED)),
        Error::CircuitOpen(_) => (StatusCode::SERVICE_UNAVAILABLE, Some(REDUCED_CAPACITY)),
        Error::Exhausted(exhausted) if exhausted.is_too_large() => {
            (StatusCode::PAYLOAD_TOO_LARGE, None)
        }
        // Refusals of our own alone may be open circuits.
        Error::Exhausted(exhausted) if exhausted.is_rate_limited() && !exhausted.is_refused() => {
            (StatusCode::TOO_MANY_REQUESTS, Some(QUOTA_EXCEEDED))
        }
        Error::Exhausted(_) => (StatusCode::SERVICE_UNAVAILABLE, Some(REDUCED_CAPACITY)),
        Error::Body(error) if error.is::<LengthLimitError>() => {
            (StatusCode::PAYLOAD_TOO_LARGE, None)
        }
        Error::Body(_) => (StatusCode::BAD_REQUEST, None),
        Error::TimedOut { .. } | Error::Service(_) => match error.failure().kind {
            FailureKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, None),
            _ => (StatusCode::BAD_GATEWAY, None),
        },
    }
}

/// Without a type that says more, a problem's title is the status's own (RFC 9457, 4.2.1).
fn problem(error: &Error, status: StatusCode, kind: Option<&str>, violated: &[&str]) -> Value {
    let title = match kind {
        Some(QUOTA_EXCEEDED) => "Quota exceeded",
        Some(_) => "Temporarily reduced capacity",
        None => status.canonical_reason().unwrap_or_default(),
    };
    let mut problem = Map::new();
    problem.insert("type".into(), kind.unwrap_or("about:blank").into());
    problem.insert("title".into(), title.into());
    problem.insert("status".into(), status.as_u16().into());
    problem.insert("detail".into(), error.user_message().into());
    if kind == Some(QUOTA_EXCEEDED) && !violated.is_empty() {
        problem.insert("violated-policies".into(), json!(violated));
    }
    problem.into()
}

/// Rounded up, and never 0, which would invite a hot loop.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    period::whole_seconds(wait).max(1)
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A 429 must not be stored (RFC 6585, section 4), and the others are about now as well.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// draft-ietf-httpapi-ratelimit-headers-11, section 5: for 429 and 503.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
