//! What the layer is set to, and what it makes of a request.

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body_util::Full;

use crate::{outline::Outline, request::Cost};

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) max_bytes: usize,
    pub(super) output_tokens: u64,
}

impl Settings {
    /// The request with its body in memory and its cost in its extensions. A cost that the caller set stays.
    pub(super) fn request(self, mut parts: Parts, body: Bytes) -> Request<Full<Bytes>> {
        if parts.extensions.get::<Cost>().is_none()
            && let Some(outline) = Outline::of(&body)
        {
            parts.extensions.insert(outline.cost(self.output_tokens));
            parts.extensions.insert(outline);
        }
        Request::from_parts(parts, Full::new(body))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            output_tokens: 512,
        }
    }
}
