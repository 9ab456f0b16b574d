//! Arithmetic on instants that cannot overflow.

use std::time::{Duration, Instant};

/// The instant `wait` after `now`; one century after it where the wait is longer.
///
/// What users or upstreams ask beyond that is a mistake, and must not overflow an instant.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(CENTURY)).unwrap_or(now)
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
