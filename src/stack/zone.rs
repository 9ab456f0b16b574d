//! Time zones, as people write them.

use crate::rate_limit::Zone;

/// `UTC`, `UTC-8`, `UTC+5:30`, or the name of a zone.
pub(super) fn zone(text: &str) -> Result<Zone, String> {
    let wrong = || {
        let shown = super::file::show::text(text);
        format!("expected a time zone, such as \"UTC\", \"UTC-8\" or \"UTC+5:30\", found {shown}")
    };
    let Some(offset) = text.strip_prefix("UTC") else {
        return named(text).ok_or_else(|| match cfg!(feature = "time-zones") {
            true => wrong(),
            false => wrong() + "; names of zones need the feature `time-zones`",
        });
    };
    minutes(offset).map(Zone::utc_offset).ok_or_else(wrong)
}

fn minutes(offset: &str) -> Option<i32> {
    let (sign, offset) = match offset.split_at_checked(1) {
        None => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
    let number = |text: &str| {
        let is_short =
            (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_short.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    // The bounds of `Zone::utc_offset`.
    (hours * 60 + minutes <= 1_080 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(feature = "time-zones")]
fn named(name: &str) -> Option<Zone> {
    Zone::named(name).ok()
}

#[cfg(not(feature = "time-zones"))]
fn named(_name: &str) -> Option<Zone> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_utc_with_an_offset_or_a_name() {
        for (text, minutes) in [
            ("UTC", 0),
            ("UTC-8", -480),
            ("UTC+5:30", 330),
            ("UTC-18:00", -1_080),
        ] {
            assert_eq!(zone(text), Ok(Zone::utc_offset(minutes)), "{text}");
        }
        for text in [
            "",
            "UTC8",
            "UTC+",
            "UTC+19",
            "UTC+5:60",
            "UTC-8:",
            "Mars/Olympus",
        ] {
            assert!(
                zone(text).unwrap_err().starts_with("expected a time zone"),
                "{text}"
            );
        }
        assert_eq!(
            zone("America/Los_Angeles").is_ok(),
            cfg!(feature = "time-zones")
        );
    }
}
