//! What came back, as every layer reads it: one classifier for all.

use http::Response;

use crate::{
    clock::Clock,
    error::Error,
    outcome::{Failure, Outcome},
    signal,
};

/// The failure in what an inner service gave back, if it is one.
///
/// The [`Outcome`] in the response's extensions wins; without one, status and headers tell. Nothing is computed for a
/// success.
pub(crate) fn failure<B>(
    result: &Result<Response<B>, Error>,
    clock: &dyn Clock,
) -> Option<Failure> {
    match result {
        Ok(response) => failure_of_response(response, clock),
        Err(error) => Some(error.failure()),
    }
}

/// Whether the response is a success, as most are: told without looking further.
#[inline]
pub(crate) fn is_success<B>(response: &Response<B>) -> bool {
    match response.extensions().get::<Outcome>() {
        None => response.status().is_success(),
        Some(outcome) => outcome.is_success(),
    }
}

#[inline]
pub(crate) fn failure_of_response<B>(response: &Response<B>, clock: &dyn Clock) -> Option<Failure> {
    if let Some(outcome) = response.extensions().get::<Outcome>() {
        return outcome.failure().cloned();
    }
    if response.status().is_success() {
        return None;
    }
    match signal::outcome_of_head(response.status(), response.headers(), clock.wall()) {
        Outcome::Success => None,
        Outcome::Failure(failure) => Some(failure),
    }
}
