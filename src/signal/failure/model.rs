//! The model that a sentence names.

use std::sync::LazyLock;

use super::evidence::truncate;
use crate::signal::words::{Phrases, Words};

/// The model's name, where the sentence tells which model it speaks of.
///
/// `words` are those of `text`. A name is quoted, or stands behind "model:", or looks like no word of English.
pub(super) fn read<'a>(text: &'a str, words: &Words) -> Option<&'a str> {
    // The surest cue wins, and the first of its kind.
    let mut best = None;
    for (place, cue) in FIND_CUES.find_in(words, 0..text.len()) {
        if best.is_none_or(|(known, _)| cue < known) {
            let name = named_by(CUES[cue].1, &text[..place.start], &text[place.end..]);
            best = name.map(|name| (cue, name)).or(best);
        }
    }
    best.map(|(_, name)| name)
}

/// The name that stands beside a cue.
fn named_by<'a>(shape: Shape, before: &'a str, after: &'a str) -> Option<&'a str> {
    // "Models" are none; the path of one ends in its name, as at Google.
    if matches!(shape, Shape::NoWord) && after.starts_with(|next: char| next.is_ascii_alphabetic())
    {
        return None;
    }
    // The "model" in "nonexistent-model:latest" is part of a name itself.
    if before.ends_with(['-', '/', '_', '.']) && !matches!(shape, Shape::InPath) {
        return None;
    }
    match shape {
        Shape::Any | Shape::InPath => Some(name_ahead(after, true)?.0),
        Shape::NoWord => Some(name_ahead(after, false)?.0),
        Shape::AnyBefore(words) => {
            let (name, rest) = name_ahead(after, true)?;
            words.iter().find(|word| rest.starts_with(**word))?;
            Some(name)
        }
        Shape::InFront => name_behind(before),
        Shape::QuotedInFront => quoted_behind(before),
    }
}

/// The name that the text begins with, and the text after it. Where not `any` word will do, it has to be quoted or look
/// like a name.
fn name_ahead(text: &str, any: bool) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', ':', '=']);
    // The quotes count, and a character that would be cut.
    let near = truncate(text, MAX_NAME + 4);
    let quote = near.chars().next().filter(|first| QUOTES.contains(first));
    let (name, rest) = match quote {
        Some(quote) => {
            let end = 1 + near[1..].find(closing(quote))?;
            (&text[1..end], &text[end + 1..])
        }
        None => {
            let ends =
                |next: char| next.is_whitespace() || QUOTES.contains(&next) || ",);".contains(next);
            text.split_at(near.find(ends).unwrap_or(near.len()))
        }
    };
    let name = name.trim_end_matches(['.', ':']);
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && !name.contains(char::is_whitespace)
        && (any || quote.is_some() || looks_like_a_name(name));
    // "10KTPM-200RPM" stands where OpenAI once put the limits in the model's place.
    let is_bundle = || name.contains("TPM") || name.contains("RPM");
    (is_name && !is_bundle()).then_some((name, rest))
}

/// What stands behind a name that this stands before.
fn closing(quote: char) -> char {
    match quote {
        '[' => ']',
        quote => quote,
    }
}

/// The quoted name that the text ends with.
fn quoted_behind(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let last = text.chars().next_back()?;
    let opening = QUOTES.iter().find(|quote| closing(**quote) == last)?;
    let text = &text[..text.len() - 1];
    // A character may be cut in the middle.
    let near = text.len().saturating_sub(MAX_NAME + 4);
    let start = near + memchr::memrchr(*opening as u8, &text.as_bytes()[near..])? + 1;
    let name = &text[start..];
    let is_name = !name.contains(char::is_whitespace) && looks_like_a_name(name);
    is_name.then_some(name)
}

/// The name that the text ends with.
fn name_behind(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let start = text.rfind([' ', '\n', '"']).map_or(0, |at| at + 1);
    Some(&text[start..]).filter(|name| looks_like_a_name(name))
}

/// Names have digits or joints, which no word of English has but for hyphens.
fn looks_like_a_name(name: &str) -> bool {
    name.contains(|sign: char| sign.is_ascii_digit() || matches!(sign, '/' | ':' | '_'))
        && name.contains(|sign: char| sign.is_ascii_alphabetic())
}

/// What a name has to look like behind a cue.
#[derive(Clone, Copy)]
enum Shape {
    /// Any one word.
    Any,
    /// Any one word, with anything before the cue.
    InPath,
    /// Any one word, before one of these.
    AnyBefore(&'static [&'static str]),
    /// Quoted, or no word of English.
    NoWord,
    /// The name stands before the cue.
    InFront,
    /// In quotes.
    QuotedInFront,
}

/// Words beside a model's name, the surest first.
const CUES: [(&str, Shape); 16] = [
    (
        "rate limit reached for",
        Shape::AnyBefore(&[" in ", " on "]),
    ),
    ("request too large for", Shape::AnyBefore(&[" in ", " on "])),
    ("too large for", Shape::AnyBefore(&[" model"])),
    ("no endpoints found for", Shape::NoWord),
    ("is temporarily rate-limited", Shape::InFront),
    ("your requests to", Shape::NoWord),
    ("models/", Shape::InPath),
    ("model:", Shape::Any),
    ("model", Shape::NoWord),
    ("deployment", Shape::NoWord),
    ("limit for", Shape::NoWord),
    ("demand for", Shape::NoWord),
    ("tokens for", Shape::NoWord),
    ("model", Shape::QuotedInFront),
    ("limit exceeded for", Shape::NoWord),
    ("access to", Shape::NoWord),
];

static FIND_CUES: LazyLock<Phrases<usize>> = LazyLock::new(|| {
    let cues = CUES.iter().enumerate();
    Phrases::new(cues.map(|(index, (words, _))| (*words, index)))
});

const QUOTES: [char; 4] = ['`', '\'', '"', '['];
const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// A name's end was once looked for however far away.
    #[test]
    fn many_cues_without_a_blank_between_them_name_none() {
        let text = "model:".repeat(20_000) + &"x".repeat(200);
        assert_eq!(read(&text, &Words::new(&text)), None);
    }

    #[test]
    fn a_model_is_found_where_one_is_named() {
        for (text, wanted) in [
            (
                "Rate limit reached for model `llama-4` in organization",
                Some("llama-4"),
            ),
            (
                "Rate limit reached for gpt-9 in organization x",
                Some("gpt-9"),
            ),
            (
                "Rate limit reached for 10KTPM-200RPM in organization x",
                None,
            ),
            (
                "Rate limit exceeded for images per minute in organization",
                None,
            ),
            ("model 'none:latest' not found", Some("none:latest")),
            (
                "Model org/name-7b is currently loading",
                Some("org/name-7b"),
            ),
            ("Invalid model: x", Some("x")),
            (
                "with base model: gemini-9-pro. Please",
                Some("gemini-9-pro"),
            ),
            ("Passed model=gpt-9. Checks=True", Some("gpt-9")),
            (
                "the set limit for the [d-seed-5] model, and the model service is paused",
                Some("d-seed-5"),
            ),
            (
                "the maximum number of output tokens for c-5-x",
                Some("c-5-x"),
            ),
            ("High demand for a/b on c - limited to 7", Some("a/b")),
            ("é] model", None),
            ("models/g-9-pro is not found for v1", Some("g-9-pro")),
            (
                "Publisher Model `projects/p/locations/l/publishers/g/models/g-9` was not found",
                Some("g-9"),
            ),
            ("This model's maximum context length is 4 tokens", None),
            ("The provided model identifier is invalid.", None),
            (
                "a/b-9:free is temporarily rate-limited upstream.",
                Some("a/b-9:free"),
            ),
        ] {
            assert_eq!(read(text, &Words::new(text)), wanted, "{text}");
        }
    }
}
