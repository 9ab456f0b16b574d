//! The layer.

use tower_layer::Layer;

use super::{service::Intake, settings::Settings};

/// Takes request bodies into memory and estimates what they cost. See the [module docs](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct IntakeLayer {
    settings: Settings,
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

    /// Sets how many tokens of answer to expect of a request that sets no maximum, until the limiter has learned how many
    /// answers under its key use. Default: 512.
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
