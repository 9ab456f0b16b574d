//! [`Outline`]: what the JSON body of a request asks for, and where in it its model stands.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use crate::{
    request::Cost,
    signal::json::{Escaped, Scanner, Token},
};

/// What a body in the OpenAI, Anthropic or Gemini format has, read in one pass.
///
/// The outermost layer that needs it, the front's or the intake, makes it and puts it into the request's extensions, so that those
/// inside need not read the body again.
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
    pub(crate) stream_options: StreamOptions,
    /// What the prompt is reckoned with, in quarters of a token.
    quarters: u64,
    /// The most tokens of an answer, where it says so.
    output: Option<u64>,
    answers: u64,
}

/// What a body says of the usage of its stream.
#[derive(Clone, Debug)]
pub(crate) enum StreamOptions {
    /// It has no options.
    Absent,
    /// They are `null`, which stands here.
    Null(Range<usize>),
    /// They say nothing of it, and begin here, behind their brace.
    Silent(usize),
    /// They say what they want, or are nothing that could.
    Told,
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
            stream_options: StreamOptions::Absent,
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
    /// Input: the characters of all strings, and of the names deep within, as of a tool's parameters. Four of ASCII make a token
    /// ([OpenAI's rule of thumb], for English); two of other alphabets, and one of Chinese, Japanese or Korean, where tokenizers do
    /// worse. A number in a list is a token, as those are that [embeddings] take; an encoded file is a picture of a megapixel.
    /// Output: the maximum that the request sets, for each of the answers it asks for, else `default_output`.
    ///
    /// [OpenAI's rule of thumb]: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
    /// [embeddings]: https://platform.openai.com/docs/api-reference/embeddings/create
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
        let (mut model_begins, mut in_options) = (None, false);
        let mut scanner = Scanner::new(text);
        while let Some(token) = scanner.next() {
            let end = scanner.position();
            match token {
                Token::Enter(key) => {
                    self.quarters += weight_of_name(key, depth);
                    if depth == 1 {
                        match &*name(key) {
                            "model" => model_begins = Some(end - 1),
                            "stream" => self.streams = false,
                            "stream_options" => {
                                in_options = text[..end].ends_with('{');
                                self.stream_options = match in_options {
                                    true => StreamOptions::Silent(end),
                                    false => StreamOptions::Told,
                                };
                            }
                            _ => {}
                        }
                    }
                    depth += 1;
                }
                Token::Leave => {
                    depth = depth.saturating_sub(1);
                    in_options &= depth > 1;
                    if let Some(start) = model_begins.take_if(|_| depth == 1) {
                        self.add_model(start..end);
                    }
                }
                Token::Text(key, value) => {
                    self.quarters += weight_of_name(key, depth);
                    self.quarters += match is_encoded_file(key, value.0) {
                        true => FILE,
                        false => quarters_of(value.0),
                    };
                    if depth == 1 {
                        match &*name(key) {
                            // The string is a slice of the text, and a quote stands before it.
                            "model" => {
                                let start = value.0.as_ptr() as usize - text.as_ptr() as usize - 1;
                                self.add_model(start..end);
                            }
                            "stream" => self.streams = false,
                            "stream_options" => self.stream_options = StreamOptions::Told,
                            _ => {}
                        }
                    }
                }
                Token::Word(key, word) => {
                    self.quarters += match key {
                        "" => TOKEN,
                        key => weight_of_name(key, depth),
                    };
                    match (depth, key) {
                        (1, "max_completion_tokens" | "max_tokens" | "max_output_tokens")
                        | (2, "maxOutputTokens") => {
                            self.output = word.parse().ok().or(self.output);
                        }
                        (1, "n") | (2, "candidateCount") => {
                            self.answers = word.parse().unwrap_or(1);
                        }
                        (2, "include_usage") if in_options => {
                            self.stream_options = StreamOptions::Told;
                        }
                        (1, key) => match &*name(key) {
                            "model" => self.add_model(end - word.len()..end),
                            "stream" => self.streams = word == "true",
                            "stream_options" => {
                                self.stream_options = match word {
                                    "null" => StreamOptions::Null(end - word.len()..end),
                                    _ => StreamOptions::Told,
                                };
                            }
                            _ => {}
                        },
                        _ => {}
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

/// What a name is reckoned with, in quarters of a token: those of parameters and arguments are a part of the prompt, those of a
/// message's own fields are not.
fn weight_of_name(name: &str, depth: u32) -> u64 {
    match depth > DEPTH_OF_MESSAGES {
        true => name.len() as u64,
        false => 0,
    }
}

/// The object, its list of messages or tools, and one of them.
const DEPTH_OF_MESSAGES: u32 = 3;

/// A token, in quarters of one.
const TOKEN: u64 = 4;

/// A picture of a megapixel, in quarters of a token: 765 tokens by [OpenAI's](https://platform.openai.com/docs/guides/images-vision)
/// tiles, 1,334 by [Anthropic's](https://docs.claude.com/en/docs/build-with-claude/vision) count of pixels.
const FILE: u64 = 1_000 * TOKEN;

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

/// An image or a sound in base 64: it is not charged by its characters, as it is where it stands for a text.
fn is_encoded_file(name: &str, text: &str) -> bool {
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    let looks_encoded = || text.len() > 1_024 && text.bytes().all(is_base64);
    is_data_url(text) || (looks_encoded() && !NAMES_OF_TEXTS.contains(&name))
}

/// `data:image/png;base64,` and what follows.
fn is_data_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("data:") else {
        return false;
    };
    let head = &rest.as_bytes()[..rest.len().min(128)];
    memchr::memchr(b',', head).is_some_and(|end| head[..end].ends_with(b";base64"))
}

const NAMES_OF_TEXTS: [&str; 9] = [
    "text",
    "content",
    "input",
    "prompt",
    "system",
    "instructions",
    "arguments",
    "description",
    "output",
];

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

    fn input(body: &str) -> u64 {
        estimate(body.as_bytes(), 0)
            .expect("an object")
            .input_tokens
    }

    #[test]
    fn an_encoded_file_is_reckoned_as_a_picture_whatever_its_length() {
        let image = "A".repeat(100_000);
        let body = format!(
            r#"{{"messages":[{{"content":"data:image/png;base64,{image}"}},{{"data":"{image}"}},{{"images":["{image}"]}}]}}"#
        );
        assert_eq!(input(&body), 3_000);
    }

    // A new user's test: 20 KB of it were reckoned as nothing.
    #[test]
    fn a_text_that_looks_encoded_or_begins_like_a_url_is_a_text() {
        let code = "aGVsbG8gd29ybGQK".repeat(250);
        for body in [
            format!(r#"{{"messages":[{{"content":"{code}"}}]}}"#),
            format!(r#"{{"prompt":"{code}"}}"#),
            format!(r#"{{"input":"{code}"}}"#),
            format!(r#"{{"prompt":"data:, {}"}}"#, &code[7..]),
        ] {
            assert_eq!(input(&body), 1_000, "{body}");
        }
    }

    // https://platform.openai.com/docs/api-reference/embeddings/create: the input may be tokens, or lists of them.
    #[test]
    fn a_list_of_tokens_is_as_many_tokens() {
        let ids = vec!["12345"; 1_000].join(",");
        assert_eq!(input(&format!(r#"{{"input":[{ids}]}}"#)), 1_000);
        assert_eq!(input(&format!(r#"{{"input":[[{ids}],[{ids}]]}}"#)), 2_000);
    }

    // https://platform.openai.com/docs/guides/function-calling: functions count against the context, and are charged as input.
    #[test]
    fn the_names_of_parameters_are_a_part_of_the_prompt() {
        let one = r#""a_property":{"type":"string"}"#;
        let all = vec![one; 400].join(",");
        for body in [
            format!(r#"{{"tools":[{{"function":{{"parameters":{{"properties":{{{all}}}}}}}}}]}}"#),
            format!(r#"{{"tools":[{{"input_schema":{{"properties":{{{all}}}}}}}]}}"#),
        ] {
            let names = 400 * ("a_property".len() + "type".len() + "string".len()) as u64 / 4;
            assert!((names..names + 10).contains(&input(&body)));
        }
    }

    #[test]
    fn only_what_the_request_itself_sets_is_its_maximum() {
        for (body, output, is_guess) in [
            (r#"{"metadata":{"max_tokens":5000,"n":7}}"#, 9, true),
            (
                r#"{"max_tokens":50,"messages":[{"n":7,"max_tokens":1}]}"#,
                50,
                false,
            ),
            (
                r#"{"generationConfig":{"maxOutputTokens":30,"candidateCount":2}}"#,
                60,
                false,
            ),
        ] {
            let cost = estimate(body.as_bytes(), 9).expect("an object");
            assert_eq!(
                (cost.output_tokens, cost.is_guess),
                (output, is_guess),
                "{body}"
            );
        }
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
