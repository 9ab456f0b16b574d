//! The upstream's words, fit for a log: short, and without keys.

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
};

use super::evidence::truncate;
use crate::signal::words::{Phrases, Words};

/// The first line of the message, at most [`MAX_MESSAGE`] bytes long, with what looks like a key masked. `words` are
/// those of `text`.
pub(super) fn shorten(text: &str, words: &Words) -> Option<Arc<str>> {
    let end = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
    let line = Some(&text[..end]).filter(|line| !line.is_empty())?;
    let mut message = String::with_capacity(MAX_MESSAGE);
    let mut kept_to = 0;
    // What begins beyond the room that is left is cut anyway.
    while let Some(key) = next_key(line, kept_to..kept_to + MAX_MESSAGE - message.len(), words) {
        message.push_str(&line[kept_to..key.start]);
        message.push_str("***");
        kept_to = key.end;
        if message.len() > MAX_MESSAGE {
            break;
        }
    }
    message.push_str(truncate(&line[kept_to..], MAX_MESSAGE));
    Some(truncate(message.trim(), MAX_MESSAGE).into())
}

/// Where the first key is that begins in a part of the line.
fn next_key(line: &str, part: Range<usize>, words: &Words) -> Option<Range<usize>> {
    let part = part.start..part.end.min(line.len());
    let mut keys = KEY_STARTS.find_in(words, part).map(|(place, start)| {
        let key = match start {
            Start::OfKey => place.start,
            Start::BeforeKey => place.end.min(line.len()),
        };
        let rest = &line[key..];
        key..key + rest.find(char::is_whitespace).unwrap_or(rest.len())
    });
    keys.find(|key| key.len() >= MIN_KEY)
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

    #[test]
    fn a_key_that_begins_where_the_message_is_cut_is_masked() {
        for before in 190..=200 {
            let text = ".".repeat(before) + "sk-abcdefgh, sk-ijklmnop and more";
            let message = shorten(&text, &Words::new(&text)).unwrap();
            assert!(!message.contains("sk"), "{message}");
        }
        let keys = "sk-abcdefgh ".repeat(100);
        let message = shorten(&keys, &Words::new(&keys)).unwrap();
        assert_eq!(*message, *"*** ".repeat(50));
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
