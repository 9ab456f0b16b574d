//! The layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::service::LastResort;
use crate::clock::{Clock, TokioClock};

/// Answers in another way where no upstream could. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct LastResortLayer<T> {
    backup: T,
    clock: Arc<dyn Clock>,
}

impl<T> LastResortLayer<T> {
    /// A layer that asks this service.
    pub fn new(backup: T) -> Self {
        Self {
            backup,
            clock: Arc::new(TokioClock),
        }
    }

    /// Sets the clock, for hints that are dates. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl<S, T: Clone> Layer<S> for LastResortLayer<T> {
    type Service = LastResort<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        LastResort::new(inner, self.backup.clone(), self.clock.clone())
    }
}
