//! What one answer, or one error, of an upstream meant.
//!
//! The layers do not agree on status codes among themselves; they agree on an [`Outcome`]. It comes from the response's
//! extensions where a layer below (a [`ProviderLayer`](crate::provider::ProviderLayer), or your own) put one, and from
//! status and headers otherwise.

mod message;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::period::whole_millis;

pub use message::Message;

/// What one answer of an upstream meant.
///
/// A layer that knows more than the status line inserts one into the response's extensions, and every layer outside
/// of it believes that one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The upstream did what it was asked.
    Success,
    /// It did not, and this is why.
    Failure(Failure),
}

impl Outcome {
    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Success => None,
            Self::Failure(failure) => Some(failure),
        }
    }

    /// Whether the upstream did what it was asked.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Why an upstream did not answer as asked, and what can be done about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// Whether waiting and then sending the same request to the same upstream can succeed.
    pub retry_same: bool,
    /// Whether another model or provider could serve this request at all.
    pub fall_back: bool,
    /// How long the upstream asked to be left alone, as it said it, rounded up to a millisecond.
    pub retry_after: Option<Duration>,
    /// Whether the failure speaks for the whole account at the provider, not for this one model.
    pub account_wide: bool,
    /// Which of our own layers refused, where the kind is [`Refused`](FailureKind::Refused) and it was one of these two.
    pub refused_by: Option<RefusedBy>,
    /// The limit that was hit, where the answer tells.
    pub limit: Option<Box<LimitHit>>,
    /// The field of the request that is at fault, such as `messages[0].content`, where the request is and the answer names it by a
    /// plain name: up to 64 ASCII letters, digits, `_`, `.`, `[` and `]`.
    pub param: Option<Box<str>>,
    /// The upstream's own words, shortened, or those of the layer that refused.
    pub message: Option<Message>,
}

impl Failure {
    /// A failure of this kind, with what usually follows from the kind and nothing more known.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            retry_same: kind.retry_same(),
            fall_back: kind.fall_back(),
            retry_after: None,
            account_wide: kind == FailureKind::QuotaExhausted,
            refused_by: None,
            limit: None,
            param: None,
            message: None,
        }
    }

    /// How long the upstream asks to be left alone. [`retry_after`](Self::retry_after) of zero is no wish, but a date that
    /// has passed: obeying it would be a hot loop.
    pub fn hint(&self) -> Option<Duration> {
        self.retry_after.filter(|hint| !hint.is_zero())
    }

    /// Whether the upstream cannot have done what the request asks: it was full, or never saw it, as its error says (`unsent`).
    pub(crate) fn is_unprocessed(&self, unsent: bool) -> bool {
        match self.kind {
            FailureKind::RateLimited => true,
            // One that says when to come back, at once too, has refused in good order; without it, anything may have happened.
            FailureKind::Overloaded => self.retry_after.is_some(),
            _ => unsent,
        }
    }

    /// Sets how long the upstream asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.retry_after = retry_after.into();
        self
    }

    /// Sets the upstream's own words.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Message>) -> Self {
        self.message = Some(message.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(wait) = self.retry_after {
            write!(f, ", retry after {:?}", whole_millis(wait))?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

/// The kinds of failure that the layers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Too many requests or tokens for now; a later try can succeed.
    RateLimited,
    /// A quota or credit is used up and waiting a while does not bring it back.
    QuotaExhausted,
    /// The upstream has no capacity at the moment, whoever asks.
    Overloaded,
    /// The upstream failed on its side.
    ServerError,
    /// The request is larger than this upstream, or this account, ever takes.
    RequestTooLarge,
    /// The credentials are missing, wrong or not allowed to do this.
    Auth,
    /// The request itself is wrong, or collides with the state of what it asks for; every upstream would refuse it.
    InvalidRequest,
    /// A content filter refused the request or the answer.
    ContentFiltered,
    /// The model, deployment or path does not exist here, or what was asked for is not implemented.
    NotFound,
    /// No answer in time.
    Timeout,
    /// The connection could not be made, or broke.
    Transport,
    /// One of this crate's own layers refused the call: nothing was sent.
    Refused,
}

impl FailureKind {
    /// Whether waiting and sending the same again usually helps.
    pub fn retry_same(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Overloaded
                | Self::ServerError
                | Self::Timeout
                | Self::Transport
        )
    }

    /// Whether another model or provider can usually serve the request.
    ///
    /// Tells what is possible. The fallback layer adds policy: it does not fall back on [`Auth`](Self::Auth) unless asked to.
    pub fn fall_back(self) -> bool {
        !matches!(self, Self::InvalidRequest)
    }

    /// Whether the failure counts against the upstream's health.
    ///
    /// Rate limits are the limiter's business, errors about the request are the caller's, and refusals of our own
    /// layers say nothing of the upstream.
    pub fn is_ill_health(self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::ServerError | Self::Timeout | Self::Transport
        )
    }

    /// Whether the upstream did nothing for the request that it bills, or counts as tokens.
    ///
    /// Of the others it cannot be known, or is known to be billed: Azure charges prompts that its filter refused and answers that
    /// came to no end in time, and neither a 401 nor a 429
    /// ([source](https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs)).
    pub(crate) fn is_turned_away(self) -> bool {
        match self {
            Self::RateLimited
            | Self::QuotaExhausted
            | Self::Overloaded
            | Self::RequestTooLarge
            | Self::Auth
            | Self::InvalidRequest
            | Self::NotFound
            | Self::Refused => true,
            Self::ServerError | Self::ContentFiltered | Self::Timeout | Self::Transport => false,
        }
    }

    /// The name in snake case, as logs and metrics carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::RequestTooLarge => "request_too_large",
            Self::Auth => "auth",
            Self::InvalidRequest => "invalid_request",
            Self::ContentFiltered => "content_filtered",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Refused => "refused",
        }
    }

    /// The kind of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub(crate) const ALL: [Self; 12] = [
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::Overloaded,
        Self::ServerError,
        Self::RequestTooLarge,
        Self::Auth,
        Self::InvalidRequest,
        Self::ContentFiltered,
        Self::NotFound,
        Self::Timeout,
        Self::Transport,
        Self::Refused,
    ];
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RateLimited => "rate limited",
            Self::QuotaExhausted => "quota exhausted",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server error",
            Self::RequestTooLarge => "request too large",
            Self::Auth => "not authorized",
            Self::InvalidRequest => "invalid request",
            Self::ContentFiltered => "content filtered",
            Self::NotFound => "not found",
            Self::Timeout => "timed out",
            Self::Transport => "connection failed",
            Self::Refused => "refused locally",
        })
    }
}

/// Who refuses a request before it is sent, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusedBy {
    /// A limit, which frees itself with time: the request is one too many for now.
    Limit,
    /// An open circuit, or whoever else says that the upstream is not to be asked because it is not well.
    Circuit,
}

/// The limit that a refusal names. Only what the answer itself says is filled in.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LimitHit {
    /// What is counted.
    pub dimension: Option<Dimension>,
    /// The period it is counted over.
    pub window: Option<Window>,
    /// The most that the period allows.
    pub limit: Option<f64>,
    /// What was used before this request.
    pub used: Option<f64>,
    /// What this request would have needed.
    pub requested: Option<f64>,
    /// What was left.
    pub remaining: Option<f64>,
    /// The model that the limit is for.
    pub model: Option<Box<str>>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Tokens, input and output together.
    Tokens,
    /// Tokens of the prompt.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
    /// Money.
    Money,
    /// Requests under way at the same time.
    Concurrency,
    /// Images.
    Images,
    /// Seconds of audio.
    AudioSeconds,
    /// Something that this crate has no name for: pages, characters.
    Other,
}

impl Dimension {
    /// The name in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Money => "money",
            Self::Concurrency => "concurrency",
            Self::Images => "images",
            Self::AudioSeconds => "audio_seconds",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A period with a name, as providers use them in limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Window {
    /// One second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
    /// A month, 30 days where a length is needed.
    Month,
}

impl Window {
    /// The name in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The length of the period; a month counts 30 days.
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        })
    }
}

/// The tokens that one answer used, by what the provider reports. Each figure means the same whoever reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// All tokens of the prompt, those out of a cache and into a cache with them: also of Anthropic, whose own `input_tokens` has
    /// neither ([prompt caching](https://docs.claude.com/en/docs/build-with-claude/prompt-caching)).
    pub input_tokens: Option<u64>,
    /// All tokens of the answer, thoughts with them.
    pub output_tokens: Option<u64>,
    /// Tokens of the prompt that came out of a cache.
    pub cached_tokens: Option<u64>,
    /// Tokens of the prompt that went into a cache.
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the prompt that the provider does not hold against its limits; where none are told, all are. With
    /// [Anthropic](https://docs.claude.com/en/api/rate-limits), Bedrock and
    /// [Groq](https://console.groq.com/docs/prompt-caching) those that came out of a cache. The rate limit layer settles without
    /// them.
    pub uncounted_tokens: Option<u64>,
    /// All tokens, as the provider adds them up.
    pub total_tokens: Option<u64>,
}

impl Usage {
    /// All tokens: what the provider says, else input and output together, else nothing is known.
    pub fn total(&self) -> Option<u64> {
        self.total_tokens
            .or_else(|| match (self.input_tokens, self.output_tokens) {
                (None, None) => None,
                (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
            })
    }
}

/// Where the usage of an answer will stand once its body has ended. Travels in the extensions of a response.
///
/// The layer that reads the body [`set`](Self::set)s it, those outside [`get`](Self::get) it at the end of the body.
#[derive(Clone, Debug, Default)]
pub struct UsageCell(Arc<OnceLock<Usage>>);

impl UsageCell {
    /// What was used; `None` while the body has not ended, or when it did not tell.
    pub fn get(&self) -> Option<Usage> {
        self.0.get().copied()
    }

    /// Sets what was used. The first call counts.
    pub fn set(&self, usage: Usage) {
        self.0.get_or_init(|| usage);
    }
}
