//! [`Witness`]: sees one request that was sent to its end, and tells what became of it.

use std::{fmt, sync::Arc, time::Instant};

use tracing::Level;

use super::settings::Settings;
use crate::{
    error::Error,
    observe::{AttemptSpan, End, Event, Receipt},
    outcome::{FailureKind, Outcome, Usage},
    request::{AttemptDeadline, Cost, RequestHead},
    signal::usage::Reading,
    upstream::Upstream,
};

/// Sees one request to its end: of its call, or of the body of its answer. Dropped, it tells what became of the request,
/// exactly once; there is none where nobody listens.
pub(super) struct Witness {
    settings: Arc<Settings>,
    upstream: Option<Upstream>,
    /// What the request was expected to cost.
    cost: Cost,
    operation: &'static str,
    is_stream: bool,
    span: AttemptSpan,
    began: Instant,
    /// When a layer outside cuts the attempt off, as it told.
    attempt_ends: Option<AttemptDeadline>,
    status: Option<u16>,
    head: Option<Instant>,
    content: Option<Instant>,
    usage: Option<Usage>,
    is_truncated: bool,
    end: Option<End>,
}

impl Witness {
    /// A witness of a request that is about to be sent, where anybody listens.
    #[inline]
    pub(super) fn call(settings: &Arc<Settings>, head: &RequestHead<'_>) -> Option<Box<Self>> {
        // The rarest end is a warning.
        settings
            .events
            .are_heard(Level::WARN)
            .then(|| Self::begin(settings, head))
    }

    #[cold]
    fn begin(settings: &Arc<Settings>, head: &RequestHead<'_>) -> Box<Self> {
        let extensions = head.extensions;
        Box::new(Self {
            settings: settings.clone(),
            upstream: head.upstream().cloned(),
            cost: extensions.get().copied().unwrap_or_default(),
            operation: operation(head.uri.path()),
            is_stream: false,
            span: AttemptSpan::new(head.upstream(), operation(head.uri.path())),
            began: settings.clock.now(),
            attempt_ends: extensions.get().cloned(),
            status: None,
            head: None,
            content: None,
            usage: None,
            is_truncated: false,
            end: None,
        })
    }

    /// What happens within the attempt happens in this span.
    pub(super) fn in_scope<T>(&self, act: impl FnOnce() -> T) -> T {
        self.span.in_scope(act)
    }

    /// The call has failed, and there is no answer.
    pub(super) fn failed(mut self: Box<Self>, error: &Error) {
        self.end = Some(End::Failed(error.failure().kind));
    }

    /// The head of the answer has come.
    pub(super) fn saw_head(&mut self, status: u16) {
        self.head = Some(self.settings.clock.now());
        self.status = Some(status);
    }

    /// Hears what the answer means. A failure is the end of it, whatever its body says.
    pub(super) fn judged(mut self: Box<Self>, outcome: &Outcome) -> Option<Box<Self>> {
        match outcome {
            Outcome::Success => {
                // No longer does the layer outside that would cut it off wait for it.
                self.attempt_ends = None;
                Some(self)
            }
            Outcome::Failure(failure) => {
                self.end = Some(End::Failed(failure.kind));
                None
            }
        }
    }

    /// The answer is a stream of events.
    pub(super) fn saw_stream(&mut self) {
        self.is_stream = true;
    }

    /// Some of the answer itself has come; the first time counts.
    pub(super) fn saw_content(&mut self) {
        if self.content.is_none() {
            self.content = Some(self.settings.clock.now());
        }
    }

    /// The answer has ended, having shown this, where it could be read.
    pub(super) fn ended(mut self: Box<Self>, end: End, reading: Option<&Reading>) {
        self.usage = reading.and_then(|reading| reading.usage);
        self.is_truncated = reading.is_some_and(|reading| reading.truncated);
        self.end = Some(end);
    }

    /// Whether whoever drops the call now does so because its attempt has taken too long. Timers may be late, never early.
    fn is_overdue(&self, now: Instant) -> bool {
        let is_over = |end: &AttemptDeadline| now >= end.ends(now);
        self.attempt_ends.as_ref().is_some_and(is_over)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let now = self.settings.clock.now();
        let after = |at: Instant| at.saturating_duration_since(self.began);
        let upstream = self.upstream.as_ref();
        let price = upstream.and_then(Upstream::own_price);
        let money = price.zip(self.usage.as_ref());
        let end = match self.end {
            Some(end) => end,
            None if self.is_overdue(now) => End::Failed(FailureKind::Timeout),
            None => End::Cancelled,
        };
        let mut receipt = Receipt::new(upstream.map_or("", Upstream::id), end);
        receipt.provider = upstream.map_or("", |upstream| upstream.provider().name());
        receipt.model = upstream.and_then(Upstream::model).unwrap_or_default();
        (receipt.operation, receipt.is_stream) = (self.operation, self.is_stream);
        receipt.status = self.status;
        receipt.head_after = self.head.map(after);
        receipt.content_after = self.content.map(after);
        receipt.took = after(now);
        receipt.usage = self.usage.unwrap_or_default();
        receipt.money = money.map(|(price, usage)| price.of_usage(usage, self.cost));
        receipt.is_truncated = self.is_truncated;
        self.span.end(&receipt);
        let event = Event::Ended(&receipt);
        self.in_scope(|| self.settings.events.tell(&event));
    }
}

/// What is asked for at a path, as OpenTelemetry's `gen_ai.operation.name` has it; empty where it has no name for it.
fn operation(path: &str) -> &'static str {
    const OPERATIONS: [(&str, &str); 7] = [
        ("/chat/completions", "chat"),
        ("/messages", "chat"),
        ("/responses", "chat"),
        ("/completions", "text_completion"),
        ("/embeddings", "embeddings"),
        (":generateContent", "generate_content"),
        (":streamGenerateContent", "generate_content"),
    ];
    let known = OPERATIONS.iter().find(|(end, _)| path.ends_with(end));
    known.map_or("", |(_, operation)| operation)
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("upstream", &self.upstream)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
