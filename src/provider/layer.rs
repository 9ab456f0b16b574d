//! The layer.

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{service::Provide, settings::Settings};
use crate::{
    clock::Clock,
    observe::{Events, Observer},
    signal::FailureRule,
};

/// Speaks to the upstream that a request is for. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct ProviderLayer {
    settings: Arc<Settings>,
}

impl ProviderLayer {
    /// A layer with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how much of an answer is read ahead at most, in bytes, to find out what it means. Default: 64 KiB.
    #[must_use]
    pub fn peek_bytes(mut self, bytes: usize) -> Self {
        self.settings().peek_bytes = bytes;
        self
    }

    /// Sets how long reading ahead may take. Default: 10 s.
    #[must_use]
    pub fn peek_time(mut self, time: Duration) -> Self {
        self.settings().peek_time = time;
        self
    }

    /// Asks for the usage of streamed chat completions (`stream_options.include_usage`) where the request says nothing of it.
    ///
    /// Without it most providers tell no usage at the end of a stream, and the rate limit layer keeps the estimate. With
    /// it the stream has one more event, without a choice, that the reader must bear. Default: false.
    #[must_use]
    pub fn include_usage(mut self, include: bool) -> Self {
        self.settings().include_usage = include;
        self
    }

    /// Adds a rule on what an error body means; the rules that were added first are asked first, and all of them before those
    /// of the crate.
    ///
    /// ```
    /// use tower_upstream::{FailureKind, ProviderLayer, signal::FailureRule};
    ///
    /// let layer = ProviderLayer::new()
    ///     .rule(FailureRule::new(FailureKind::Overloaded).statuses(400..=599).message("engine is warming up"));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn rule(mut self, rule: FailureRule) -> Self {
        self.settings().rules.push(rule);
        self
    }

    /// Sets the clock. Default: [`TokioClock`](crate::clock::TokioClock).
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings().clock = Arc::new(clock);
        self
    }

    /// Sets the observer: it is told of every request's end. Default: none.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.settings().events = Events::to(observer);
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl<S> Layer<S> for ProviderLayer {
    type Service = Provide<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Provide::new(inner, self.settings.clone())
    }
}
