//! What status and headers say.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

use super::hit::reset_of_hit;
use crate::{
    outcome::{Failure, FailureKind, LimitHit, Outcome},
    signal::{headers::quotas, hint},
};

/// What an answer meant, by its status and headers alone: what every layer can do about any HTTP service.
///
/// Below 400 it is a success, at the price of a comparison. Above, the kind is that of the status, the wait that of
/// [`hint::retry_after`], and `x-should-retry` overrules [`Failure::retry_same`]. Who is over a limit and is told no wait waits for
/// the reset of what quota headers say is used up.
#[inline]
pub fn outcome_of_head(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Outcome {
    if status.as_u16() < 400 {
        return Outcome::Success;
    }
    failure_of_head(status, headers, now).into()
}

fn failure_of_head(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Failure {
    let mut failure = match is_limit_in_disguise(status, headers) {
        true => Failure::new(FailureKind::RateLimited),
        false => failure_of_status(status),
    };
    failure.retry_after = hint::retry_after(headers, now);
    if failure.kind == FailureKind::RateLimited && failure.retry_after.is_none() {
        failure.retry_after = reset_of_hit(&LimitHit::default(), &quotas(headers, now));
    }
    if let Some(should_retry) = hint::should_retry(headers) {
        failure.retry_same = should_retry;
    }
    failure
}

/// GitHub answers 403 to who is over a limit, and tells by its headers
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>).
pub(super) fn is_limit_in_disguise(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::FORBIDDEN
        && (headers.contains_key(http::header::RETRY_AFTER)
            || headers
                .get("x-ratelimit-remaining")
                .is_some_and(|left| left == "0"))
}

/// What the status means by itself.
pub(super) fn failure_of_status(status: StatusCode) -> Failure {
    let kind = kind_of_status(status.as_u16());
    let mut failure = Failure::new(kind);
    match status.as_u16() {
        // It will not learn the protocol version by waiting.
        505 => failure.retry_same = false,
        // A collision with another request, a lock, TLS early data: it passes by itself. Yet the upstream is well, and
        // another would have none of it.
        409 | 423 | 425 => failure.retry_same = true,
        _ => {}
    }
    failure
}

fn kind_of_status(status: u16) -> FailureKind {
    match status {
        401 | 403 | 407 => FailureKind::Auth,
        // Payment required: no money, no answer.
        402 => FailureKind::QuotaExhausted,
        // 501: the upstream is well, and cannot do what was asked for. It will not learn it by waiting.
        404 | 410 | 501 => FailureKind::NotFound,
        // 522 and 524: Cloudflare waited for the origin in vain. 598: a proxy's read timed out.
        408 | 504 | 522 | 524 | 598 => FailureKind::Timeout,
        413 => FailureKind::RequestTooLarge,
        // Refused for legal reasons, which another place may not share.
        451 => FailureKind::ContentFiltered,
        429 => FailureKind::RateLimited,
        // 529: Anthropic's, and others' since. 498: Groq's flex tier has no capacity.
        498 | 503 | 529 => FailureKind::Overloaded,
        // Hugging Face's: the generation failed.
        424 => FailureKind::ServerError,
        400..=499 => FailureKind::InvalidRequest,
        _ => FailureKind::ServerError,
    }
}
