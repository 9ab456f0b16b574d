//! What the layer is set to.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Response;

use super::fields::Advertised;
use crate::error::Error;

/// What the layer is set to.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) advertised: Arc<[Advertised]>,
    pub(super) rewrite: Option<Arc<Rewrite>>,
}

pub(super) type Rewrite = dyn Fn(&Error, Response<Bytes>) -> Response<Bytes> + Send + Sync;

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("advertised", &self.advertised)
            .finish_non_exhaustive()
    }
}
