//! The upstream's words, fit for a log: short, and without keys.

use std::sync::Arc;

use super::evidence::truncate;

/// The first line of the message, at most [`MAX_MESSAGE`] bytes long, with what looks like a key masked.
pub(super) fn shorten(text: &str) -> Option<Arc<str>> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    // Masked before it is cut, so that no piece of a key is left over at the end.
    let mut message = String::new();
    let mut after_bearer = false;
    for word in truncate(line, 2 * MAX_MESSAGE).split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let key = key_in(bare).or((after_bearer && !bare.is_empty()).then_some(0));
        match key {
            Some(start) => {
                message.push_str(&word[..start]);
                message.push_str("***");
                message.push_str(&word[bare.len()..]);
            }
            None => message.push_str(word),
        }
        after_bearer = bare
            .trim_start_matches(['"', '\'', '`'])
            .eq_ignore_ascii_case("bearer");
    }
    Some(truncate(message.trim(), MAX_MESSAGE).into())
}

/// Where a key begins in a word.
fn key_in(word: &str) -> Option<usize> {
    KEY_STARTS.iter().find_map(|start| {
        let (at, _) = word.match_indices(start).find(|(at, _)| {
            !word[..*at].ends_with(|before: char| before.is_ascii_alphanumeric())
        })?;
        (word.len() - at >= MIN_KEY).then_some(at)
    })
}

/// How the keys of OpenAI and those who copied it, Groq, xAI, NVIDIA, Hugging Face, Perplexity, Google, AWS, GitHub,
/// Replicate, Fireworks and Cerebras begin.
const KEY_STARTS: [&str; 17] = [
    "sk-",
    "sk_",
    "pk-",
    "gsk_",
    "xai-",
    "nvapi-",
    "hf_",
    "pplx-",
    "AIza",
    "AKIA",
    "ABSK",
    "ghp_",
    "github_pat_",
    "r8_",
    "fw_",
    "csk-",
    "ak-",
];

/// "sk-" alone, or "sk-...", is no key.
const MIN_KEY: usize = 8;

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
            assert_eq!(shorten(text).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_characters_end() {
        let message = shorten(&"é".repeat(300)).unwrap();
        assert!(message.len() <= MAX_MESSAGE && message.chars().all(|character| character == 'é'));
    }

    proptest! {
        #[test]
        fn any_text_is_shortened(text in ".{0,300}") {
            if let Some(message) = shorten(&text) {
                prop_assert!(message.len() <= MAX_MESSAGE);
            }
        }
    }
}
