//! The model that a sentence names.

/// The model's name, where the sentence tells which model it speaks of.
///
/// `lower` is `text` in ASCII lower case. A name is quoted, or stands behind "model:", or looks like no word of English.
pub(super) fn read<'a>(text: &'a str, lower: &str) -> Option<&'a str> {
    let behind_cue = CUES.iter().find_map(|cue| {
        let mut places = lower.match_indices(cue.words);
        places.find_map(|(at, words)| {
            let starts_word = !lower[..at].ends_with(|before: char| {
                before.is_ascii_alphanumeric() || matches!(before, '-' | '/' | '_' | '.')
            });
            let rest = &text[at + words.len()..];
            starts_word.then(|| name_ahead(rest, cue)).flatten()
        })
    });
    behind_cue.or_else(|| {
        let (before, _) = lower.split_once(" is temporarily rate-limited")?;
        let start = before.rfind([' ', '\n', '"']).map_or(0, |at| at + 1);
        let name = &text[start..before.len()];
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
            assert_eq!(read(text, &text.to_ascii_lowercase()), wanted, "{text}");
        }
    }
}
