//! Errors in OpenAI's form, and the id of each request in its answer.

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::json;
use tower_upstream::{Error, adapt::rejection};

/// What a caller is told. It travels in the extensions of a response, and is written where the request's id is known.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    param: Option<&'static str>,
    message: String,
    retry_after: Option<HeaderValue>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            param: None,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message).param(param)
    }

    pub(crate) fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param).filter(|param| !param.is_empty());
        self
    }

    fn body(&self, id: &HeaderValue) -> Body {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let (message, code, param) = (&self.message, self.code, self.param);
        let error = json!({ "message": message, "type": kind, "param": param, "code": code });
        json!({ "error": error, "request_id": id.to_str().ok() })
            .to_string()
            .into()
    }
}

/// What a layer refused, with the status and the wait that the crate gives it, and the words for a person.
impl From<&Error> for ApiError {
    fn from(error: &Error) -> Self {
        let mut refusal = rejection::response(error);
        let code = match refusal.status() {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::GATEWAY_TIMEOUT => "timeout",
            StatusCode::BAD_GATEWAY => "upstream_error",
            _ => "unavailable",
        };
        let mut told = Self::new(refusal.status(), code, error.user_message());
        told.retry_after = refusal.headers_mut().remove(RETRY_AFTER);
        told
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let wait = self.retry_after.clone().map(|wait| (RETRY_AFTER, wait));
        response.headers_mut().extend(wait);
        response.extensions_mut().insert(self);
        response
    }
}

/// What becomes of a refusal of the layer that limits tenants.
pub(crate) fn rejected(error: &Error, _: http::Response<Bytes>) -> http::Response<Bytes> {
    ApiError::from(error).into_response().map(|_| Bytes::new())
}

/// Gives each request an id where it has none, each answer the id of its request, and each error its body.
pub(crate) async fn identified(mut request: Request, next: Next) -> Response {
    let is_sane = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = request.headers().get(REQUEST_ID).filter(is_sane).cloned();
    let made = || HeaderValue::try_from(format!("req_{:032x}", fastrand::u128(..)));
    let id = given
        .map_or_else(made, Ok)
        .unwrap_or(HeaderValue::from_static("req"));
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        *response.body_mut() = error.body(&id);
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if error.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
