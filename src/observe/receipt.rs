//! [`Receipt`]: what became of one request that was sent, and what it cost.

use std::time::Duration;

use crate::{
    money::Money,
    outcome::{FailureKind, Usage},
};

/// What became of one request that a [`ProviderLayer`](crate::ProviderLayer) sent, fit for billing.
///
/// There is exactly one for each request that goes through the layer, whatever becomes of it; a request that is tried again,
/// or goes on to the next upstream, has one for each attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Receipt<'a> {
    /// The id of the upstream; empty where no layer chose one.
    pub upstream: &'a str,
    /// The name of its provider; empty as well then.
    pub provider: &'a str,
    /// Its model; empty where the request itself names it.
    pub model: &'a str,
    /// What was asked for, by the path of the request, as OpenTelemetry's `gen_ai.operation.name` has it: `chat`,
    /// `text_completion`, `embeddings`, `generate_content`; empty for anything else.
    pub operation: &'static str,
    /// Whether the answer was a stream of events.
    pub is_stream: bool,
    /// How it ended.
    pub end: End,
    /// The status of the answer; `None` where none came.
    pub status: Option<u16>,
    /// How long it took until the head of the answer came.
    pub head_after: Option<Duration>,
    /// How long it took until the first of the answer itself came: a word, a tool call, a vector; of an answer that is no
    /// stream, all of it. `None` where none came, or where the body could not be read.
    pub content_after: Option<Duration>,
    /// How long it took until the end: of the body, or of the failure's head.
    pub took: Duration,
    /// What was used, by what the provider reported; nothing of an answer that does not tell, or that broke off or was dropped
    /// before it told. The rate limit layer [settles](super::Event::Settled) by it, without what the provider holds against no
    /// limit.
    pub usage: Usage,
    /// What that came to by the upstream's [`Price`](crate::Price); `None` where it has none or the usage is not known.
    pub money: Option<Money>,
    /// Whether the answer stopped because it had reached its maximum of tokens.
    pub is_truncated: bool,
}

impl<'a> Receipt<'a> {
    /// A receipt that says no more than this; for tests of your observers.
    pub fn new(upstream: &'a str, end: End) -> Self {
        Self {
            upstream,
            provider: "",
            model: "",
            operation: "",
            is_stream: false,
            end,
            status: None,
            head_after: None,
            content_after: None,
            took: Duration::ZERO,
            usage: Usage::default(),
            money: None,
            is_truncated: false,
        }
    }

    /// The error's kind, as OpenTelemetry's `error.type` has it; `None` for an answer, and for a caller who went away.
    pub(super) fn error_type(&self) -> Option<&'static str> {
        match self.end {
            End::Answered | End::Cancelled => None,
            End::Failed(kind) => Some(kind.as_str()),
            End::Broken => Some("stream_broken"),
        }
    }
}

/// How a request that was sent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// It was answered to the end.
    Answered,
    /// It failed: by the answer's head, or by the first that came of a stream, or without any answer.
    Failed(FailureKind),
    /// The answer broke off after its head, and perhaps a part of it, had been passed on.
    Broken,
    /// The caller went away before the end.
    Cancelled,
}

impl End {
    /// The name in snake case, as logs and metrics carry it: `answered`, `failed`, `broken`, `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed(_) => "failed",
            Self::Broken => "broken",
            Self::Cancelled => "cancelled",
        }
    }

    /// Why it failed.
    pub fn failure(self) -> Option<FailureKind> {
        match self {
            Self::Failed(kind) => Some(kind),
            Self::Answered | Self::Broken | Self::Cancelled => None,
        }
    }
}
