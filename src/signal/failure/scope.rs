//! What a sentence says is limited, and over which period.

use super::{evidence::truncate, quota_id::QuotaId};
use crate::{
    outcome::{Dimension, Window},
    signal::hint,
};

/// Reads what is counted and the period of it: "tokens per min (TPM)", "10 API calls / minute", "token rate limit", "max
/// RPM: 20". `text` is in ASCII lower case.
pub(super) fn read(text: &str) -> QuotaId {
    let mut found = acronym(text);
    for (at, window) in periods(text) {
        found.window = found.window.or(Some(window));
        found.dimension = found.dimension.or_else(|| {
            let (before, after) = text.split_at(at);
            // "Tokens per minute", but "the per minute request limit".
            last_dimension(behind(before, MAX_DISTANCE))
                .or_else(|| last_dimension(truncate(after, MAX_DISTANCE)))
        });
    }
    found.dimension = found.dimension.or_else(|| first(text, &DIMENSION_PHRASES));
    or_named(found, text)
}

/// What a request was too large in: the prompt where only that is spoken of, else all its tokens.
pub(super) fn of_size(text: &str) -> Option<Dimension> {
    let is_context = [
        "context length",
        "context window",
        "context limit",
        "context size",
        "input length and",
    ];
    if is_context.iter().any(|word| text.contains(word)) {
        return Some(Dimension::Tokens);
    }
    let is_prompt = [
        "input token",
        "prompt token",
        "prompt is too long",
        "prompt length",
        "of all messages",
        "input is too long",
    ];
    if is_prompt.iter().any(|word| text.contains(word)) {
        return Some(Dimension::InputTokens);
    }
    text.contains("token").then_some(Dimension::Tokens)
}

/// What is counted, where only a code tells. `codes` are between line feeds.
pub(super) fn of_codes(codes: &str) -> Option<Dimension> {
    first(codes, &CODES)
}

/// Completed by a quota's name in the sentence: "exceeded for UserByModelByDay", "metric: x/generate_requests".
fn or_named(mut found: QuotaId, text: &str) -> QuotaId {
    for cue in ["exceeded for ", "for metric: "] {
        let Some((_, name)) = text.split_once(cue) else {
            continue;
        };
        let id = QuotaId::parse(name.split([' ', ',', '\n']).next().unwrap_or_default());
        // A quota of no named unit counts requests: UserByModelByDay.
        let unnamed = id.window.map(|_| Dimension::Requests);
        found.window = found.window.or(id.window);
        found.dimension = id.dimension.or(found.dimension).or(unnamed);
    }
    found
}

/// RPM, TPD, ITPM, ASPH and their kin: what, P for "per", and the period's letter.
fn acronym(text: &str) -> QuotaId {
    let words =
        text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    for word in words.filter(|word| (3..=4).contains(&word.len())) {
        let Some((unit, period)) = word.split_at_checked(word.len() - 2) else {
            continue;
        };
        let window = match period {
            "ps" => Window::Second,
            "pm" => Window::Minute,
            "ph" => Window::Hour,
            "pd" => Window::Day,
            _ => continue,
        };
        let dimension = match unit {
            "r" | "q" => Dimension::Requests,
            "t" => Dimension::Tokens,
            "it" => Dimension::InputTokens,
            "ot" => Dimension::OutputTokens,
            "i" => Dimension::Images,
            "as" => Dimension::AudioSeconds,
            _ => continue,
        };
        return QuotaId {
            dimension: Some(dimension),
            window: Some(window),
        };
    }
    QuotaId::default()
}

/// The periods that are named, and where.
fn periods(text: &str) -> impl Iterator<Item = (usize, Window)> {
    let joints = ["per", "every", "each", "/"]
        .into_iter()
        .flat_map(move |joint| {
            text.match_indices(joint).filter_map(move |(at, joint)| {
                let starts_word = joint == "/" || !text[..at].ends_with(char::is_alphanumeric);
                let after = text[at + joint.len()..].trim_start_matches([' ', '-', '_']);
                Some((at, window_ahead(after).filter(|_| starts_word)?))
            })
        });
    let words = PERIOD_WORDS
        .into_iter()
        .filter_map(move |(word, window)| Some((text.find(word)?, window)));
    joints.chain(words)
}

/// The window whose name, or whose length, the text begins with.
fn window_ahead(text: &str) -> Option<Window> {
    let named = WINDOW_NAMES.iter().find(|(name, _)| {
        text.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphabetic()))
    });
    if let Some((_, window)) = named {
        return Some(*window);
    }
    let length = hint::leading_duration(text)?.0;
    WINDOWS
        .into_iter()
        .find(|window| window.duration() == length)
}

/// The dimension that is named last.
fn last_dimension(text: &str) -> Option<Dimension> {
    let places = DIMENSION_WORDS.iter().filter_map(|(word, dimension)| {
        Some((text.rfind(word)? + word.len(), word.len(), *dimension))
    });
    places
        .max_by_key(|(end, length, _)| (*end, *length))
        .map(|(_, _, dimension)| dimension)
}

/// The end of a text, of at most so many bytes.
fn behind(text: &str, length: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(length))..]
}

fn first<T: Copy>(text: &str, table: &[(&str, T)]) -> Option<T> {
    table
        .iter()
        .find(|(word, _)| text.contains(word))
        .map(|(_, value)| *value)
}

const WINDOW_NAMES: [(&str, Window); 9] = [
    ("second", Window::Second),
    ("sec", Window::Second),
    ("minute", Window::Minute),
    ("min", Window::Minute),
    ("hour", Window::Hour),
    ("hr", Window::Hour),
    ("day", Window::Day),
    ("month", Window::Month),
    ("1min", Window::Minute),
];

const WINDOWS: [Window; 5] = [
    Window::Second,
    Window::Minute,
    Window::Hour,
    Window::Day,
    Window::Month,
];

const PERIOD_WORDS: [(&str, Window); 4] = [
    ("daily", Window::Day),
    ("hourly", Window::Hour),
    ("monthly", Window::Month),
    // Anthropic's spend limits run by calendar months.
    ("specified api usage limits", Window::Month),
];

/// What stands before a period: the last of these counts.
const DIMENSION_WORDS: [(&str, Dimension); 12] = [
    ("input token", Dimension::InputTokens),
    ("prompt token", Dimension::InputTokens),
    ("output token", Dimension::OutputTokens),
    ("completion token", Dimension::OutputTokens),
    ("token", Dimension::Tokens),
    ("request", Dimension::Requests),
    ("quer", Dimension::Requests),
    ("call", Dimension::Requests),
    ("free-models", Dimension::Requests),
    ("image", Dimension::Images),
    ("audio", Dimension::AudioSeconds),
    ("concurren", Dimension::Concurrency),
];

/// What counts without a period, asked in this order.
const DIMENSION_PHRASES: [(&str, Dimension); 12] = [
    ("concurren", Dimension::Concurrency),
    ("并发", Dimension::Concurrency),
    ("input token rate limit", Dimension::InputTokens),
    ("output token rate limit", Dimension::OutputTokens),
    ("token rate limit", Dimension::Tokens),
    ("tokens rate limit", Dimension::Tokens),
    ("token limit", Dimension::Tokens),
    ("too many tokens", Dimension::Tokens),
    ("call rate limit", Dimension::Requests),
    ("request rate limit", Dimension::Requests),
    ("requests rate limit", Dimension::Requests),
    ("seconds of audio", Dimension::AudioSeconds),
];

/// Codes and types of OpenAI, Cerebras and DashScope.
const CODES: [(&str, Dimension); 10] = [
    ("\ntokens\n", Dimension::Tokens),
    ("\nrequests\n", Dimension::Requests),
    ("\ninput_tokens\n", Dimension::InputTokens),
    ("token_quota", Dimension::Tokens),
    ("too_many_tokens", Dimension::Tokens),
    ("request_quota", Dimension::Requests),
    ("limit_tokens", Dimension::Tokens),
    ("limit_requests", Dimension::Requests),
    ("ratequota", Dimension::Requests),
    ("allocationquota", Dimension::Tokens),
];

/// How far from its period a dimension stands.
const MAX_DISTANCE: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_tells_what_is_counted_and_over_what() {
        use Dimension::{AudioSeconds, Concurrency, Images, InputTokens, Requests, Tokens};
        use Window::{Day, Hour, Minute};
        for (text, dimension, window) in [
            (
                "on tokens per min (tpm): limit 9",
                Some(Tokens),
                Some(Minute),
            ),
            (
                "limited to 7 api calls / minute",
                Some(Requests),
                Some(Minute),
            ),
            (
                "images per minute in organization. limit: 5/1min",
                Some(Images),
                Some(Minute),
            ),
            (
                "on seconds of audio per hour (asph)",
                Some(AudioSeconds),
                Some(Hour),
            ),
            (
                "have exceeded token rate limit of your tier",
                Some(Tokens),
                None,
            ),
            (
                "reached organization max rpm: 20",
                Some(Requests),
                Some(Minute),
            ),
            (
                "reached organization max concurrency: 1",
                Some(Concurrency),
                None,
            ),
            (
                "of 50,000 input tokens per minute",
                Some(InputTokens),
                Some(Minute),
            ),
            (
                "number of request tokens has exceeded your per-minute rate limit",
                Some(Tokens),
                Some(Minute),
            ),
            (
                "rate limit of 8 per 86400s exceeded for userbymodelbyday.",
                Some(Requests),
                Some(Day),
            ),
            (
                "quota exceeded for metric: x.com/free_tier_requests, limit: 2",
                Some(Requests),
                None,
            ),
            ("performance is perfect", None, None),
        ] {
            assert_eq!(read(text), QuotaId { dimension, window }, "{text}");
        }
    }
}
