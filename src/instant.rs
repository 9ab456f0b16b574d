//! Arithmetic on instants that cannot overflow.

use std::time::{Duration, Instant};

/// The instant `wait` after `now`; one century after it where the wait is longer.
///
/// What users or upstreams ask beyond that is a mistake, and must not overflow an instant.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(CENTURY)).unwrap_or(now)
}

/// A time in nanoseconds. What does not fit, some 584 years, is as long as can be told.
pub(crate) fn nanos(time: Duration) -> u64 {
    let seconds = time.as_secs().checked_mul(1_000_000_000);
    let nanos = seconds.and_then(|nanos| nanos.checked_add(time.subsec_nanos().into()));
    nanos.unwrap_or(u64::MAX)
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
