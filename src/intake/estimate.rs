//! What a request to a language model will use, read off its JSON body.

use crate::{
    request::Cost,
    signal::json::{Scanner, Token},
};

/// Estimates the cost of a request in the OpenAI, Anthropic or Gemini format; `None` when the body is no JSON object.
///
/// Input: the characters of all strings, without encoded files. Four of ASCII make a token ([OpenAI's rule of thumb], for
/// English); two of other alphabets, and one of Chinese, Japanese or Korean, where tokenizers do worse. Output: the maximum
/// that the request sets, for each of the answers it asks for, else `default_output`.
///
/// [OpenAI's rule of thumb]: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
pub(super) fn estimate(body: &[u8], default_output: u64) -> Option<Cost> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let (mut quarters, mut output, mut answers) = (0_u64, None, 1);
    for token in Scanner::new(text) {
        match token {
            Token::Text(_, value) if !is_encoded_file(value.0) => {
                quarters += quarters_of(value.0);
            }
            Token::Word(key, word) if MAXIMA.contains(&key) => {
                output = word.parse().ok().or(output);
            }
            Token::Word("n" | "candidateCount", word) => answers = word.parse().unwrap_or(1),
            _ => {}
        }
    }
    let cost = |output: u64| Cost::tokens(quarters.div_ceil(4), output.saturating_mul(answers));
    Some(match output {
        Some(output) => cost(output),
        None => cost(default_output).guessed(),
    })
}

/// The names under which a request sets the most tokens of its answer.
const MAXIMA: [&str; 4] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "maxOutputTokens",
];

/// What a text is reckoned with, in quarters of a token.
fn quarters_of(text: &str) -> u64 {
    if text.is_ascii() {
        return text.len() as u64;
    }
    // So few that their sum fits a byte: then processors count all of them at once.
    let chunks = text.as_bytes().chunks(32);
    chunks
        .map(|chunk| u64::from(chunk.iter().copied().map(weight).sum::<u8>()))
        .sum()
}

/// What a character is reckoned with, by the byte that it begins with; the bytes that continue one weigh nothing.
fn weight(byte: u8) -> u8 {
    let (is_ascii, begins_longer, begins_longest) = (byte < 0x80, byte >= 0xC0, byte >= 0xE0);
    u8::from(is_ascii) + 2 * u8::from(begins_longer) + 2 * u8::from(begins_longest)
}

/// An image or a sound in base 64: it is not charged by its characters.
fn is_encoded_file(text: &str) -> bool {
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    text.starts_with("data:") || (text.len() > 1_024 && text.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_four_characters_a_token_and_the_maximum_that_is_set() {
        let body = r#"{"model":"abcd","messages":[{"role":"user","content":"twelve chars"}],"max_tokens":50}"#;
        assert_eq!(estimate(body.as_bytes(), 9), Some(Cost::tokens(5, 50)));
    }

    #[test]
    fn reckons_with_the_default_where_no_maximum_is_set_and_with_every_answer() {
        let body = r#"{"messages":[{"content":"four"}],"n":3}"#;
        assert_eq!(
            estimate(body.as_bytes(), 100),
            Some(Cost::tokens(1, 300).guessed())
        );
    }

    #[test]
    fn other_scripts_cost_more_a_character_however_long_the_text() {
        let body = format!(r#"{{"messages":[{{"content":"{}"}}]}}"#, "水".repeat(3_000));
        assert_eq!(
            estimate(body.as_bytes(), 0),
            Some(Cost::tokens(3_000, 0).guessed())
        );
        assert_eq!(
            estimate(r#"{"a":"äöüß"}"#.as_bytes(), 0),
            Some(Cost::tokens(2, 0).guessed())
        );
    }

    #[test]
    fn a_text_weighs_what_its_characters_weigh() {
        let text: String = ('\0'..=char::MAX).step_by(7).collect();
        let by_character = text.chars().map(|character| match character.len_utf8() {
            1 => 1,
            2 => 2,
            _ => 4,
        });
        assert_eq!(quarters_of(&text), by_character.sum::<u64>());
    }

    #[test]
    fn leaves_encoded_files_out() {
        let image = "A".repeat(100_000);
        let body = format!(
            r#"{{"messages":[{{"content":"data:image/png;base64,{image}"}},{{"data":"{image}"}}]}}"#
        );
        assert_eq!(
            estimate(body.as_bytes(), 0),
            Some(Cost::tokens(0, 0).guessed())
        );
    }

    #[test]
    fn knows_nothing_of_what_is_no_json_object() {
        for body in ["", "[1]", "hello", "\u{feff}"] {
            assert_eq!(estimate(body.as_bytes(), 9), None, "{body}");
        }
        assert_eq!(estimate(b"{\"a\":\"\xff\"}", 9), None);
    }
}
