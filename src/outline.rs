//! [`Outline`]: what the JSON body of a request asks for, and where in it its model stands.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use crate::{
    request::Cost,
    signal::json::{Escaped, Scanner, Token},
};

/// What a body in the OpenAI, Anthropic or Gemini format has, read in one pass.
///
/// The intake layer makes it and puts it into the request's extensions, so that the provider layer need not read the body again.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    /// The body it is of. It is held, so that no other comes to lie where this one is.
    body: Bytes,
    /// Where the outermost object begins, behind its brace.
    pub(crate) inside: usize,
    /// Where the value of its `model` stands, whatever it is.
    model: Option<Range<usize>>,
    /// Where those stand that come after the first, in order.
    more_models: Vec<Range<usize>>,
    /// Whether it asks for a stream.
    pub(crate) streams: bool,
    pub(crate) has_stream_options: bool,
    /// The characters of all strings, without encoded files, in quarters of a token.
    quarters: u64,
    /// The most tokens of an answer, where it says so.
    output: Option<u64>,
    answers: u64,
}

impl Outline {
    /// `None` when the body is no JSON object.
    pub(crate) fn of(body: &Bytes) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let inside = text.trim_start().strip_prefix('{')?;
        let mut outline = Self {
            body: body.clone(),
            inside: text.len() - inside.len(),
            model: None,
            more_models: Vec::new(),
            streams: false,
            has_stream_options: false,
            quarters: 0,
            output: None,
            answers: 1,
        };
        outline.read(text);
        Some(outline)
    }

    /// Whether it is of this body, and not of one that a layer has changed since.
    pub(crate) fn is_of(&self, body: &Bytes) -> bool {
        (self.body.as_ptr(), self.body.len()) == (body.as_ptr(), body.len())
    }

    /// Where each `model` stands: of a key that stands there twice, some parsers take the first and some the last.
    pub(crate) fn models(&self) -> impl Iterator<Item = &Range<usize>> + Clone {
        self.model.iter().chain(&self.more_models)
    }

    /// Whether the outermost object has nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.body[self.inside..]
            .trim_ascii_start()
            .starts_with(b"}")
    }

    /// Estimates what the request costs.
    ///
    /// Input: the characters of all strings, without encoded files. Four of ASCII make a token ([OpenAI's rule of thumb], for
    /// English); two of other alphabets, and one of Chinese, Japanese or Korean, where tokenizers do worse. Output: the maximum
    /// that the request sets, for each of the answers it asks for, else `default_output`.
    ///
    /// [OpenAI's rule of thumb]: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
    pub(crate) fn cost(&self, default_output: u64) -> Cost {
        let output = self.output.unwrap_or(default_output);
        let cost = Cost::tokens(
            self.quarters.div_ceil(4),
            output.saturating_mul(self.answers),
        );
        match self.output {
            Some(_) => cost,
            None => cost.guessed(),
        }
    }

    fn read(&mut self, text: &str) {
        let mut depth = 0_u32;
        let mut model_begins = None;
        let mut scanner = Scanner::new(text);
        while let Some(token) = scanner.next() {
            let end = scanner.position();
            match token {
                Token::Enter(key) => {
                    if depth == 1 {
                        match &*name(key) {
                            "model" => model_begins = Some(end - 1),
                            "stream" => self.streams = false,
                            "stream_options" => self.has_stream_options = true,
                            _ => {}
                        }
                    }
                    depth += 1;
                }
                Token::Leave => {
                    depth = depth.saturating_sub(1);
                    if let Some(start) = model_begins.take_if(|_| depth == 1) {
                        self.add_model(start..end);
                    }
                }
                Token::Text(key, value) => {
                    if !is_encoded_file(value.0) {
                        self.quarters += quarters_of(value.0);
                    }
                    if depth == 1 {
                        match &*name(key) {
                            // The string is a slice of the text, and a quote stands before it.
                            "model" => {
                                let start = value.0.as_ptr() as usize - text.as_ptr() as usize - 1;
                                self.add_model(start..end);
                            }
                            "stream" => self.streams = false,
                            _ => {}
                        }
                    }
                }
                Token::Word(key, word) => {
                    if MAXIMA.contains(&key) {
                        self.output = word.parse().ok().or(self.output);
                    } else if matches!(key, "n" | "candidateCount") {
                        self.answers = word.parse().unwrap_or(1);
                    } else if depth == 1 {
                        match &*name(key) {
                            "model" => self.add_model(end - word.len()..end),
                            "stream" => self.streams = word == "true",
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    fn add_model(&mut self, at: Range<usize>) {
        match self.model {
            None => self.model = Some(at),
            Some(_) => self.more_models.push(at),
        }
    }
}

/// What a key says, which may be written with escapes.
fn name(key: &str) -> Cow<'_, str> {
    // They are short: a search that is made for long texts takes longer.
    match key.as_bytes().contains(&b'\\') {
        true => Escaped(key).unescape(),
        false => Cow::Borrowed(key),
    }
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

    fn estimate(body: &[u8], default_output: u64) -> Option<Cost> {
        let outline = Outline::of(&Bytes::copy_from_slice(body));
        outline.map(|outline| outline.cost(default_output))
    }

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

    #[test]
    fn it_is_of_one_body_and_no_other_that_says_the_same() {
        let body = Bytes::from(br#"{"model":"m"}"#.to_vec());
        let outline = Outline::of(&body).unwrap();
        assert!(outline.is_of(&body.clone()));
        assert!(!outline.is_of(&Bytes::copy_from_slice(&body)));
        assert!(!outline.is_of(&body.slice(..5)));
    }
}
