//! What the layer is set to, and what it makes of a request.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body_util::Full;

use crate::{
    cost::only_counts_tokens,
    outline::Outline,
    request::{Cost, RequestHead},
};

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) max_bytes: usize,
    pub(super) output_tokens: u64,
    pub(super) estimate: Option<Arc<Estimate>>,
}

/// An estimate of the user's own: what a request with this body costs, beside what is estimated by rule of thumb.
pub(super) type Estimate =
    dyn Fn(&RequestHead<'_>, &[u8], Option<Cost>) -> Option<Cost> + Send + Sync;

impl Settings {
    /// The request with its body in memory and its cost in its extensions. A cost that the caller set stays.
    pub(super) fn request(&self, mut parts: Parts, body: Bytes) -> Request<Full<Bytes>> {
        if parts.extensions.get::<Cost>().is_none()
            && let Some(cost) = self.cost(&mut parts, &body)
        {
            parts.extensions.insert(cost);
        }
        Request::from_parts(parts, Full::new(body))
    }

    /// What the request costs. Its body is read here, and the outline put into the extensions, where no layer outside has done so.
    fn cost(&self, parts: &mut Parts, body: &Bytes) -> Option<Cost> {
        let known = parts.extensions.get::<Outline>();
        if !known.is_some_and(|outline| outline.is_of(body))
            && let Some(outline) = Outline::of(body)
        {
            parts.extensions.insert(outline);
        }
        if only_counts_tokens(parts.uri.path()) {
            return Some(Cost::default());
        }
        let outline = parts.extensions.get::<Outline>();
        let outline = outline.filter(|outline| outline.is_of(body));
        let by_rule = outline.map(|outline| outline.cost(self.output_tokens));
        let Some(estimate) = &self.estimate else {
            return by_rule;
        };
        let (method, uri) = (&parts.method, &parts.uri);
        let head = RequestHead::new(method, uri, &parts.headers, &parts.extensions);
        estimate(&head, body, by_rule)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            output_tokens: 512,
            estimate: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("max_bytes", &self.max_bytes)
            .field("output_tokens", &self.output_tokens)
            .field("has_estimate", &self.estimate.is_some())
            .finish()
    }
}
