//! The response that a refusal becomes.

use bytes::Bytes;
use http::{
    Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;

use super::{
    openai, problem,
    refusal::{NO_STORE, Refusal, whole_seconds},
    settings::Form,
};
use crate::error::Error;

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
    written(Refusal::of(error), Form::Problem, &[]).map(Full::new)
}

/// The response; of the policies that were violated, those that are known.
pub(super) fn written(refusal: Refusal, form: Form, violated: &[&str]) -> Response<Bytes> {
    let (content_type, body) = match form {
        Form::Problem => (problem::CONTENT_TYPE, problem::body(&refusal, violated)),
        Form::OpenAi => (openai::CONTENT_TYPE, openai::body_of(&refusal)),
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some(wait) = refusal.wait {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    // Layers outside, in the same process, are not to take a refusal for an upstream's.
    response.extensions_mut().insert(refusal.outcome);
    response
}
