//! The layer.

use tower_layer::Layer;

use super::service::LastResort;

/// Answers in another way where no upstream could. See the [module docs](super).
#[derive(Clone, Copy, Debug)]
pub struct LastResortLayer<T> {
    backup: T,
}

impl<T> LastResortLayer<T> {
    /// A layer that asks this service.
    pub fn new(backup: T) -> Self {
        Self { backup }
    }
}

impl<S, T: Clone> Layer<S> for LastResortLayer<T> {
    type Service = LastResort<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        LastResort::new(inner, self.backup.clone())
    }
}
