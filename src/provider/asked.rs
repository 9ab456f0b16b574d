//! [`Asked`]: what is known of an answer before it comes.

use std::time::{Duration, Instant};

use http::{Method, Request};

use crate::{instant::after, request::AttemptDeadline, signal::Dialect, upstream::Upstream};

/// What is known of an answer before it comes.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Who answers, where that is known.
    pub(super) dialect: Option<Dialect>,
    /// Whether a model was asked: then an error in the JSON of the answer is the answer's own. What a GET fetches, or a POST
    /// cancels, may be a record of something else that failed.
    pub(super) is_question: bool,
    /// When a layer outside cuts the attempt off.
    attempt_ends: Option<AttemptDeadline>,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>, upstream: Option<&Upstream>) -> Self {
        let dialect = upstream.map(|upstream| upstream.provider().speaks());
        let is_known = dialect.is_some_and(|dialect| dialect != Dialect::Generic);
        Self {
            dialect,
            is_question: is_known
                && *request.method() == Method::POST
                && !request.uri().path().ends_with("/cancel"),
            attempt_ends: request.extensions().get().cloned(),
        }
    }

    /// Until when an answer that has begun `now` may be held back. It goes up before the attempt is cut off: an upstream that has
    /// answered has not been silent.
    pub(super) fn hold_until(&self, now: Instant, at_most: Duration) -> Instant {
        let bound = after(now, at_most);
        let Some(attempt) = &self.attempt_ends else {
            return bound;
        };
        let left = attempt.ends(now).saturating_duration_since(now);
        let spare = (left / 8).clamp(LEAST_SPARE, MOST_SPARE);
        bound.min(now + left.saturating_sub(spare))
    }
}

/// Timers go by the millisecond, and are late by up to one.
const LEAST_SPARE: Duration = Duration::from_millis(2);
/// Enough for a task to be polled on a machine that is busy.
const MOST_SPARE: Duration = Duration::from_millis(100);
