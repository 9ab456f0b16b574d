//! What a caller asks for one request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Extensions;

/// Who goes first when requests wait: high before normal before low, but for those that have waited long: a request goes
/// before one of the next higher priority that came 30 s after it or later. Put it into the request's extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// As if it had come 30 s later.
    Low,
    /// The default.
    #[default]
    Normal,
    /// As if it had come 30 s earlier.
    High,
}

/// When the caller stops waiting, such as [30 s from now](Self::after). Put it into the request's extensions.
///
/// A layer whose wait would pass it does not begin that wait, and a request that comes after it is not sent: the rate limit,
/// retry and fallback layers fail it at once with [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded). Nor does a fallback
/// turn to the next upstream then. A call that is under way is not cut off, nor is an answer's body. For calls there is
/// [`RetryPolicy::attempt_timeout`](crate::RetryPolicy::attempt_timeout); for all together, wrap a `tokio::time::timeout_at` around
/// the call and the reading of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The one that these extensions carry.
    #[inline]
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        let own = || extensions.get().copied();
        (!extensions.is_empty()).then(own).flatten()
    }

    /// For how long the one that these extensions carry has passed, if it has. The time is read only where there is one.
    #[inline]
    pub(crate) fn missed(
        extensions: &Extensions,
        now: impl FnOnce() -> Instant,
    ) -> Option<Duration> {
        Self::of(extensions)?.late(now())
    }

    /// For how long it has passed, if it has.
    pub(crate) fn late(self, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.0);
        (!late.is_zero()).then_some(late)
    }
}

/// Who makes a request: an agent, a tenant, a user. Put it into the request's extensions, for limiters of the scope `caller`.
///
/// It stands in events, errors and states: give no secret, and no name that the caller could make up for himself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(pub Arc<str>);
