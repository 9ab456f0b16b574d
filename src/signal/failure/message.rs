//! The upstream's words, fit for a log: short, and without keys.

use std::sync::{Arc, LazyLock};

use super::evidence::truncate;
use crate::signal::words::{Phrases, Words};

/// The first line of the message, at most [`MAX_MESSAGE`] bytes long, with what looks like a key masked. `words` are
/// those of `text`.
pub(super) fn shorten(text: &str, words: &Words) -> Option<Arc<str>> {
    let end = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
    let line = Some(&text[..end]).filter(|line| !line.is_empty())?;
    let mut message = String::with_capacity(MAX_MESSAGE);
    let mut kept_to = 0;
    for (place, start) in KEY_STARTS.find_in(words, 0..line.len()) {
        let key = match start {
            Start::OfKey => place.start,
            Start::BeforeKey => place.end,
        };
        if key < kept_to {
            continue;
        }
        let rest = &line[key.min(line.len())..];
        let end = key + rest.find(char::is_whitespace).unwrap_or(rest.len());
        if end - key >= MIN_KEY {
            message.push_str(&line[kept_to..key]);
            message.push_str("***");
            kept_to = end;
        }
        if message.len() > MAX_MESSAGE {
            break;
        }
    }
    message.push_str(truncate(&line[kept_to..], MAX_MESSAGE));
    Some(truncate(message.trim(), MAX_MESSAGE).into())
}

/// What a phrase says of the key at hand.
#[derive(Clone, Copy)]
enum Start {
    OfKey,
    BeforeKey,
}

/// How the keys of OpenAI and those who copied it, Groq, xAI, NVIDIA, Hugging Face, Perplexity, Google, AWS, GitHub,
/// Replicate, Fireworks, Cerebras and Moonshot begin; in lower case.
static KEY_STARTS: LazyLock<Phrases<Start>> = LazyLock::new(|| {
    let starts =
        "sk- sk_ pk- gsk_ xai- nvapi- hf_ pplx- aiza akia absk ghp_ github_pat_ r8_ fw_ csk- ak-";
    let starts = starts.split(' ').map(|start| (start, Start::OfKey));
    Phrases::new(starts.chain([("bearer ", Start::BeforeKey)]))
});

/// "sk-" alone, or "sk-...", is no key.
const MIN_KEY: usize = 7;

/// Enough for every provider's sentence that says why; in bytes.
const MAX_MESSAGE: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_masked() {
        for (text, wanted) in [
            (
                "Incorrect API key provided: sk-proj-abcdefgh.",
                "Incorrect API key provided: ***",
            ),
            ("key 'gsk_0123456789' is bad", "key '*** is bad"),
            (
                "Authorization: Bearer abc.def is bad",
                "Authorization: Bearer *** is bad",
            ),
            ("the task-force and sk-x", "the task-force and sk-x"),
        ] {
            assert_eq!(shorten(text, &Words::new(text)).as_deref(), Some(wanted));
        }
    }

    /// It once took a millisecond for 4 KiB, and the square of it for more.
    #[test]
    fn many_keys_without_a_blank_between_them_are_one() {
        let text = "sk-".repeat(100_000);
        let message = shorten(&text, &Words::new(&text));
        assert_eq!(message.as_deref(), Some("***"));
    }

    #[test]
    fn a_long_message_is_cut_at_a_characters_end() {
        let text = "é".repeat(300);
        let message = shorten(&text, &Words::new(&text)).unwrap();
        assert!(message.len() <= MAX_MESSAGE && message.chars().all(|character| character == 'é'));
    }

    proptest! {
        #[test]
        fn any_text_is_shortened(text in ".{0,300}") {
            if let Some(message) = shorten(&text, &Words::new(&text)) {
                prop_assert!(message.len() <= MAX_MESSAGE);
            }
        }
    }
}
