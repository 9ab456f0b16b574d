//! What the calls of one layer share.

use std::{collections::HashMap, sync::Arc};

use http::Extensions;

use super::{key::Keys, rules::Rules};
use crate::{clock::Clock, forecast::Consulted, observe::Events, upstream::Upstream};

/// What the calls of one layer share, for as long as none of its policies is replaced.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) rules: Arc<Rules>,
    /// Those of single upstreams, by their ids, and of all of a provider, by its name.
    pub(super) own: HashMap<Arc<str>, Arc<Rules>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) consulted: Consulted,
    pub(super) keys: Arc<Keys>,
}

impl Shared {
    /// The rules for a request with these extensions, where they are not the layer's.
    #[inline]
    pub(super) fn own(&self, extensions: &Extensions) -> Option<&Arc<Rules>> {
        match self.own.is_empty() {
            true => None,
            false => self.own_of(extensions.get()?),
        }
    }

    pub(super) fn own_of(&self, upstream: &Upstream) -> Option<&Arc<Rules>> {
        let of_all = || self.own.get(upstream.provider().name());
        self.own.get(upstream.id()).or_else(of_all)
    }
}
