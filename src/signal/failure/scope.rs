//! What a sentence says is limited, and over which period.

use std::{ops::Range, sync::LazyLock};

use super::quota_id::QuotaId;
use crate::{
    outcome::{Dimension, Window},
    signal::{
        hint,
        words::{Phrases, Words},
    },
};

/// Reads what is counted and the period of it: "tokens per min (TPM)", "10 API calls / minute", "token rate limit",
/// "max RPM: 20".
pub(super) fn read(words: &Words) -> QuotaId {
    let text = words.text();
    let mut found = QuotaId::default();
    let mut phrase = None;
    let mut names = Vec::new();
    for (place, said) in SAID.find_in(words, 0..text.len()) {
        match said {
            Said::Acronym(id) if stands_alone(text, &place) => return id,
            Said::Acronym(_) => {}
            Said::Period(window) if found.dimension.is_none() => {
                let Some(window) = window.or_else(|| window_ahead(&text[place.end..])) else {
                    continue;
                };
                found.window = found.window.or(Some(window));
                // "Tokens per minute", but "the per minute request limit".
                let before = place.start.saturating_sub(MAX_DISTANCE)..place.start;
                found.dimension = last_dimension(words, before)
                    .or_else(|| last_dimension(words, place.end..place.end + MAX_DISTANCE));
            }
            Said::Period(_) => {}
            Said::Phrase(index) => {
                phrase = Some(phrase.map_or(index, |first: usize| first.min(index)));
            }
            Said::Name => names.push(place.end),
        }
    }
    let by_phrase = phrase.map(|index| DIMENSION_PHRASES[index].1);
    found.dimension = found.dimension.or(by_phrase);
    names
        .into_iter()
        .fold(found, |found, name| or_named(found, &text[name..]))
}

/// What a request was too large in: the prompt where only that is spoken of, else all its tokens.
pub(super) fn of_size(words: &Words, codes: &str) -> Option<Dimension> {
    first_of(&SIZE_PHRASES, &FIND_SIZE_PHRASES, words)
        .or_else(|| {
            codes
                .contains("prompttoken")
                .then_some(Dimension::InputTokens)
        })
        .or_else(|| words.text().contains("token").then_some(Dimension::Tokens))
}

/// What is counted, where only a code tells. `codes` are plain, each between line feeds.
pub(super) fn of_codes(codes: &str) -> Option<Dimension> {
    CODES
        .iter()
        .find(|(code, _)| codes.contains(code))
        .map(|(_, dimension)| *dimension)
}

/// What is counted where nothing names a limit: "too many requests", "7 requests within 10 seconds".
pub(super) fn at_least_said(words: &Words) -> Option<Dimension> {
    [
        "too many requests",
        "requests within",
        "requests in ",
        "requests per ",
    ]
    .iter()
    .any(|phrase| words.text().contains(phrase))
    .then_some(Dimension::Requests)
}

/// Completed by a quota's name in the sentence: "exceeded for UserByModelByDay", "metric: x/generate_requests".
fn or_named(found: QuotaId, text: &str) -> QuotaId {
    let id = QuotaId::parse(text.split([' ', ',', '\n']).next().unwrap_or_default());
    // A quota of no named unit counts requests: UserByModelByDay.
    let unnamed = id.window.map(|_| Dimension::Requests);
    QuotaId {
        window: found.window.or(id.window),
        dimension: id.dimension.or(found.dimension).or(unnamed),
    }
}

/// Whether it is a word of its own: in "10KTPM-200RPM" acronyms name a bundle.
fn stands_alone(text: &str, place: &Range<usize>) -> bool {
    let joins = |next: char| next.is_alphanumeric() || next == '-';
    !text[..place.start].ends_with('-') && !text[place.end..].starts_with(joins)
}

/// The window whose name, or whose length, the text begins with.
fn window_ahead(text: &str) -> Option<Window> {
    let text = text.trim_start_matches([' ', '-', '_']);
    // Most slashes stand in addresses.
    if !text.starts_with(|first: char| first.is_ascii_digit() || "smhd".contains(first)) {
        return None;
    }
    let named = WINDOW_NAMES.iter().find(|(name, _)| {
        text.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphabetic()))
    });
    if let Some((_, window)) = named {
        return Some(*window);
    }
    let length = hint::leading_duration(text)?.0;
    WINDOW_NAMES
        .iter()
        .map(|(_, window)| *window)
        .find(|window| window.duration() == length)
}

/// The dimension that is named last, the longest name of it: "input tokens" are not just tokens.
fn last_dimension(words: &Words, part: Range<usize>) -> Option<Dimension> {
    DIMENSIONS
        .find_in(words, part)
        .max_by_key(|(place, _)| (place.end, place.len()))
        .map(|(_, dimension)| dimension)
}

/// What the phrase stands for that comes first in the table, of those that are in the text.
fn first_of<T: Copy>(table: &[(&str, T)], phrases: &Phrases<usize>, words: &Words) -> Option<T> {
    let first = phrases.find(words).map(|(_, index)| index).min()?;
    table.get(first).map(|(_, value)| *value)
}

/// Phrases that find their own index in the table.
fn indexed<T>(table: &[(&'static str, T)]) -> Phrases<usize> {
    Phrases::new(
        table
            .iter()
            .enumerate()
            .map(|(index, (phrase, _))| (*phrase, index)),
    )
}

const WINDOW_NAMES: [(&str, Window); 9] = [
    ("second", Window::Second),
    ("sec", Window::Second),
    ("minute", Window::Minute),
    ("min", Window::Minute),
    ("1min", Window::Minute),
    ("hour", Window::Hour),
    ("hr", Window::Hour),
    ("day", Window::Day),
    ("month", Window::Month),
];

/// What a phrase tells of the limit.
#[derive(Clone, Copy)]
enum Said {
    Acronym(QuotaId),
    /// A joint, behind which a period stands, or a period in one word.
    Period(Option<Window>),
    /// One of [`DIMENSION_PHRASES`].
    Phrase(usize),
    /// A quota's name comes next.
    Name,
}

static SAID: LazyLock<Phrases<Said>> = LazyLock::new(|| {
    let acronyms = acronyms();
    let acronyms = acronyms
        .iter()
        .map(|(acronym, id)| (acronym.as_str(), Said::Acronym(*id)));
    let phrases = DIMENSION_PHRASES.iter().enumerate();
    let phrases = phrases.map(|(index, (phrase, _))| (*phrase, Said::Phrase(index)));
    let periods = PERIODS.map(|(period, window)| (period, Said::Period(window)));
    let names = BEFORE_NAMES.map(|words| (words, Said::Name));
    Phrases::new(acronyms.chain(phrases).chain(periods).chain(names))
});

const PERIODS: [(&str, Option<Window>); 9] = [
    ("per", None),
    ("every", None),
    ("each", None),
    ("/", None),
    ("hourly", Some(Window::Hour)),
    ("daily", Some(Window::Day)),
    ("monthly", Some(Window::Month)),
    ("this month", Some(Window::Month)),
    // Anthropic's spend limits run by calendar months.
    ("specified api usage limits", Some(Window::Month)),
];

/// RPM, TPD, ITPM, ASPH and their kin: a unit's letters, P for "per", and the period's letter.
fn acronyms() -> Vec<(String, QuotaId)> {
    let units = [
        ("r", Dimension::Requests),
        ("q", Dimension::Requests),
        ("t", Dimension::Tokens),
        ("it", Dimension::InputTokens),
        ("ot", Dimension::OutputTokens),
        ("i", Dimension::Images),
        ("as", Dimension::AudioSeconds),
    ];
    let periods = [
        ("ps", Window::Second),
        ("pm", Window::Minute),
        ("ph", Window::Hour),
        ("pd", Window::Day),
    ];
    let mut acronyms = Vec::new();
    for (unit, dimension) in units {
        for (period, window) in periods {
            let id = QuotaId {
                dimension: Some(dimension),
                window: Some(window),
            };
            acronyms.push((format!("{unit}{period}"), id));
        }
    }
    acronyms
}

const BEFORE_NAMES: [&str; 2] = ["exceeded for ", "for metric: "];

/// What stands before a period: the last of these counts.
static DIMENSIONS: LazyLock<Phrases<Dimension>> = LazyLock::new(|| {
    Phrases::new([
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
        // Vertex AI joins its words: online_prediction_input_tokens_per_minute.
        ("input_token", Dimension::InputTokens),
        ("output_token", Dimension::OutputTokens),
    ])
});

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

/// What tells how large is too large, asked in this order.
const SIZE_PHRASES: [(&str, Dimension); 11] = [
    ("context length", Dimension::Tokens),
    ("context window", Dimension::Tokens),
    ("context limit", Dimension::Tokens),
    ("context size", Dimension::Tokens),
    ("input length and", Dimension::Tokens),
    ("input token", Dimension::InputTokens),
    ("prompt token", Dimension::InputTokens),
    ("prompt is too long", Dimension::InputTokens),
    ("prompt length", Dimension::InputTokens),
    ("input is too long", Dimension::InputTokens),
    ("total length of all messages", Dimension::InputTokens),
];
static FIND_SIZE_PHRASES: LazyLock<Phrases<usize>> = LazyLock::new(|| indexed(&SIZE_PHRASES));

/// Codes and types of OpenAI, Cerebras, DashScope and Volcano Engine, plain.
const CODES: [(&str, Dimension); 12] = [
    ("\ntokens\n", Dimension::Tokens),
    ("\nrequests\n", Dimension::Requests),
    ("\ninputtokens\n", Dimension::InputTokens),
    ("tokenquota", Dimension::Tokens),
    ("toomanytokens", Dimension::Tokens),
    ("requestquota", Dimension::Requests),
    ("limittokens", Dimension::Tokens),
    ("limitrequests", Dimension::Requests),
    ("ratequota", Dimension::Requests),
    ("allocationquota", Dimension::Tokens),
    ("rpmexceeded", Dimension::Requests),
    ("tpmexceeded", Dimension::Tokens),
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
            assert_eq!(
                read(&Words::new(text)),
                QuotaId { dimension, window },
                "{text}"
            );
        }
    }
}
