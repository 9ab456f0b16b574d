//! [`Asked`]: what is known of an answer before it comes.

use std::time::{Duration, Instant};

use http::{Method, Request};

use crate::{
    cost::only_counts_tokens, instant::after, outline::Outline, request::AttemptDeadline,
    signal::Dialect, upstream::Upstream,
};

/// What is known of an answer before it comes.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Who answers, where that is known.
    pub(super) dialect: Option<Dialect>,
    /// Whether something was sent.
    pub(super) is_post: bool,
    /// Whether anything was asked. What a GET fetches, or a POST cancels, is a record of something else: its errors and tokens are
    /// not those of this request, and the end of a file is its end. Nor are tokens used that are only counted.
    pub(super) is_question: bool,
    /// Whether the answer was asked for as a stream, as far as that is known.
    pub(super) is_stream: bool,
    /// When a layer outside cuts the attempt off.
    attempt_ends: Option<AttemptDeadline>,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>, upstream: Option<&Upstream>) -> Self {
        let outline = request.extensions().get::<Outline>();
        let path = request.uri().path();
        let is_post = *request.method() == Method::POST;
        Self {
            dialect: upstream.map(|upstream| upstream.provider().speaks()),
            is_post,
            is_question: is_post && !path.ends_with("/cancel") && !only_counts_tokens(path),
            is_stream: outline.is_some_and(|outline| outline.streams),
            attempt_ends: request.extensions().get().cloned(),
        }
    }

    /// Whether a model was asked: then an error in the JSON of the answer is the answer's own. What plain HTTP means nobody knows.
    pub(super) fn is_of_model(&self) -> bool {
        let is_known = |dialect| dialect != Dialect::Generic;
        self.is_question && self.dialect.is_some_and(is_known)
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
