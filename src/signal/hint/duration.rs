//! Durations, as servers write them.

use std::time::Duration;

use super::wait::from_secs;

/// Reads a duration: `22m46.848s`, `1h2m3.5s`, `579ms`, `6m0s`, `34.07s`, `1d2h`, `20 seconds`, `1 hour and 5 minutes`,
/// and protobuf's `3.000000001s`.
///
/// A bare number has no unit and is none of these. Negative or malformed: `None`. Rounded up to a millisecond, cut to
/// [`MAX_HINT`](super::MAX_HINT).
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (wait, rest) = leading_duration(text)?;
    rest.is_empty().then_some(wait)
}

/// The duration that the text begins with, and the text after it.
pub(crate) fn leading_duration(text: &str) -> Option<(Duration, &str)> {
    leading_units(text).or_else(|| leading_clock(text))
}

/// `02:10:30`: hours, minutes and seconds, as Azure API Management writes a quota's renewal.
fn leading_clock(text: &str) -> Option<(Duration, &str)> {
    let (hours, rest) = leading_number(text)?;
    let (minutes, rest) = leading_number(rest.strip_prefix(':')?)?;
    let (seconds, rest) = leading_number(rest.strip_prefix(':')?)?;
    Some((from_secs(hours * 3_600.0 + minutes * 60.0 + seconds)?, rest))
}

fn leading_units(text: &str) -> Option<(Duration, &str)> {
    let (mut seconds, mut coarser, mut rest) = leading_amount(text)?;
    // Units fall: in "5m 3 minutes", the second figure belongs to something else.
    while let Some((more, unit, after)) = leading_amount(behind_joint(rest))
        && unit < coarser
    {
        seconds += more;
        coarser = unit;
        rest = after;
    }
    Some((from_secs(seconds)?, rest))
}

/// The seconds of the number and unit that the text begins with, those of the unit, and the text after it.
fn leading_amount(text: &str) -> Option<(f64, f64, &str)> {
    let (number, rest) = leading_number(text)?;
    let (unit, rest) = leading_unit(rest)?;
    Some((number * unit, unit, rest))
}

fn behind_joint(text: &str) -> &str {
    let text = text.trim_start_matches([' ', ',']);
    text.strip_prefix("and ").unwrap_or(text)
}

/// The number that the text begins with, and the text after it. No sign, no exponent.
pub(super) fn leading_number(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let run = bytes.get(from..).unwrap_or_default();
        run.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let whole = digits(0);
    let mut end = whole;
    if bytes.get(whole) == Some(&b'.') {
        let fraction = digits(whole + 1);
        if fraction > 0 {
            end = whole + 1 + fraction;
        }
    }
    if end == 0 {
        return None;
    }
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

/// The seconds of the unit that the text begins with, after at most one blank, and the text after it.
fn leading_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.strip_prefix([' ', '-']).unwrap_or(text);
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (word, rest) = text.split_at(letters);
    if word.is_empty() {
        return leading_non_ascii_unit(rest);
    }
    let (_, seconds) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))?;
    Some((*seconds, rest))
}

/// The same for units of which nothing tells where they end: "5秒后".
#[cold]
fn leading_non_ascii_unit(text: &str) -> Option<(f64, &str)> {
    let mut units = NON_ASCII_UNITS.iter();
    units.find_map(|(name, seconds)| Some((*seconds, text.strip_prefix(name)?)))
}

/// Go's, protobuf's and English units, in seconds.
const UNITS: [(&str, f64); 30] = [
    ("s", 1.0),
    ("ms", 1e-3),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
    ("second", 1.0),
    ("seconds", 1.0),
    ("sec", 1.0),
    ("secs", 1.0),
    ("minute", 60.0),
    ("minutes", 60.0),
    ("min", 60.0),
    ("mins", 60.0),
    ("hour", 3_600.0),
    ("hours", 3_600.0),
    ("hr", 3_600.0),
    ("hrs", 3_600.0),
    ("day", 86_400.0),
    ("days", 86_400.0),
    ("week", 604_800.0),
    ("weeks", 604_800.0),
    ("w", 604_800.0),
    ("millisecond", 1e-3),
    ("milliseconds", 1e-3),
    ("msec", 1e-3),
    ("millis", 1e-3),
    ("us", 1e-6),
    ("microseconds", 1e-6),
    ("ns", 1e-9),
    ("nanoseconds", 1e-9),
];

/// The micro sign, and the Greek letter that looks the same.
const NON_ASCII_UNITS: [(&str, f64); 3] = [("µs", 1e-6), ("μs", 1e-6), ("秒", 1.0)];
