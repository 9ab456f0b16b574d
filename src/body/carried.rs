//! The extensions of a request that is to be sent again.

use http::Extensions;

use crate::{
    fallback::preferences::Preferences,
    outline::Outline,
    request::{AttemptDeadline, Attempts, Caller, Cost, Deadline, Priority},
    upstream::Upstream,
};

/// A copy of a request's extensions.
///
/// What this crate puts in, or asks its callers to, is mostly all that there is, and is kept as what it is: a map of it takes
/// two allocations and one more for each value, and most copies are dropped unused.
#[derive(Debug)]
pub(super) enum Carried {
    Ours {
        upstream: Option<Upstream>,
        attempts: Option<Attempts>,
        cost: Option<Cost>,
        wishes: Option<Box<Wishes>>,
    },
    All(Extensions),
}

/// What callers put in.
#[derive(Debug)]
pub(super) struct Wishes {
    deadline: Option<Deadline>,
    attempt_ends: Option<AttemptDeadline>,
    preferences: Option<Preferences>,
    caller: Option<Caller>,
    priority: Option<Priority>,
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
        let mut left = Left {
            extensions,
            count: extensions.len(),
        };
        let upstream = left.copy();
        let attempts = left.copy();
        let cost = left.copy();
        // It can be made again from the body, and copying it costs more than that seldom does.
        left.pass_by::<Outline>();
        let wishes = (left.count > 0).then(|| {
            Box::new(Wishes {
                deadline: left.copy(),
                preferences: left.copy(),
                caller: left.copy(),
                attempt_ends: left.copy(),
                priority: left.copy(),
            })
        });
        match left.count {
            0 => Self::Ours {
                upstream,
                attempts,
                cost,
                wishes,
            },
            _ => Self::All(extensions.clone()),
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
                wishes,
            } => {
                put(&mut all, upstream);
                put(&mut all, attempts);
                put(&mut all, cost);
                if let Some(wishes) = wishes {
                    put(&mut all, &mut wishes.deadline);
                    put(&mut all, &mut wishes.attempt_ends);
                    put(&mut all, &mut wishes.preferences);
                    put(&mut all, &mut wishes.caller);
                    put(&mut all, &mut wishes.priority);
                }
            }
        }
        *self = Self::All(all);
        self.unfold()
    }
}

/// Extensions of which so many are still to be copied. Where none is left, nothing is looked for.
struct Left<'a> {
    extensions: &'a Extensions,
    count: usize,
}

impl Left<'_> {
    fn copy<T: Clone + Send + Sync + 'static>(&mut self) -> Option<T> {
        self.pass_by::<T>().cloned()
    }

    fn pass_by<T: Send + Sync + 'static>(&mut self) -> Option<&T> {
        let value = (self.count > 0).then(|| self.extensions.get())?;
        self.count -= usize::from(value.is_some());
        value
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
    fn what_a_caller_asks_for_comes_back_whole() {
        let now = crate::clock::Clock::now(&crate::clock::TokioClock);
        let mut extensions = known();
        extensions.insert(Deadline(now));
        extensions.insert(AttemptDeadline::new(now, None));
        extensions.insert(Preferences::new().no_fallback());
        extensions.insert(Caller("acme".into()));
        extensions.insert(Priority::High);
        let mut carried = Carried::of(&extensions);
        assert!(matches!(carried, Carried::Ours { .. }));
        let extensions = carried.unfold();
        assert!(is_whole(extensions));
        assert_eq!(extensions.len(), 8);
        assert_eq!(extensions.get(), Some(&Deadline(now)));
        let attempt = extensions.get::<AttemptDeadline>();
        assert_eq!(attempt.map(|it| it.ends(now)), Some(now));
        let preferences = Preferences::new().no_fallback();
        assert_eq!(extensions.get(), Some(&preferences));
        assert_eq!(extensions.get(), Some(&Caller("acme".into())));
        assert_eq!(extensions.get(), Some(&Priority::High));
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
