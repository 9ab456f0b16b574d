//! [`Verdict`]: what a user's own rule says of an attempt.

use std::{error::Error, fmt, sync::Arc};

use http::{Extensions, HeaderMap, StatusCode};

use crate::{outcome::Failure, request::RequestHead};

/// What a policy's [`verdict`](super::RetryPolicy::verdict) says of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// What the layer does without it.
    #[default]
    AsUsual,
    /// Send the request again, whatever its method, and whatever came back. Attempts, budget, deadline and the longest waits
    /// hold all the same.
    Retry,
    /// Pass on what came back.
    Return,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// Which attempt it was; the first is 1.
    pub attempt: u32,
    /// Why it failed; `None` for a success.
    pub failure: Option<&'a Failure>,
    /// The response without its body, or the error, which is an [`Error`](crate::Error).
    pub result: Result<ResponseHead<'a>, &'a (dyn Error + 'static)>,
}

/// A response without its body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn of<R>(response: &'a http::Response<R>) -> Self {
        Self {
            status: response.status(),
            headers: response.headers(),
            extensions: response.extensions(),
        }
    }
}

/// The user's rule.
#[derive(Clone)]
pub(super) struct Rule(Arc<Judge>);

type Judge = dyn Fn(&RequestHead<'_>, &Ended<'_>) -> Verdict + Send + Sync;

impl Rule {
    pub(super) fn new(
        judge: impl Fn(&RequestHead<'_>, &Ended<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(judge))
    }

    pub(super) fn ask(&self, request: &RequestHead<'_>, ended: &Ended<'_>) -> Verdict {
        (self.0)(request, ended)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule(..)")
    }
}
