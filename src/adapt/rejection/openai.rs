//! The form of errors that OpenAI's clients read.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE as FIELD},
};
use http_body_util::Full;
use serde_json::{Value, json};

use super::refusal::{NO_STORE, Refusal};

pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// An error of your own in the form that [`RejectionLayer::openai`](super::RejectionLayer::openai) gives to those of the
/// layers: `param` is the field of the request that is at fault, where it is one.
///
/// ```
/// use http::StatusCode;
/// use tower_upstream::adapt::rejection;
///
/// let message = "There is no such model.";
/// let response = rejection::openai_error(StatusCode::NOT_FOUND, "model_not_found", Some("model"), message);
/// assert_eq!(response.status(), 404);
/// ```
pub fn openai_error(
    status: StatusCode,
    code: &str,
    param: Option<&str>,
    message: &str,
) -> Response<Full<Bytes>> {
    let body = body(status, code, param, message).to_string();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(FIELD, CONTENT_TYPE);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// What a refusal is called there.
pub(super) fn body_of(refusal: &Refusal) -> Value {
    let code = match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        StatusCode::GATEWAY_TIMEOUT => "timeout",
        StatusCode::NOT_FOUND => "not_found",
        status if status.is_client_error() => "invalid_request",
        _ => "upstream_error",
    };
    body(
        refusal.status,
        code,
        refusal.param.as_deref(),
        &refusal.message,
    )
}

/// By [OpenAI's reference](https://platform.openai.com/docs/guides/error-codes): clients choose by status, and show the rest.
fn body(status: StatusCode, code: &str, param: Option<&str>, message: &str) -> Value {
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}
