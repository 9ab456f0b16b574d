//! What a body says that bears on a failure, whatever its shape.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    field::Field,
    place::{Place, Places},
    quota_id::QuotaId,
};
use crate::{
    outcome::LimitHit,
    signal::{
        json::{Escaped, Scanner, Token},
        rules::push_plain,
    },
};

/// What was found in a body.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Codes, types, statuses and reasons, each as [`push_plain`] has it and between line feeds.
    pub(super) codes: String,
    /// Messages, as sent, a line each.
    pub(super) text: String,
    /// The field of the request that is at fault, by a plain name.
    pub(super) param: Option<Box<str>>,
    /// The longest wait that a field asks for.
    pub(super) wait: Option<Duration>,
    /// What fields say of the limit.
    pub(super) limit: LimitHit,
    /// What `google.rpc.QuotaFailure` says of the quota.
    pub(super) quota: Option<QuotaId>,
    /// The status that an error inside a successful answer claims.
    pub(super) status: Option<u16>,
    /// The upstream's headers, where a gateway relays them inside the body.
    pub(super) headers: HeaderMap,
    /// Whether a successful answer holds an error.
    pub(super) is_error: bool,
    /// Whether an error object says that there was none.
    is_all_well: bool,
    /// Whether the answer was stopped by a content filter.
    pub(super) is_filtered: bool,
}

impl Evidence {
    /// Gathers what a JSON text says. `server_time` is what points in time are read against.
    pub(super) fn read_json(&mut self, text: &str, root: Place, server_time: SystemTime) {
        self.read_nested(text, root, server_time, 0);
    }

    fn read_nested(&mut self, text: &str, root: Place, server_time: SystemTime, depth: usize) {
        let mut places = Places::new(root);
        for token in Scanner::new(text) {
            match token {
                Token::Enter(key) => {
                    places.enter(key);
                    if key == "base_resp" {
                        self.add_code(key);
                    }
                }
                Token::Leave => places.leave(),
                Token::Word(key, word) => {
                    let (place, key) = places.of(key);
                    if place == Place::Error {
                        self.read_word(key, word, server_time);
                    } else if is_error_code(key, word) && places.is_root() {
                        places.turn_into_error();
                        self.is_error = true;
                        self.read_word(key, word, server_time);
                    }
                }
                Token::Text(key, value) => {
                    let (place, key) = places.of(key);
                    match place {
                        Place::Elsewhere => {}
                        Place::Headers => self.read_header(key, value),
                        Place::Error => self.read_text(key, value, server_time, depth),
                        Place::Answer => {
                            if is_error_mark(key, value) {
                                places.turn_into_error();
                                self.is_error = true;
                            }
                            self.read_answer(key, value, server_time, depth);
                        }
                    }
                }
            }
        }
    }

    /// Takes a message in.
    pub(super) fn add_message(&mut self, message: &str) {
        let room = MAX_TEXT.saturating_sub(self.text.len());
        let message = truncate(message.trim(), room);
        // Some send the same sentence as `message`, `detail` and `localizedMessage`.
        if !message.is_empty() && !self.text.contains(message) {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(message);
        }
    }

    /// Takes a code in.
    pub(super) fn add_code(&mut self, code: &str) {
        if self.codes.len() + code.len() > MAX_CODES {
            return;
        }
        if self.codes.is_empty() {
            self.codes.reserve(2 * MAX_CODE);
            self.codes.push('\n');
        }
        push_plain(&mut self.codes, code);
        self.codes.push('\n');
    }

    fn read_answer(
        &mut self,
        key: &str,
        value: Escaped<'_>,
        server_time: SystemTime,
        depth: usize,
    ) {
        match key {
            "error" | "errors" if !value.0.is_empty() => {
                self.is_error = true;
                self.read_text("error", value, server_time, depth);
            }
            "model" if self.limit.model.is_none() => {
                self.limit.model = Some(value.unescape().into());
            }
            "finish_reason" | "finishReason" | "stop_reason" | "stopReason" | "blockReason"
            | "reason" => {
                let is_filtered = FILTERED
                    .iter()
                    .any(|reason| reason.eq_ignore_ascii_case(value.0));
                self.is_filtered |= is_filtered;
                let tells_end = !matches!(key, "blockReason" | "reason");
                self.is_error |= tells_end && !is_filtered && is_error_reason(value);
            }
            _ => {}
        }
    }

    fn read_text(&mut self, key: &str, value: Escaped<'_>, server_time: SystemTime, depth: usize) {
        match Field::of(key) {
            Field::Code => {
                self.add_code(value.0);
                self.read_status(value.0);
            }
            Field::Message => {
                let value = value.unescape();
                // Gateways put the upstream's whole body into a string.
                let nested = start_of_json(&value);
                match nested.filter(|_| depth < MAX_NESTING) {
                    Some(at) => {
                        self.read_nested(&value[at..], Place::Error, server_time, depth + 1);
                        self.add_message(&value[..at]);
                    }
                    None => {
                        if !value.contains(' ') && value.len() <= MAX_CODE {
                            self.add_code(&value);
                        }
                        self.add_message(&value);
                    }
                }
                self.is_error = !self.is_all_well;
            }
            Field::Model => {
                let model = value.unescape();
                if !model.is_empty() {
                    self.limit.model = Some(model.into());
                }
            }
            Field::Param if self.param.is_none() && is_plain_name(value.0) => {
                self.param = Some(value.0.into());
            }
            Field::QuotaId => self.merge_quota(QuotaId::parse(value.0)),
            Field::QuotaValue => self.limit.limit = self.limit.limit.or(number(value.0)),
            Field::Wait(unit) => self.merge_wait(unit.read(value.0, server_time)),
            _ => {}
        }
    }

    fn read_word(&mut self, key: &str, word: &str, server_time: SystemTime) {
        let number = number(word);
        match Field::of(key) {
            Field::Code => {
                self.add_code(word);
                if key == "status_code" && word == "0" {
                    // MiniMax: every answer has a base_resp, and 0 in it is success.
                    self.is_all_well = true;
                }
                self.read_status(word);
            }
            Field::Wait(unit) => self.merge_wait(unit.read(word, server_time)),
            Field::QuotaValue | Field::Limit => self.limit.limit = self.limit.limit.or(number),
            Field::Used => self.limit.used = self.limit.used.or(number),
            Field::Requested => self.limit.requested = self.limit.requested.or(number),
            Field::Remaining => self.limit.remaining = self.limit.remaining.or(number),
            _ => {}
        }
    }

    /// Some send the status as a code, the more so inside a stream.
    fn read_status(&mut self, code: &str) {
        let status = code
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status));
        self.status = self.status.or(status);
    }

    fn read_header(&mut self, name: &str, value: Escaped<'_>) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(&value.unescape());
        if let (Ok(name), Ok(value), true) = (name, value, self.headers.len() < MAX_HEADERS) {
            self.headers.insert(name, value);
        }
    }

    fn merge_wait(&mut self, wait: Option<Duration>) {
        self.wait = self.wait.max(wait);
    }

    fn merge_quota(&mut self, quota: QuotaId) {
        self.quota = Some(match self.quota {
            Some(known) => known.or_longer(quota),
            None => quota,
        });
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether it can be nothing but the name of a field: no sentence, and no key or token, which are longer or have hyphens.
fn is_plain_name(value: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']');
    (1..=MAX_CODE).contains(&value.len()) && value.bytes().all(is_plain)
}

/// The text cut to so many bytes at most, at a character's end.
pub(super) fn truncate(text: &str, length: usize) -> &str {
    let mut length = length.min(text.len());
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    &text[..length]
}

/// Where a JSON object begins inside a text.
pub(super) fn start_of_json(text: &str) -> Option<usize> {
    let mut braces = memchr::memchr_iter(b'{', text.as_bytes());
    braces.find(|at| text[at + 1..].trim_ascii_start().starts_with('"'))
}

/// `{"type": "error", …}` and `{"object": "error", …}` at the root of an answer.
fn is_error_mark(key: &str, value: Escaped<'_>) -> bool {
    matches!(key, "type" | "object") && value.0 == "error"
}

/// OpenRouter's `error`, Cohere's `ERROR` and `ERROR_LIMIT`.
fn is_error_reason(reason: Escaped<'_>) -> bool {
    let start = reason.0.get(.."error".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case("error"))
}

/// `{"error_code": 18, "error_msg": "…"}` at the root of an answer: Baidu's errors have status 200.
fn is_error_code(key: &str, word: &str) -> bool {
    key == "error_code" && number(word).is_some_and(|code| code != 0.0)
}

/// The reasons for an end that mean a content filter, of OpenAI, Azure, Gemini, Anthropic, Bedrock, Cohere and Zhipu.
const FILTERED: [&str; 10] = [
    "content_filter",
    "content_filtered",
    "guardrail_intervened",
    "refusal",
    "safety",
    "prohibited_content",
    "blocklist",
    "spii",
    "error_toxic",
    "sensitive",
];

/// Text beyond this says nothing new, and every rule would have to search it.
const MAX_TEXT: usize = 4_096;
const MAX_CODES: usize = 1_024;
const MAX_CODE: usize = 64;
const MAX_NESTING: usize = 3;
const MAX_HEADERS: usize = 64;
