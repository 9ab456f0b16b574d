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
    pub(super) form: Form,
    pub(super) hides_failures: bool,
    pub(super) rewrite: Option<Arc<Rewrite>>,
}

/// What the body of a rejection looks like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Form {
    #[default]
    Problem,
    OpenAi,
}

pub(super) type Rewrite = dyn Fn(&Error, Response<Bytes>) -> Response<Bytes> + Send + Sync;

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("advertised", &self.advertised)
            .field("form", &self.form)
            .field("hides_failures", &self.hides_failures)
            .finish_non_exhaustive()
    }
}
