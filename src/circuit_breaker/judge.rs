//! What an answer says of the health of its upstream.

use std::{fmt, sync::Arc};

use http::{Extensions, HeaderMap, Response, StatusCode};

use super::decision::Verdict;
use crate::{
    error::Error,
    outcome::{Failure, FailureKind},
};

/// What came back of a call, without its body, for a [judge](super::CircuitBreaker::judge) of your own.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The status of the response, if there is one.
    pub status: Option<StatusCode>,
    /// The header fields of the response.
    pub headers: Option<&'a HeaderMap>,
    /// The extensions of the response: [`Outcome`](crate::Outcome), and what layers below put there.
    pub extensions: Option<&'a Extensions>,
    /// The error, where there is no response.
    pub error: Option<&'a Error>,
    /// Why it is not what was asked for; `None` where it is.
    pub failure: Option<&'a Failure>,
    /// The verdict without a judge.
    pub verdict: Verdict,
}

impl<'a> Answer<'a> {
    #[inline(always)]
    pub(super) fn of_response<B>(response: &'a Response<B>, failure: Option<&'a Failure>) -> Self {
        Self {
            status: Some(response.status()),
            headers: Some(response.headers()),
            extensions: Some(response.extensions()),
            error: None,
            failure,
            verdict: Verdict::Success,
        }
    }

    pub(super) fn of_error(error: &'a Error, failure: &'a Failure) -> Self {
        Self {
            status: None,
            headers: None,
            extensions: None,
            error: Some(error),
            failure: Some(failure),
            verdict: Verdict::Failure,
        }
    }
}

/// The closure of [`CircuitBreaker::judge`](super::CircuitBreaker::judge).
#[derive(Clone)]
pub(super) struct Judge(Arc<Opinion>);

type Opinion = dyn Fn(&Answer<'_>) -> Verdict + Send + Sync;

impl Judge {
    pub(super) fn new(opinion: impl Fn(&Answer<'_>) -> Verdict + Send + Sync + 'static) -> Self {
        Self(Arc::new(opinion))
    }

    pub(super) fn verdict(&self, answer: &Answer<'_>) -> Verdict {
        (self.0)(answer)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge(..)")
    }
}

/// The verdict on a failure; `rate_limited` is that on a rate limit.
pub(super) fn verdict(failure: &Failure, rate_limited: Verdict) -> Verdict {
    match failure.kind {
        FailureKind::RateLimited => rate_limited,
        kind if kind.is_ill_health() => Verdict::Failure,
        _ => Verdict::Ignore,
    }
}
