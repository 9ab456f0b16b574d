//! What every hint comes to: a wait from now on.

use std::time::{Duration, SystemTime};

/// The longest hint that is believed, 366 days; longer ones are cut to it.
pub const MAX_HINT: Duration = Duration::from_secs(366 * 86_400);

/// A duration of these seconds, rounded up to a millisecond and cut to [`MAX_HINT`]; none if negative or not a number.
pub(crate) fn from_secs(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds.is_sign_negative() && seconds != 0.0 {
        return None;
    }
    let seconds = seconds.abs().min(MAX_HINT.as_secs_f64());
    Duration::try_from_secs_f64(seconds).ok().map(round_up)
}

/// The wait until a Unix time, in seconds or, from 10^12 on, in milliseconds.
pub(crate) fn until_epoch(epoch: f64, server_time: SystemTime) -> Duration {
    let seconds = if epoch >= EPOCH_MILLIS {
        epoch / 1e3
    } else {
        epoch
    };
    let since_epoch = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    match SystemTime::UNIX_EPOCH.checked_add(since_epoch) {
        Some(then) => until(then, server_time),
        None => MAX_HINT,
    }
}

/// The wait until a time; zero where it has passed.
pub(crate) fn until(then: SystemTime, server_time: SystemTime) -> Duration {
    round_up(then.duration_since(server_time).unwrap_or_default())
}

/// Rounds up to a millisecond and cuts to [`MAX_HINT`].
fn round_up(wait: Duration) -> Duration {
    let wait = wait.min(MAX_HINT);
    // A microsecond is forgiven: "97d2h10m8.583s" in floating point is a little more than that.
    let nanos = wait.subsec_nanos().saturating_sub(1_000);
    let millis = nanos.div_ceil(1_000_000);
    Duration::from_secs(wait.as_secs()) + Duration::from_millis(u64::from(millis))
}

/// Seconds at and above which a number is a point in time rather than a duration: 2001-09-09, and 31 years.
pub(crate) const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e12;
