//! What a caller is told: of an error of the layers, or of an upstream's failure that is not passed on.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use http_body_util::LengthLimitError;

use crate::{
    error::{Error, RateLimited, RefusalReason},
    outcome::{Failure, FailureKind, Outcome},
    period,
};

/// What a caller is told.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: Reason,
    /// For a person.
    pub(super) message: String,
    pub(super) wait: Option<Duration>,
    /// The field of the request that is at fault.
    pub(super) param: Option<Box<str>>,
    pub(super) outcome: Outcome,
}

/// Where a status does not say all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A limit, which frees itself with time.
    Quota,
    /// Upstreams that are left alone, or fail.
    Reduced,
    /// What the status says.
    Status,
}

impl Refusal {
    /// Of an error.
    pub(super) fn of(error: &Error) -> Self {
        let (status, reason) = meaning(error);
        Self {
            status,
            reason,
            message: error.user_message(),
            wait: error.retry_after(),
            param: None,
            outcome: Outcome::from(error.failure()),
        }
    }

    /// Of an upstream's failure, that was answered with this status: its words go on only where they are about the request.
    pub(super) fn of_answer(failure: &Failure, answered: StatusCode) -> Self {
        let is_callers = matches!(
            failure.kind,
            FailureKind::InvalidRequest | FailureKind::ContentFiltered
        );
        let (status, reason) = match failure.kind {
            _ if is_callers && answered.is_client_error() => (answered, Reason::Status),
            // There are errors with the status of a success.
            _ if is_callers => (StatusCode::BAD_REQUEST, Reason::Status),
            FailureKind::RequestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Reason::Status),
            FailureKind::NotFound => (StatusCode::NOT_FOUND, Reason::Status),
            FailureKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Reason::Quota),
            FailureKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, Reason::Reduced),
            FailureKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, Reason::Status),
            _ => (StatusCode::BAD_GATEWAY, Reason::Status),
        };
        let said = failure.message.as_deref().filter(|_| is_callers);
        Self {
            status,
            reason,
            message: said.map_or_else(|| failure.user_message(), str::to_owned),
            wait: failure.hint(),
            param: failure.param.clone(),
            outcome: Outcome::from(failure.clone()),
        }
    }
}

fn meaning(error: &Error) -> (StatusCode, Reason) {
    match error {
        Error::RateLimited(RateLimited {
            reason: RefusalReason::TooLarge,
            ..
        }) => (StatusCode::PAYLOAD_TOO_LARGE, Reason::Status),
        Error::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, Reason::Quota),
        Error::CircuitOpen(_) => (StatusCode::SERVICE_UNAVAILABLE, Reason::Reduced),
        Error::Exhausted(exhausted) if exhausted.is_too_large() => {
            (StatusCode::PAYLOAD_TOO_LARGE, Reason::Status)
        }
        Error::Exhausted(exhausted) if exhausted.is_rate_limited() => {
            (StatusCode::TOO_MANY_REQUESTS, Reason::Quota)
        }
        Error::Exhausted(_) => (StatusCode::SERVICE_UNAVAILABLE, Reason::Reduced),
        Error::Body(error) if error.is::<LengthLimitError>() => {
            (StatusCode::PAYLOAD_TOO_LARGE, Reason::Status)
        }
        Error::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, Reason::Status),
        Error::Body(_) => (StatusCode::BAD_REQUEST, Reason::Status),
        Error::TimedOut { .. } | Error::Service(_) => match error.failure().kind {
            FailureKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, Reason::Status),
            // A layer of this process, not the upstream, has no room.
            FailureKind::Refused => (StatusCode::SERVICE_UNAVAILABLE, Reason::Reduced),
            _ => (StatusCode::BAD_GATEWAY, Reason::Status),
        },
    }
}

/// Rounded up, and never 0, which would invite a hot loop.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    period::whole_seconds(wait).max(1)
}

/// A 429 must not be stored (RFC 6585, section 4), and the others are about now as well.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
