//! State by key, made when a key is first seen and forgotten when it is idle.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One `T` for each key.
///
/// There is no background task: when the map has grown to twice its last size, whatever is idle and not in use goes.
#[derive(Debug)]
pub(crate) struct Keyed<T> {
    map: Mutex<Map<T>>,
}

#[derive(Debug)]
struct Map<T> {
    entries: HashMap<Arc<str>, Arc<T>>,
    sweep_at: usize,
}

/// Below this many keys nothing is worth sweeping.
const SMALL: usize = 1_024;

impl<T> Keyed<T> {
    pub(crate) fn new() -> Self {
        let map = Map {
            entries: HashMap::new(),
            sweep_at: SMALL,
        };
        Self {
            map: Mutex::new(map),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<T>> {
        self.lock().entries.get(key).cloned()
    }

    /// The entry of this key, made if it is new. `is_idle` says which entries would look the same if they were made anew.
    pub(crate) fn get_or_insert(
        &self,
        key: &str,
        make: impl FnOnce(Arc<str>) -> T,
        is_idle: impl Fn(&T) -> bool,
    ) -> Arc<T> {
        let mut map = self.lock();
        if let Some(entry) = map.entries.get(key) {
            return entry.clone();
        }
        if map.entries.len() >= map.sweep_at {
            map.entries
                .retain(|_, entry| Arc::strong_count(entry) > 1 || !is_idle(entry));
            map.sweep_at = SMALL.max(map.entries.len() * 2);
        }
        let key: Arc<str> = key.into();
        let entry = Arc::new(make(key.clone()));
        map.entries.insert(key, entry.clone());
        entry
    }

    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.lock().entries.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Map<T>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_state_and_idle_keys_go_by_themselves() {
        let keyed = Keyed::new();
        let busy = keyed.get_or_insert("busy", |_| 1, |_| true);
        for key in 0..10_000 {
            keyed.get_or_insert(&key.to_string(), |_| 0, |state| *state == 0);
        }
        assert!(
            keyed.all().len() <= SMALL + 1,
            "{} keys are kept",
            keyed.all().len()
        );
        assert!(Arc::ptr_eq(&busy, &keyed.get("busy").unwrap()));
    }

    #[test]
    fn keys_that_are_not_idle_all_stay() {
        let keyed = Keyed::new();
        for key in 0..5_000 {
            keyed.get_or_insert(&key.to_string(), |_| 0, |_| false);
        }
        assert_eq!(keyed.all().len(), 5_000);
    }
}
