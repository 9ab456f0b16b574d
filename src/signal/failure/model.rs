//! The model that a sentence names.

use std::sync::LazyLock;

use crate::signal::words::{Phrases, Words};

/// The model's name, where the sentence tells which model it speaks of.
///
/// `words` are those of `text`. A name is quoted, or stands behind "model:", or looks like no word of English.
pub(super) fn read<'a>(text: &'a str, words: &Words) -> Option<&'a str> {
    let named = FIND_CUES
        .find_in(words, 0..text.len())
        .filter_map(|(place, index)| {
            // The "model" in "nonexistent-model:latest" is part of a name itself.
            let in_a_name = text[..place.start].ends_with(['-', '/', '_', '.']);
            let name = name_ahead(&text[place.end..], &CUES[index]).filter(|_| !in_a_name)?;
            Some((index, name))
        });
    // The surest cue wins, and the first of its kind.
    let named = named.min_by_key(|(index, _)| *index).map(|(_, name)| name);
    named.or_else(|| {
        let before = &text[..words.text().find(" is temporarily rate-limited")?];
        let start = before.rfind([' ', '\n', '"']).map_or(0, |at| at + 1);
        let name = &before[start..];
        looks_like_a_name(name).then_some(name)
    })
}

/// Words in front of a model's name.
struct Cue {
    words: &'static str,
    /// Words of which one has to follow the name, where those in front are too common alone.
    then: &'static [&'static str],
    /// Whether what follows is a name, whatever it looks like.
    sure: bool,
}

fn name_ahead<'a>(rest: &'a str, cue: &Cue) -> Option<&'a str> {
    let rest = rest.trim_start_matches([' ', ':']);
    let quote = rest
        .chars()
        .next()
        .filter(|first| matches!(first, '`' | '\'' | '"'));
    let (name, after) = match quote {
        Some(quote) => rest[1..].split_once(quote)?,
        None => {
            let end = rest
                .find(|end: char| {
                    end.is_whitespace() || matches!(end, ',' | ')' | ';' | '"' | '\'' | '`')
                })
                .unwrap_or(rest.len());
            rest.split_at(end)
        }
    };
    let name = name.trim_end_matches(['.', ':']);
    let is_name = !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.contains(char::is_whitespace)
        && (quote.is_some() || cue.sure || looks_like_a_name(name))
        && !is_bundle_of_limits(name);
    let goes_on = cue.then.is_empty() || cue.then.iter().any(|word| after.starts_with(word));
    (is_name && goes_on).then_some(name)
}

/// Names have digits or joints: no word of English has, but for hyphens.
fn looks_like_a_name(name: &str) -> bool {
    name.contains(|sign: char| sign.is_ascii_digit() || matches!(sign, '/' | ':' | '_'))
        && name.contains(|sign: char| sign.is_ascii_alphabetic())
}

/// "10KTPM-200RPM" stands where OpenAI once put the limits in the model's place.
fn is_bundle_of_limits(name: &str) -> bool {
    name.contains("TPM") || name.contains("RPM")
}

const CUES: [Cue; 11] = [
    Cue {
        words: "rate limit reached for",
        then: &[" in ", " on "],
        sure: true,
    },
    Cue {
        words: "request too large for",
        then: &[" in ", " on "],
        sure: true,
    },
    Cue {
        words: "too large for",
        then: &[" model"],
        sure: true,
    },
    Cue {
        words: "no endpoints found for",
        then: &[],
        sure: false,
    },
    Cue {
        words: "your requests to",
        then: &[" for "],
        sure: false,
    },
    Cue {
        words: "model:",
        then: &[],
        sure: true,
    },
    Cue {
        words: "model",
        then: &[],
        sure: false,
    },
    Cue {
        words: "deployment",
        then: &[],
        sure: false,
    },
    Cue {
        words: "limit for",
        then: &[],
        sure: false,
    },
    Cue {
        words: "limit exceeded for",
        then: &[],
        sure: false,
    },
    Cue {
        words: "access to",
        then: &[],
        sure: false,
    },
];

static FIND_CUES: LazyLock<Phrases<usize>> = LazyLock::new(|| {
    Phrases::new(
        CUES.iter()
            .enumerate()
            .map(|(index, cue)| (cue.words, index)),
    )
});

const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

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
