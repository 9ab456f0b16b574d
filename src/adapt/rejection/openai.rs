//! The form of errors that OpenAI's clients read.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE as FIELD, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde_json::{Value, json};

use super::refusal::{NO_STORE, Refusal};

pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// An error of your own in the form that [`RejectionLayer::openai`](super::RejectionLayer::openai) gives to those of the
/// layers, with the same code for the same status, unless you name another.
///
/// ```
/// use http::StatusCode;
/// use tower_upstream::adapt::rejection::OpenAiError;
///
/// let error = OpenAiError::new(StatusCode::NOT_FOUND, "There is no such model.");
/// let response = error.code("model_not_found").param("model").response();
/// assert_eq!(response.status(), 404);
/// ```
#[derive(Clone, Debug)]
#[must_use = "an error is told by its response"]
pub struct OpenAiError {
    status: StatusCode,
    message: String,
    code: &'static str,
    param: Option<String>,
}

impl OpenAiError {
    /// An error of this status, with this message for a person.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => "invalid_api_key",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            status if status.is_client_error() => "invalid_request",
            _ => "upstream_error",
        };
        Self {
            status,
            message: message.into(),
            code,
            param: None,
        }
    }

    /// Sets what a program calls it. Default: by the status, such as `not_found`.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// Sets the field of the request that is at fault. Default: none.
    pub fn param(mut self, name: impl Into<String>) -> Self {
        self.param = Some(name.into());
        self
    }

    /// The response. A 401 asks for a key as OpenAI's clients send theirs, `WWW-Authenticate: Bearer`.
    pub fn response(&self) -> Response<Full<Bytes>> {
        self.answer().map(Full::new)
    }

    pub(crate) fn answer(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(FIELD, CONTENT_TYPE);
        headers.insert(CACHE_CONTROL, NO_STORE);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2: with a challenge, always.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// By [OpenAI's reference](https://platform.openai.com/docs/guides/error-codes): clients choose by status, and show the rest.
    fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let (message, code) = (&self.message, self.code);
        json!({ "error": { "message": message, "type": kind, "param": self.param, "code": code } })
    }
}

/// What a refusal is called there.
pub(super) fn body_of(refusal: &Refusal) -> Value {
    let error = OpenAiError::new(refusal.status, &*refusal.message);
    let param = refusal.param.as_deref().map(str::to_owned);
    OpenAiError { param, ..error }.body()
}
