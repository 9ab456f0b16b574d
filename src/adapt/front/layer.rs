//! The layer.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use tower_layer::Layer;

use super::{service::Front, settings::Settings};
use crate::{adapt::rejection::RejectionLayer, clock::Clock, upstream::Upstream};

/// The door of a gateway in OpenAI's format. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct FrontLayer {
    settings: Arc<Settings>,
}

impl FrontLayer {
    /// A door before these upstreams: those of a [`Stack`](crate::Stack), which goes inside.
    pub fn new(upstreams: &[Upstream]) -> Self {
        Self {
            settings: Arc::new(Settings::new(upstreams)),
        }
    }

    /// Sets the largest body that is taken, in bytes. Default: 4 MiB.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_body = bytes)
    }

    /// Sets how long a body may take to arrive as a whole. Default: 30 s.
    #[must_use]
    pub fn body_time(self, time: Duration) -> Self {
        self.set(|settings| settings.body_time = time)
    }

    /// Sets how long an answer may take to begin, once the body has arrived; waits that would take longer are not begun.
    /// Default: 5 min.
    ///
    /// Give each attempt less than that (see [`RetryPolicy::attempt_timeout`](crate::RetryPolicy::attempt_timeout)), or there is no
    /// time to ask another upstream where one is silent.
    #[must_use]
    pub fn answer_time(self, time: Duration) -> Self {
        self.set(|settings| settings.answer_time = time)
    }

    /// Lets one more header field of requests go to upstreams. Default: `Content-Type`, `Accept`, `traceparent`, `tracestate` and
    /// `X-Request-Id`.
    #[must_use]
    pub fn send_on(self, name: HeaderName) -> Self {
        self.set(|settings| settings.sent_on.push(name))
    }

    /// Lets one more header field of answers go back to callers. Default: `Content-Type`, `Content-Length`, `Content-Encoding`,
    /// `Cache-Control` and `Retry-After`.
    #[must_use]
    pub fn pass_back(self, name: HeaderName) -> Self {
        self.set(|settings| settings.passed_back.push(name))
    }

    /// Sets the clock. Default: [`TokioClock`](crate::clock::TokioClock).
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.set(|settings| settings.clock = Arc::new(clock))
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for FrontLayer {
    type Service = Front<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let rejection = RejectionLayer::new().openai().hide_failures();
        Front::new(rejection.layer(inner), self.settings.clone())
    }
}
