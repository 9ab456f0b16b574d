//! Waits in sentences.

use std::time::{Duration, SystemTime};

use super::{
    date::leading_date,
    duration::{from_secs, leading_duration, leading_number},
    until, until_epoch,
};

/// The longest wait that a sentence asks for: "try again in 22m46.848s", "retry after 7 seconds", "wait 4 seconds", "expected
/// available in 1 second", "will reset at 2026-10-01T00:00:00-07:00", "limit reached|1790000000".
///
/// `text` is in ASCII lower case. A figure counts only behind words that ask to wait and a preposition; "try again later"
/// and "wait a few minutes" name none. `server_time` is what points in time are read against.
pub fn find_wait(text: &str, server_time: SystemTime) -> Option<Duration> {
    let mut longest = None;
    for (cue, _) in CUES.iter().flat_map(|cue| {
        text.match_indices(cue)
            .map(move |(at, cue)| (at + cue.len(), cue))
    }) {
        let after = text.get(cue..).unwrap_or_default();
        longest = longest.max(figure_behind(after, server_time));
    }
    longest.max(epoch_behind_bar(text, server_time))
}

/// The wait that stands behind the cue, past at most a few small words.
fn figure_behind(after: &str, server_time: SystemTime) -> Option<Duration> {
    let mut rest = after;
    loop {
        rest = rest.trim_start_matches([' ', ':', '~', '`', '"', '\'', '(', '=']);
        if let Some(date) = leading_date(rest, server_time) {
            return Some(until(date, server_time));
        }
        if let Some((wait, _)) = leading_duration(rest) {
            return Some(wait);
        }
        let word = SMALL_WORDS.iter().find(|word| {
            rest.strip_prefix(**word)
                .is_some_and(|rest| rest.starts_with([' ', ':', '~']))
        })?;
        rest = &rest[word.len()..];
    }
}

/// "Usage limit reached|1790000000": a Unix time behind a bar, as subscription clients print it.
fn epoch_behind_bar(text: &str, server_time: SystemTime) -> Option<Duration> {
    let (before, after) = text.rsplit_once('|')?;
    let (epoch, _) = leading_number(after)?;
    if !before.trim_end().ends_with("reached") || epoch < super::EPOCH_SECONDS {
        return None;
    }
    until_epoch(epoch, server_time).or_else(|| from_secs(0.0))
}

/// Words that ask to wait; a figure has to follow.
const CUES: [&str; 16] = [
    "try again",
    "try your request again",
    "retry",
    "wait",
    "available",
    "reset",
    "resets",
    "regain access",
    "retrying",
    "come back",
    "try after",
    "back off",
    "retry_after",
    "retry-after",
    "replenished",
    "cooldown",
];

const SMALL_WORDS: [&str; 22] = [
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
];
