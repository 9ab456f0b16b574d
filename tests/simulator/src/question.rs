use http::{Method, request::Parts};
use serde_json::Value;

use crate::dialect::Dialect;

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Question {
    Models,
    Completion(Completion),
    /// A completion that cannot be read; the text says why.
    Malformed(String),
    UnknownPath,
}

/// A request for a completion.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) form: Form,
}

/// What a completion is asked for as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's own messages.
    Messages,
    /// OpenAI's embeddings, of so many texts.
    Embeddings(usize),
}

impl Question {
    pub(crate) fn read(dialect: Dialect, head: &Parts, body: &[u8]) -> Self {
        let path = head.uri.path();
        let is = |end: &str| path.ends_with(end);
        let read =
            |form| Completion::read(body, form).map_or_else(Self::Malformed, Self::Completion);
        match head.method {
            Method::GET if is("/models") => Self::Models,
            Method::POST if is("/chat/completions") => read(Form::Chat),
            Method::POST if is("/messages") && dialect == Dialect::Anthropic => {
                read(Form::Messages)
            }
            Method::POST if is("/embeddings") && dialect == Dialect::OpenAi => {
                read(Form::Embeddings(0))
            }
            _ => Self::UnknownPath,
        }
    }

    pub(crate) fn model(&self) -> Option<&str> {
        match self {
            Self::Completion(completion) => Some(&completion.model),
            _ => None,
        }
    }
}

impl Completion {
    fn read(body: &[u8], form: Form) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("The body of the request is not valid JSON: {error}"))?;
        let model = body["model"].as_str().ok_or("model: field required")?;
        if let Form::Embeddings(_) = form {
            return Self::embeddings(model, &body["input"]);
        }
        let messages = body["messages"]
            .as_array()
            .ok_or("messages: field required")?;
        let max_tokens = body["max_completion_tokens"]
            .as_u64()
            .or_else(|| body["max_tokens"].as_u64());
        if form == Form::Messages && max_tokens.is_none() {
            return Err("max_tokens: field required".into());
        }
        let characters = messages
            .iter()
            .map(|message| characters(&message["content"]));
        let characters = characters.sum::<u64>() + self::characters(&body["system"]);
        Ok(Self {
            model: model.into(),
            prompt_tokens: characters.div_ceil(4),
            max_tokens,
            stream: body["stream"] == true,
            include_usage: body["stream_options"]["include_usage"] == true,
            form,
        })
    }

    fn embeddings(model: &str, input: &Value) -> Result<Self, String> {
        let texts = match input {
            Value::String(_) => 1,
            Value::Array(texts) => texts.len(),
            _ => return Err("input: field required".into()),
        };
        Ok(Self {
            model: model.into(),
            prompt_tokens: characters(input).div_ceil(4),
            max_tokens: Some(0),
            stream: false,
            include_usage: false,
            form: Form::Embeddings(texts),
        })
    }

    /// What is reserved before the answer is known.
    pub(crate) fn most_tokens(&self) -> u64 {
        self.prompt_tokens
            .saturating_add(self.max_tokens.unwrap_or(0))
    }
}

/// Of a content: a text, or a list of parts of which some have a text.
fn characters(content: &Value) -> u64 {
    match content {
        Value::String(text) => text.chars().count() as u64,
        Value::Array(parts) => parts.iter().map(part_characters).sum(),
        _ => 0,
    }
}

fn part_characters(part: &Value) -> u64 {
    match part {
        Value::String(text) => text.chars().count() as u64,
        part => characters(&part["text"]),
    }
}
