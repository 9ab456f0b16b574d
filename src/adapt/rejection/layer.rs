//! The layer.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;

use super::{
    fields::Advertised,
    service::Rejection,
    settings::{Form, Settings},
};
use crate::{config_error::ConfigError, error::Error, rate_limit::RateLimiter};

/// Makes a response of every error of the layers inside. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct RejectionLayer {
    settings: Settings,
}

impl RejectionLayer {
    /// A layer that answers with problems, tells no limits, and passes answers as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells in every response how the limits of this limiter stand for its caller; call it for each limiter that is to be
    /// told. The name stands before that of each limit, as in `tenant-requests-60s`, and may be empty.
    ///
    /// It costs a look at the limiter for each response. Limits in shadow mode are told as if they held.
    ///
    /// # Errors
    ///
    /// When the name holds anything but visible ASCII, or quotes or backslashes.
    pub fn advertise(mut self, name: &str, limiter: RateLimiter) -> Result<Self, ConfigError> {
        let one_more = Advertised::new(name, limiter)?;
        let advertised = self.settings.advertised.iter().cloned();
        self.settings.advertised = advertised.chain([one_more]).collect();
        Ok(self)
    }

    /// Writes bodies in the form that OpenAI's clients read, `{"error": {"message", "type", "param", "code"}}`, in place of
    /// problems; [`OpenAiError`](super::OpenAiError) does the same for errors of your own.
    #[must_use]
    pub fn openai(mut self) -> Self {
        self.settings.form = Form::OpenAi;
        self
    }

    /// Makes a rejection also of an answer that failed, by its [`Outcome`](crate::Outcome): an upstream's words may name its
    /// account, its keys and its quotas, and its status blames the caller for what is yours (a 401 is about your key). Only
    /// words about the request itself go on, without what looks like a secret, and in OpenAI's form the name of the field that is at
    /// fault (`param`). The failed body is dropped.
    ///
    /// | the failure | status |
    /// |---|---|
    /// | the request itself is at fault, or its content is declined | the upstream's, else 400 |
    /// | too large | 413 |
    /// | not found | 404 |
    /// | rate limited | 429, with the wait |
    /// | overloaded | 503 |
    /// | timed out | 504 |
    /// | anything else | 502 |
    ///
    /// Header fields of answers that pass are left alone, and so is an error after the first content of a stream, which comes with
    /// the upstream's words. Default: every answer passes as it is.
    #[must_use]
    pub fn hide_failures(mut self) -> Self {
        self.settings.hides_failures = true;
        self
    }

    /// Sets what becomes of a refusal before it goes: the closure is given the error, and the response with its status, its
    /// header fields and its body. Default: it goes as it is. An upstream's failure that is [hidden](Self::hide_failures) is no
    /// refusal.
    #[must_use]
    pub fn rewrite(
        mut self,
        rewrite: impl Fn(&Error, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.settings.rewrite = Some(Arc::new(rewrite));
        self
    }
}

impl<S> Layer<S> for RejectionLayer {
    type Service = Rejection<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Rejection::new(inner, self.settings.clone())
    }
}
