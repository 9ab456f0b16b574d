//! Waits in sentences.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use super::{
    date::leading_date,
    duration::{leading_duration, leading_number},
    wait::{EPOCH_SECONDS, from_secs, until, until_epoch},
};
use crate::signal::words::{Phrases, Words};

/// The longest wait that a text asks for: "try again in 22m46.848s", "retry after 7 seconds", "wait 4 seconds",
/// "expected available in 1 second", "will reset at 2026-10-01T00:00:00-07:00", "limit reached|1790000000".
///
/// A figure counts only behind words that ask to wait; "try again later" and "wait a few minutes" name none.
/// `server_time` is what points in time are read against.
pub fn find_wait(text: &str, server_time: SystemTime) -> Option<Duration> {
    find_wait_in(&Words::new(text), server_time)
}

pub(crate) fn find_wait_in(words: &Words, server_time: SystemTime) -> Option<Duration> {
    let mut longest = epoch_behind_bar(words.text(), server_time);
    for (end, unit) in CUES.find(words) {
        longest = longest.max(wait_behind(&words.text()[end..], unit, server_time));
    }
    longest
}

/// What a figure without a unit is.
#[derive(Clone, Copy, PartialEq)]
enum Bare {
    Nothing,
    Seconds,
    Millis,
}

/// The wait that stands behind the cue, past at most a few small words.
fn wait_behind(after: &str, bare: Bare, server_time: SystemTime) -> Option<Duration> {
    let mut rest = after;
    loop {
        rest = rest.trim_start_matches([' ', ':', '~', '`', '"', '\'', '(', '=', '_']);
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            let date = || Some(until(leading_date(rest, server_time)?, server_time));
            let wait = || leading_duration(rest).map(|(wait, _)| wait);
            return date()
                .or_else(wait)
                .or_else(|| bare_number(rest, bare, server_time));
        }
        let word = SMALL_WORDS.iter().find(|word| {
            rest.strip_prefix(**word)
                .is_some_and(|rest| rest.starts_with([' ', ':', '~', '=', '_', '"']))
        })?;
        rest = &rest[word.len()..];
    }
}

/// "Retry-After: 30", quoted from a header; "reset at 1790000000", which is a point in time behind any cue.
fn bare_number(text: &str, bare: Bare, server_time: SystemTime) -> Option<Duration> {
    let (number, rest) = leading_number(text)?;
    if rest.starts_with(char::is_alphanumeric) {
        return None;
    }
    if number >= EPOCH_SECONDS && bare != Bare::Millis {
        return Some(until_epoch(number, server_time));
    }
    let stands_alone = !rest.starts_with([' ', '-', ':', '/', '%']) || rest.trim_start().is_empty();
    match bare {
        Bare::Seconds if stands_alone => from_secs(number),
        Bare::Millis if stands_alone => from_secs(number / 1e3),
        _ => None,
    }
}

/// "Usage limit reached|1790000000": a Unix time behind a bar, as subscription clients print it.
fn epoch_behind_bar(text: &str, server_time: SystemTime) -> Option<Duration> {
    let bar = memchr::memrchr(b'|', text.as_bytes())?;
    let (before, after) = (&text[..bar], &text[bar + 1..]);
    let (epoch, _) = leading_number(after)?;
    if !before.trim_end().ends_with("reached") || epoch < EPOCH_SECONDS {
        return None;
    }
    Some(until_epoch(epoch, server_time))
}

/// Words that ask to wait; a figure has to follow.
static CUES: LazyLock<Phrases<Bare>> = LazyLock::new(|| {
    Phrases::new([
        ("try again", Bare::Nothing),
        ("try your request again", Bare::Nothing),
        ("try after", Bare::Nothing),
        ("retry", Bare::Nothing),
        ("retrying", Bare::Nothing),
        ("retry after", Bare::Seconds),
        ("retry-after", Bare::Seconds),
        ("retry_after", Bare::Seconds),
        ("retry-after-ms", Bare::Millis),
        ("retry_after_ms", Bare::Millis),
        ("again in", Bare::Nothing),
        ("again after", Bare::Nothing),
        ("wait", Bare::Nothing),
        ("available", Bare::Nothing),
        ("reset", Bare::Nothing),
        ("resets", Bare::Nothing),
        ("regain access", Bare::Nothing),
        ("come back", Bare::Nothing),
        ("back off", Bare::Nothing),
        ("replenished", Bare::Nothing),
        ("cooldown", Bare::Nothing),
        // Stability AI's: "have been timed out for 60 seconds".
        ("been timed out for", Bare::Nothing),
        ("been blocked for", Bare::Nothing),
        ("请在", Bare::Nothing),
        ("请等待", Bare::Nothing),
    ])
});

const SMALL_WORDS: [&str; 23] = [
    "in",
    "after",
    "at",
    "on",
    "for",
    "until",
    "about",
    "approximately",
    "another",
    "at least",
    "the",
    "next",
    "your",
    "request",
    "your request",
    "again",
    "is",
    "will",
    "be",
    "time",
    "within",
    "least",
    "of",
];
