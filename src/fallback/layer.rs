//! The layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::{config::Chain, handle::Cooldowns, service::Fallback};
use crate::config_error::ConfigError;

/// Sends a request to the next upstream when one fails. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct FallbackLayer {
    chain: Arc<Chain>,
    cooldowns: Cooldowns,
}

impl FallbackLayer {
    /// A layer over this chain. Every service that it makes shares the cooldowns.
    ///
    /// # Errors
    ///
    /// When a setting of the chain cannot work, or two of its providers have one name; the error names it.
    pub fn new(chain: Chain) -> Result<Self, ConfigError> {
        Ok(Self {
            chain: Arc::new(chain.build()?),
            cooldowns: Cooldowns::default(),
        })
    }

    /// Sets the cooldowns to keep, and with them the clock and the observer. Default: new ones, on tokio's clock.
    #[must_use]
    pub fn cooldowns(mut self, cooldowns: Cooldowns) -> Self {
        self.cooldowns = cooldowns;
        self
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, self.chain.clone(), self.cooldowns.clone())
    }
}
