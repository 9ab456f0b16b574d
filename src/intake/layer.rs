//! The layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::{service::Intake, settings::Settings};
use crate::request::{Cost, RequestHead};

/// Takes request bodies into memory and estimates what they cost. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct IntakeLayer {
    settings: Arc<Settings>,
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
        Arc::make_mut(&mut self.settings).max_bytes = bytes;
        self
    }

    /// Sets how many tokens of answer to expect of a request that sets no maximum, until the limiter has learned how many
    /// answers under its key use. Default: 512.
    #[must_use]
    pub fn output_tokens(mut self, tokens: u64) -> Self {
        Arc::make_mut(&mut self.settings).output_tokens = tokens;
        self
    }

    /// An estimate of your own, such as by the tokenizer of your model: it is given the head, the body, and what the request costs by
    /// the rule of thumb, `None` where the body is no JSON object. It is asked for each request whose extensions have no
    /// [`Cost`] yet, and which does not only count tokens, while the caller waits. A request for which it says `None` goes without
    /// a cost. Default: the rule of thumb.
    ///
    /// Limits of tokens are used to their last only as far as estimates are right: one that is too high waits for room that it
    /// does not need until its answer has ended.
    ///
    /// ```
    /// use tower_upstream::{Cost, IntakeLayer};
    ///
    /// # fn count(text: &str) -> usize { text.len() / 4 }
    /// let intake = IntakeLayer::new().estimate(|_head, body, by_rule| {
    ///     let mut cost = by_rule?;
    ///     let chat: serde_json::Value = serde_json::from_slice(body).ok()?;
    ///     let texts = chat["messages"].as_array().into_iter().flatten().map(|message| message["content"].as_str());
    ///     // `count` is your tokenizer's. A message takes 3 tokens more, and so does the beginning of the answer.
    ///     let counted: Option<usize> = texts.map(|text| Some(count(text?) + 3)).sum();
    ///     if let Some(tokens) = counted {
    ///         cost.input_tokens = tokens as u64 + 3;
    ///     }
    ///     Some(cost)
    /// });
    /// # let _ = intake;
    /// ```
    #[must_use]
    pub fn estimate(
        mut self,
        estimate: impl Fn(&RequestHead<'_>, &[u8], Option<Cost>) -> Option<Cost> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.settings).estimate = Some(Arc::new(estimate));
        self
    }
}

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Intake::new(inner, self.settings.clone())
    }
}
