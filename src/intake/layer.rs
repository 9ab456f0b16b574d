//! The layer, and its settings.

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body_util::Full;
use tower_layer::Layer;

use super::{estimate::estimate, service::Intake};
use crate::request::Cost;

/// Takes request bodies into memory and estimates what they cost. See the [module docs](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct IntakeLayer {
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) max_bytes: usize,
    output_tokens: u64,
}

impl IntakeLayer {
    /// A layer with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the largest body that is taken, in bytes. A larger one is refused with [`Error::Body`](crate::Error::Body) and
    /// nothing is sent. Default: 64 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Sets how many tokens of answer to expect of a request that sets no maximum. Default: 512.
    #[must_use]
    pub fn output_tokens(mut self, tokens: u64) -> Self {
        self.settings.output_tokens = tokens;
        self
    }
}

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Intake::new(inner, self.settings)
    }
}

impl Settings {
    /// The request with its body in memory and its cost in its extensions. A cost that the caller set stays.
    pub(super) fn request(self, mut parts: Parts, body: Bytes) -> Request<Full<Bytes>> {
        if parts.extensions.get::<Cost>().is_none()
            && let Some(cost) = estimate(&body, self.output_tokens)
        {
            parts.extensions.insert(cost);
        }
        Request::from_parts(parts, Full::new(body))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            output_tokens: 512,
        }
    }
}
