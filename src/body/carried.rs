//! The extensions of a request that is to be sent again.

use http::Extensions;

use crate::{
    outline::Outline,
    request::{Attempts, Cost},
    upstream::Upstream,
};

/// A copy of a request's extensions.
///
/// What this crate's own layers put in is mostly all that there is, and is kept as what it is: a map of it takes two allocations
/// and one more for each value, and most copies are dropped unused.
#[derive(Debug)]
pub(super) enum Carried {
    Ours {
        upstream: Option<Upstream>,
        attempts: Option<Attempts>,
        cost: Option<Cost>,
    },
    All(Extensions),
}

impl Carried {
    #[inline]
    pub(super) fn of(extensions: &Extensions) -> Self {
        match extensions.is_empty() {
            true => Self::All(Extensions::new()),
            false => Self::some(extensions),
        }
    }

    #[inline(never)]
    fn some(extensions: &Extensions) -> Self {
        let upstream = extensions.get::<Upstream>();
        let attempts = extensions.get::<Attempts>();
        let cost = extensions.get::<Cost>();
        // It can be made again from the body, and copying it costs more than that seldom does.
        let outline = extensions.get::<Outline>();
        let known = [
            upstream.is_some(),
            attempts.is_some(),
            cost.is_some(),
            outline.is_some(),
        ];
        if known.map(usize::from).iter().sum::<usize>() < extensions.len() {
            return Self::All(extensions.clone());
        }
        Self::Ours {
            upstream: upstream.cloned(),
            attempts: attempts.cloned(),
            cost: cost.copied(),
        }
    }

    /// To be read, or sent.
    pub(super) fn unfold(&mut self) -> &mut Extensions {
        let mut all = Extensions::new();
        match self {
            Self::All(all) => return all,
            Self::Ours {
                upstream,
                attempts,
                cost,
            } => {
                put(&mut all, upstream);
                put(&mut all, attempts);
                put(&mut all, cost);
            }
        }
        *self = Self::All(all);
        self.unfold()
    }
}

fn put<T: Clone + Send + Sync + 'static>(all: &mut Extensions, value: &mut Option<T>) {
    if let Some(value) = value.take() {
        all.insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Provider;

    fn known() -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(Provider::groq().model("m"));
        extensions.insert(Attempts::new(7));
        extensions.insert(Cost::tokens(3, 4));
        extensions
    }

    fn is_whole(extensions: &Extensions) -> bool {
        extensions.get() == Some(&Provider::groq().model("m"))
            && extensions.get() == Some(&Cost::tokens(3, 4))
            && extensions.get::<Attempts>().is_some()
    }

    #[test]
    fn what_the_layers_put_in_comes_back_whole() {
        let extensions = known();
        let mut carried = Carried::of(&extensions);
        assert!(matches!(carried, Carried::Ours { .. }));
        assert!(is_whole(carried.unfold()));
        assert_eq!(carried.unfold().len(), 3);
        assert!(Carried::of(&Extensions::new()).unfold().is_empty());
    }

    #[test]
    fn the_ledger_of_a_copy_is_that_of_the_request() {
        let extensions = known();
        let mut carried = Carried::of(&extensions);
        let attempts = carried.unfold().get::<Attempts>().unwrap();
        attempts.set_alternatives(5);
        let attempts = extensions.get::<Attempts>().unwrap();
        assert_eq!(attempts.alternatives(), 5);
    }

    #[test]
    fn what_nobody_here_knows_is_carried_too() {
        let mut extensions = known();
        extensions.insert("the user's");
        let mut carried = Carried::of(&extensions);
        let extensions = carried.unfold();
        assert!(is_whole(extensions));
        assert_eq!(extensions.get(), Some(&"the user's"));
        assert_eq!(extensions.len(), 4);
    }
}
