//! Names that are labels, up to a bound.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::observe::names::OTHERS;

/// Names that may be told apart: the first that come, up to a bound. All others are [`OTHERS`].
#[derive(Debug)]
pub(super) struct Names {
    most: usize,
    known: RwLock<HashSet<Arc<str>>>,
}

impl Names {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            known: RwLock::default(),
        }
    }

    /// The name itself, or that of all others.
    pub(super) fn admit(&self, name: &str) -> Arc<str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(name) {
            return name.clone();
        }
        let is_full = known.len() >= self.most;
        drop(known);
        if is_full {
            return OTHERS.into();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been faster.
        if let Some(name) = known.get(name) {
            return name.clone();
        }
        if known.len() >= self.most {
            return OTHERS.into();
        }
        let name: Arc<str> = name.into();
        known.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_one() {
        let names = Names::new(2);
        let told = ["a", "b", "c", "a", "d"].map(|name| names.admit(name).to_string());
        assert_eq!(told, ["a", "b", OTHERS, "a", OTHERS]);
    }
}
