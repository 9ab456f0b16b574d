//! Where in an answer the providers put what matters: the one table to extend for a new dialect.
//!
//! The way from the root of a JSON document to a value is a walk over [`Place`]s: a key found in a place [`means`](Place::key)
//! something, perhaps another place. Everything else is passed over unread, so that what a model writes, or a caller's own
//! metadata, is never taken for the provider's word.

use super::finds::{Count, Mark};

/// An object (or an array of such) on the way to what matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The document, an element of its outermost array, or a line of it.
    Root,
    /// A part of the answer: a choice, a message, a delta.
    Part,
    /// A whole response inside an event: it also repeats the request, which is passed over.
    Response,
    /// A wrapper that callers may write into: only its usage is read.
    Metadata,
    /// Cohere's `meta`.
    Meta,
    /// Holds counts of tokens.
    Counts,
    /// Holds the details of the prompt's count; only what came out of a cache is read.
    PromptDetails,
    /// Cohere's `billed_units`, for want of `tokens`.
    Billed,
    /// Results that carry their own counts: watsonx, Titan.
    Results,
    /// Gemini's `candidates`, or the `promptFeedback` that comes in their stead.
    Candidates,
    /// The `content` of one of them.
    CandidateContent,
    /// MiniMax's `base_resp`.
    BaseResponse,
    /// `incomplete_details` of OpenAI's responses.
    Incomplete,
}

/// What a key means where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: its value is passed over.
    Nothing,
    /// An object, or an array of objects, to look into.
    Look(Place),
    /// The same; a string there is content.
    LookOrContent(Place),
    /// A number of tokens.
    Count(Count),
    /// The kind of the event or document.
    Kind,
    /// Shows the mark, unless it is null, false, zero or empty.
    Mark(Mark),
    /// Why the model stopped; shows the mark where that is no error.
    Reason(Mark),
    /// Why the model stopped, and no more than that.
    Why,
    /// How a response stands.
    Status,
}

impl Meaning {
    /// Whether a number or a literal says anything here.
    pub(super) fn takes_bare(self) -> bool {
        matches!(
            self,
            Self::Count(_) | Self::Mark(_) | Self::Look(Place::Root)
        )
    }
}

impl Place {
    /// What this key means here.
    pub(super) fn key(self, key: &[u8]) -> Meaning {
        use Meaning::{Kind, Look, LookOrContent, Nothing, Reason, Status};
        match (self, key) {
            (
                Self::Root | Self::Part | Self::Response | Self::Metadata,
                b"usage" | b"usageMetadata" | b"usage_metadata" | b"token_count",
            ) => Look(Self::Counts),
            (Self::Root | Self::Part | Self::Response, b"meta") => Look(Self::Meta),
            (Self::Root | Self::Part | Self::Response, b"error") => Meaning::Mark(Mark::Error),
            (Self::Root | Self::Response, b"candidates" | b"promptFeedback") => {
                Look(Self::Candidates)
            }
            (Self::Root | Self::Response | Self::Part, b"output") => Meaning::Mark(Mark::Content),

            (Self::Root, b"type" | b"event_type" | b"object") => Kind,
            (Self::Root, b"choices" | b"message" | b"x_groq" | b"result") => Look(Self::Part),
            (Self::Root, b"delta") => LookOrContent(Self::Part),
            (Self::Root, b"response") => LookOrContent(Self::Response),
            (Self::Root, b"interaction") => Look(Self::Response), // Gemini's interactions
            (Self::Root, b"metadata") => Look(Self::Metadata),
            (Self::Root, b"results") => Look(Self::Results),
            (Self::Root, b"base_resp") => Look(Self::BaseResponse),
            (Self::Root, b"metrics" | b"details" | b"amazon-bedrock-invocationMetrics") => {
                Look(Self::Counts)
            }
            (Self::Root, b"done" | b"stop" | b"is_finished" | b"messageStop") => {
                Meaning::Mark(Mark::End)
            }
            (Self::Root | Self::Results, b"completionReason") => Reason(Mark::End),
            (Self::Root, b"done_reason" | b"stopReason") => Meaning::Why, // Ollama, Bedrock converse
            (Self::Root | Self::Response, b"incomplete_details") => Look(Self::Incomplete),
            (Self::Incomplete, b"reason") => Meaning::Why,
            (Self::Root, b"generated_text") => Meaning::Mark(Mark::Whole), // TGI's last event
            (Self::Root | Self::Results, b"stop_reason") => Reason(Mark::End),
            (Self::Root | Self::Part, b"finish_reason") | (Self::Part, b"stop_reason") => {
                Reason(Mark::Finish)
            }
            (Self::Root, key) if is_content(key) || is_bare_content(key) => {
                Meaning::Mark(Mark::Content)
            }
            (Self::Root, key) => count(key),

            (Self::Part, b"delta" | b"message") => Look(Self::Part),
            (Self::Part, b"response") => Meaning::Mark(Mark::Content),
            (Self::Part, key) if is_content(key) => Meaning::Mark(Mark::Content),

            (Self::Response, b"status") => Status,

            (Self::Meta, b"tokens") | (Self::Counts, b"tokens") => Look(Self::Counts),
            (Self::Meta | Self::Counts, b"billed_units") => Look(Self::Billed),
            (
                Self::Counts,
                b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details",
            ) => Look(Self::PromptDetails),
            (Self::Counts, key) => count(key),
            (Self::PromptDetails, b"cached_tokens") => Meaning::Count(Count::Cached),
            (Self::PromptDetails, b"cache_write_tokens") => Meaning::Count(Count::CacheWrite),
            (Self::Billed, b"input_tokens") => Meaning::Count(Count::BilledInput),
            (Self::Billed, b"output_tokens") => Meaning::Count(Count::BilledOutput),

            (Self::Results, b"tokenCount") => Meaning::Count(Count::Output),
            (Self::Results, key) if is_bare_content(key) => Meaning::Mark(Mark::Content),
            (Self::Results, key) => count(key),

            (Self::Candidates, b"finishReason") => Reason(Mark::End),
            (Self::Candidates, b"blockReason") => Meaning::Mark(Mark::End),
            (Self::Candidates, b"content") => Look(Self::CandidateContent),
            (Self::CandidateContent, b"parts") => Meaning::Mark(Mark::Content),

            (Self::BaseResponse, b"status_code") => Meaning::Mark(Mark::Error),
            _ => Nothing,
        }
    }
}

/// What the kind of an event or document shows: its `type`, `object` or `event_type`, or the `event:` line.
pub(super) fn kind(kind: &[u8]) -> Option<Mark> {
    match kind {
        b"error" | b"response.failed" | b"thread.run.failed" | b"conversation.response.error" => {
            Some(Mark::Error)
        }
        b"message_stop" // Anthropic
        | b"response.completed" | b"response.incomplete" // OpenAI responses
        | b"response.done" // the same of OpenRouter
        | b"speech.audio.done" // OpenAI
        | b"transcription.done" | b"conversation.response.done" // Mistral
        | b"interaction.completed" | b"interaction.complete" // Gemini's interactions, now and before
        | b"done" // assistants
        | b"message-end" | b"stream-end" => Some(Mark::End), // Cohere, v2 and v1
        b"transcript.text.done" | b"image_generation.completed" | b"image_edit.completed" => {
            Some(Mark::Whole)
        }
        b"message_delta" => None, // Anthropic: why it stopped, and the usage
        _ if kind.ends_with(b"delta") || kind.ends_with(b"partial_image") => Some(Mark::Content),
        _ => None,
    }
}

/// What a reason to stop shows.
pub(super) fn reason(reason: &[u8], mark: Mark) -> Option<Mark> {
    const ERROR: &[u8] = b"error";
    match reason {
        b"" => None,
        _ if reason.eq_ignore_ascii_case(b"not_finished") => None, // watsonx, until it is
        // OpenRouter's `error`, Cohere's `ERROR` and `ERROR_LIMIT`
        _ if reason.len() >= ERROR.len() && reason[..ERROR.len()].eq_ignore_ascii_case(ERROR) => {
            Some(Mark::Error)
        }
        _ => Some(mark),
    }
}

/// Whether a reason to stop is that the maximum of tokens was reached.
pub(super) fn is_maximum(reason: &[u8]) -> bool {
    const REASONS: [&[u8]; 5] = [
        b"length",                        // chat completions, Ollama, TGI, Titan
        b"max_tokens",                    // Anthropic, Gemini, Cohere, Bedrock, watsonx
        b"max_output_tokens",             // responses
        b"model_length",                  // Mistral
        b"model_context_window_exceeded", // Anthropic
    ];
    let is = |known: &&[u8]| reason.eq_ignore_ascii_case(known);
    // Nearly all say `stop`, which is shorter than any.
    reason.len() >= REASONS[0].len() && REASONS.iter().any(is)
}

/// Whether the key holds some of the answer, in a message or delta.
fn is_content(key: &[u8]) -> bool {
    matches!(
        key,
        b"content"
            | b"text"
            | b"reasoning_content"
            | b"reasoning"
            | b"refusal"
            | b"thinking"
            | b"tool_calls"
            | b"function_call"
            | b"tool_plan"
            | b"audio"
            | b"partial_json"
    )
}

/// Whether the key holds some of the answer where that comes without a message around it.
fn is_bare_content(key: &[u8]) -> bool {
    matches!(
        key,
        b"generated_text" // watsonx
            | b"token" // TGI
            | b"outputText" // Titan
            | b"generation" // Llama on Bedrock
            | b"completion" // Anthropic's old text completions
            | b"contentBlockDelta" // Bedrock converse
            | b"data" | b"embedding" | b"embeddings"
    )
}

/// What a key counts that stands among counts.
fn count(key: &[u8]) -> Meaning {
    Meaning::Count(match key {
        b"prompt_tokens" // chat completions, embeddings
        | b"promptTokenCount" | b"prompt_token_count" // Gemini; Llama on Bedrock
        | b"inputTextTokenCount" // Titan
        | b"input_token_count" // watsonx, Replicate
        | b"prompt_eval_count" // Ollama
        | b"tokens_evaluated" // llama.cpp
        | b"input_length" // TGI
        | b"total_input_tokens" => Count::Input, // Gemini's interactions
        b"input_tokens" // responses, Anthropic, Cohere
        | b"inputTokens" | b"inputTokenCount" => Count::InputBesideCache, // Bedrock converse, and its invocation metrics
        b"completion_tokens"
        | b"output_tokens"
        | b"outputTokens"
        | b"candidatesTokenCount" | b"candidates_token_count" | b"responseTokenCount"
        | b"generation_token_count"
        | b"totalOutputTextTokenCount" | b"outputTokenCount"
        | b"generated_token_count" | b"output_token_count"
        | b"eval_count"
        | b"tokens_predicted"
        | b"generated_tokens"
        | b"response_tokens" // Cohere's old token_count
        | b"total_output_tokens" => Count::Output,
        b"thoughtsTokenCount" | b"thoughts_token_count" | b"total_thought_tokens" => Count::Thoughts,
        b"cache_read_input_tokens" // Anthropic
        | b"cacheReadInputTokens" | b"cacheReadInputTokenCount" => Count::CachedBeside, // Bedrock
        b"cache_creation_input_tokens" // Anthropic
        | b"cacheWriteInputTokens" | b"cacheWriteInputTokenCount" => Count::CacheWriteBeside, // Bedrock
        b"cached_tokens" // Together, Moonshot, Cohere
        | b"cachedContentTokenCount" | b"cached_content_token_count" // Gemini
        | b"prompt_cache_hit_tokens" // DeepSeek
        | b"num_cached_tokens" // Mistral
        | b"total_cached_tokens" => Count::Cached,
        b"total_tokens" | b"totalTokens" | b"totalTokenCount" | b"total_token_count" => Count::Total,
        _ => return Meaning::Nothing,
    })
}
