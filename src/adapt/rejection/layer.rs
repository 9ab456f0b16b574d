//! The layer.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;

use super::{fields::Advertised, service::Rejection, settings::Settings};
use crate::{config_error::ConfigError, error::Error, rate_limit::RateLimiter};

/// Makes a response of every error of the layers inside. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct RejectionLayer {
    settings: Settings,
}

impl RejectionLayer {
    /// A layer that answers with problems, and tells no limits.
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

    /// Sets what becomes of a refusal before it goes: the closure is given the error, and the response with its status, its
    /// header fields and the problem as its body. Default: it goes as it is.
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
