//! What is asked about.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

/// An upstream's answer, as far as it is known: all that [`outcome_of`](super::outcome_of) looks at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, or its beginning: JSON, an event stream, HTML or plain text. It may be cut anywhere and may be empty.
    pub body: &'a [u8],
    /// The time of arrival. Dates are read against the answer's own `Date` header, and against this only without one.
    pub now: SystemTime,
}

impl<'a> Answer<'a> {
    /// An answer of these parts.
    pub fn new(
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a [u8],
        now: SystemTime,
    ) -> Self {
        Self {
            status,
            headers,
            body,
            now,
        }
    }
}
