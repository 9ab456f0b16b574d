use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    dialect::Dialect,
    question::{Completion, Form},
};

/// A successful answer in the format of the request.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) completion: &'a Completion,
    pub(crate) completion_tokens: u64,
    pub(crate) request_id: &'a str,
}

impl Answer<'_> {
    pub(crate) fn whole(&self) -> Value {
        match self.completion.form {
            Form::Messages => return self.message(&self.words().collect::<String>()),
            Form::Embeddings(texts) => return self.embeddings(texts),
            Form::Chat => {}
        }
        let mut body = self.chat(
            "chat.completion",
            &json!([{
                "index": 0,
                "message": {"role": "assistant", "content": self.words().collect::<String>()},
                "logprobs": null,
                "finish_reason": self.reason("length", "stop"),
            }]),
        );
        body["usage"] = self.usage();
        if self.dialect == Dialect::Groq {
            body["x_groq"] = json!({"id": self.request_id});
        }
        body
    }

    /// The events of a stream, each as it goes over the wire.
    pub(crate) fn events(&self) -> Vec<Bytes> {
        if self.completion.form == Form::Messages {
            self.message_events()
        } else {
            self.chunks()
        }
    }

    /// OpenAI's format: in the last chunk the usage, if asked for, with no choices.
    fn chunks(&self) -> Vec<Bytes> {
        let first = json!({"role": "assistant", "content": ""});
        let deltas = self
            .words()
            .map(|word| (json!({"content": word}), Value::Null));
        let end = (json!({}), json!(self.reason("length", "stop")));
        let deltas = std::iter::once((first, Value::Null))
            .chain(deltas)
            .chain([end]);
        let mut chunks: Vec<Value> = deltas
            .map(|(delta, reason)| {
                let choice = json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
                let mut chunk = self.chat("chat.completion.chunk", &choice);
                if self.completion.include_usage {
                    chunk["usage"] = Value::Null;
                }
                chunk
            })
            .collect();
        if self.completion.include_usage {
            let mut chunk = self.chat("chat.completion.chunk", &json!([]));
            chunk["usage"] = self.usage();
            chunks.push(chunk);
        }
        // Groq tells the usage in a place of its own, whether asked for or not.
        if let Some(last) = chunks.last_mut().filter(|_| self.dialect == Dialect::Groq) {
            last["x_groq"] = json!({"id": self.request_id, "usage": self.usage()});
        }
        let done = Bytes::from_static(b"data: [DONE]\n\n");
        let chunks = chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n").into());
        chunks.chain([done]).collect()
    }

    /// Anthropic's format.
    fn message_events(&self) -> Vec<Bytes> {
        let mut message = self.message("");
        message["content"] = json!([]);
        message["stop_reason"] = Value::Null;
        message["usage"]["output_tokens"] = json!(1);
        let start = json!({
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        });
        let deltas = self.words().map(|word| {
            json!({
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": word},
            })
        });
        let end = [
            json!({"type": "content_block_stop", "index": 0}),
            json!({
                "type": "message_delta",
                "delta": {
                    "stop_reason": self.reason("max_tokens", "end_turn"),
                    "stop_sequence": null,
                },
                "usage": {"output_tokens": self.completion_tokens},
            }),
            json!({"type": "message_stop"}),
        ];
        [json!({"type": "message_start", "message": message}), start]
            .into_iter()
            .chain(deltas)
            .chain(end)
            .map(|event| {
                let name = event["type"].as_str().unwrap_or_default();
                format!("event: {name}\ndata: {event}\n\n").into()
            })
            .collect()
    }

    fn chat(&self, object: &str, choices: &Value) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.request_id.trim_start_matches("req_")),
            "object": object,
            "created": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
            "model": self.completion.model,
            "choices": choices,
            "system_fingerprint": "fp_simulated",
        })
    }

    fn message(&self, text: &str) -> Value {
        json!({
            "id": format!("msg_{}", self.request_id.trim_start_matches("req_")),
            "type": "message",
            "role": "assistant",
            "model": self.completion.model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": self.reason("max_tokens", "end_turn"),
            "stop_sequence": null,
            "usage": {
                "input_tokens": self.completion.prompt_tokens,
                "output_tokens": self.completion_tokens,
            },
        })
    }

    /// The same short vector for each text, as numbers whatever the encoding that was asked for.
    fn embeddings(&self, texts: usize) -> Value {
        let vector = [0.6, 0.0, -0.8, 0.0];
        let data = (0..texts)
            .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}));
        let tokens = self.completion.prompt_tokens;
        json!({
            "object": "list",
            "data": data.collect::<Value>(),
            "model": self.completion.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.completion.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.completion.prompt_tokens + self.completion_tokens,
        })
    }

    fn reason(&self, cut: &'static str, complete: &'static str) -> &'static str {
        let at_limit = self.completion.max_tokens == Some(self.completion_tokens);
        if at_limit { cut } else { complete }
    }

    /// One word per token.
    fn words(&self) -> impl Iterator<Item = &'static str> {
        let words = WORDS.iter().copied().cycle();
        words.zip(0..self.completion_tokens).map(|(word, _)| word)
    }
}

const WORDS: [&str; 8] = [
    "All ", "work ", "and ", "no ", "play ", "makes ", "tokens ", "dull. ",
];
