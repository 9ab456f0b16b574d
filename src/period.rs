//! Lengths of time, in words without rounding, and rounded up.

use std::time::Duration;

/// `2 minutes`, `1 day`, `1.5s`: in the largest unit of which it is a whole number, and in seconds below a minute.
pub(crate) fn in_words(time: Duration) -> String {
    match whole_units(time) {
        Some((1, unit)) => format!("1 {unit}"),
        Some((number, unit)) => format!("{number} {unit}s"),
        None => format!("{time:?}"),
    }
}

/// `per minute`, `per 2 minutes`, `per 1.5s`.
pub(crate) fn per(time: Duration) -> String {
    match whole_units(time) {
        Some((1, unit)) => format!("per {unit}"),
        _ if time == Duration::from_secs(1) => "per second".into(),
        _ => format!("per {}", in_words(time)),
    }
}

fn whole_units(time: Duration) -> Option<(u64, &'static str)> {
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let seconds = time.as_secs();
    let is_whole = |(_, unit): &(&str, u64)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (name, unit) = units.into_iter().find(is_whole)?;
    (time.subsec_nanos() == 0).then_some((seconds / unit, name))
}

/// Rounded up.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// Rounded up, for the text of an error: what is finer is only where a clock stood.
pub(crate) fn whole_millis(time: Duration) -> Duration {
    let beyond = time.subsec_nanos() % 1_000_000;
    match beyond {
        0 => time,
        _ => time.saturating_add(Duration::from_nanos(u64::from(1_000_000 - beyond))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_whole_units_and_never_rounded() {
        let seconds = Duration::from_secs;
        for (time, words, rate) in [
            (seconds(60), "1 minute", "per minute"),
            (seconds(300), "5 minutes", "per 5 minutes"),
            (seconds(86_400), "1 day", "per day"),
            (seconds(90), "90s", "per 90s"),
            (seconds(1), "1s", "per second"),
            (Duration::from_millis(60_001), "60.001s", "per 60.001s"),
            (Duration::ZERO, "0ns", "per 0ns"),
        ] {
            assert_eq!((in_words(time).as_str(), per(time).as_str()), (words, rate));
        }
    }

    #[test]
    fn a_wait_in_a_log_is_told_in_milliseconds_and_never_too_short() {
        for (nanos, words) in [
            (0, "0ns"),
            (1, "1ms"),
            (1_000_000, "1ms"),
            (296_902_800_840, "296.903s"),
            (59_999_999_999, "60s"),
        ] {
            let wait = whole_millis(Duration::from_nanos(nanos));
            assert_eq!(format!("{wait:?}"), words);
        }
        assert_eq!(whole_millis(Duration::MAX), Duration::MAX);
    }
}
