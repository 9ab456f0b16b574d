//! What one request wants of the chain.

use std::sync::Arc;

use super::order::Order;
use crate::upstream::Upstream;

/// What one request wants of the chain. Put it into the request's extensions.
///
/// Upstreams are named by their ids, such as `openai/gpt-4o-mini`, or all of a provider by its name. A name that is not in
/// the chain is nobody's, for the chain may change. Where nobody is left that the request allows, it fails with
/// [`Error::Exhausted`](crate::Error::Exhausted), which names those and who is in the chain.
///
/// ```
/// use tower_upstream::{Order, fallback::Preferences};
///
/// let mut request = http::Request::post("/v1/chat/completions").body("{}")?;
/// request.extensions_mut().insert(Preferences::new().order(Order::Fastest).never(["groq"]));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    order: Option<Order>,
    only: Option<Arc<[Box<str>]>>,
    never: Option<Arc<[Box<str>]>>,
    no_fallback: bool,
}

impl Preferences {
    /// None: as the chain has it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The order in which this request asks. Default: the chain's. [`Order::Fastest`] and [`Order::Learned`] know what has
    /// happened since the chain was first asked in one of these two.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Asks these and nobody else. Default: everybody.
    #[must_use]
    pub fn only<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks none of these. Default: none.
    #[must_use]
    pub fn never<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.never = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks one upstream and nobody after it: the caller gets what it said. Default: the next is asked.
    #[must_use]
    pub fn no_fallback(mut self) -> Self {
        self.no_fallback = true;
        self
    }

    pub(super) fn wanted_order(&self) -> Option<Order> {
        self.order
    }

    pub(super) fn is_without_fallback(&self) -> bool {
        self.no_fallback
    }

    /// The names of those that it wants and nobody of these has.
    pub(super) fn unknown<'a>(
        &'a self,
        upstreams: &'a [Upstream],
    ) -> impl Iterator<Item = &'a str> {
        let wanted = self.only.iter().flat_map(|only| only.iter());
        let is_unknown = |name: &&str| !upstreams.iter().any(|it| is_called(it, name));
        wanted.map(|name| &**name).filter(is_unknown)
    }

    pub(super) fn allows(&self, upstream: &Upstream) -> bool {
        let names = |names: &[Box<str>]| names.iter().any(|name| is_called(upstream, name));
        self.only.as_deref().is_none_or(names) && !self.never.as_deref().is_some_and(names)
    }
}

/// By its id, or by its provider's name.
fn is_called(upstream: &Upstream, name: &str) -> bool {
    *name == *upstream.id() || *name == *upstream.provider().name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Provider;

    #[test]
    fn an_upstream_is_named_by_its_id_or_by_its_provider() {
        let (groq, openai) = (Provider::groq(), Provider::openai());
        let all = [groq.model("a"), groq.model("b"), openai.model("a")];
        let allowed = |preferences: Preferences| all.each_ref().map(|it| preferences.allows(it));
        let new = Preferences::new;
        assert_eq!(allowed(new()), [true, true, true]);
        assert_eq!(allowed(new().only(["groq"])), [true, true, false]);
        assert_eq!(allowed(new().never(["groq/a"])), [false, true, true]);
        let both = new().only(["groq", "openai/a"]).never(["groq/b"]);
        assert_eq!(allowed(both), [true, false, true]);
        assert_eq!(allowed(new().only(Vec::<String>::new())), [false; 3]);
        assert_eq!(allowed(new().only(["gro", "a"])), [false; 3]);
    }
}
