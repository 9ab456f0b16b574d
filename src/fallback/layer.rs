//! The layer.

use tower_layer::Layer;

use super::{config::Chain, handle::Cooldowns, router::Router, service::Fallback};
use crate::{config_error::ConfigError, forecast::Consulted};

/// Sends a request to the next upstream when one fails. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct FallbackLayer {
    router: Router,
}

impl FallbackLayer {
    /// A layer over this chain. Every service that it makes shares the chain and the cooldowns.
    ///
    /// # Errors
    ///
    /// When a setting of the chain cannot work, or two of its providers have one name; the error names it.
    pub fn new(chain: Chain) -> Result<Self, ConfigError> {
        Self::consulting(chain, Consulted::default())
    }

    /// The same, where these are consulted by the chain, and by each that is put in its place.
    pub(crate) fn consulting(chain: Chain, always: Consulted) -> Result<Self, ConfigError> {
        let router = Router::new(chain, always)?;
        Ok(Self { router })
    }

    /// Sets the cooldowns to keep, and with them the clock and the observer, and lets go of [`router`](Self::router)s that
    /// were handed out. Default: new ones, on tokio's clock.
    #[must_use]
    pub fn cooldowns(self, cooldowns: Cooldowns) -> Self {
        Self {
            router: self.router.with_cooldowns(cooldowns),
        }
    }

    /// The handle on the chain: to change it while it is in use, and to ask it for advice.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

impl<S: Clone> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, &self.router)
    }
}
