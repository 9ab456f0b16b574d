//! State by key, for a million of them: made when a key is first seen, gone when it is idle.

mod holds;
mod shard;
mod spot;

use std::{
    hash::BuildHasher,
    ops::{Deref, DerefMut},
    sync::{PoisonError, atomic::Ordering},
};

use hashbrown::DefaultHashBuilder;

use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use holds::Holds;
use shard::{Entry, NOWHERE, Shard};
use spot::SHARDS;
pub(crate) use {
    holds::{Begun, Ends},
    spot::Spot,
};

/// One `T` for each key.
///
/// The keys are spread over shards by their hash, each behind a lock of its own that is held for nanoseconds. A key's state
/// stands at a [`Spot`] for as long as it is not idle or somebody [holds](Begun::begin) on to it, so that he comes back
/// without its key. The empty key, which is that of all who have none, is found without a hash.
///
/// There is no background task: where there are many, each new key looks at a few others, and lets go of those that are idle.
/// Where no room is found among `max` keys, it shares the state of [`OTHERS`]: nobody is refused, and nobody gets more by making
/// up keys. The room of keys that are gone is used again, and not given back.
#[derive(Debug)]
pub(crate) struct Keys<T> {
    shards: [Apart<Mutex<Shard<T>>>; SHARDS],
    holds: Holds,
    hasher: DefaultHashBuilder,
    len: AtomicUsize,
    max: usize,
}

/// What shares no cache line with its neighbours, nor the pair of them that processors fetch at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// The state of a key, for as long as its lock is held.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    shard: MutexGuard<'a, Shard<T>>,
    holds: &'a Holds,
    number: usize,
    entry: u32,
}

/// The key under which those share one state that are beyond the bound.
pub(crate) const OTHERS: &str = "(others)";

/// How many entries a new key looks at: enough that keys which nobody uses any more go faster than others come.
const LOOKS: usize = 4;

/// So many keys a shard keeps, idle or not: who comes back soon finds his state, and some thousand keys cost half a megabyte.
/// In models keys are to go.
const FEW: usize = if cfg!(all(test, shuttle)) { 0 } else { 128 };

/// And how many where there is no room for it.
const LOOKS_FOR_ROOM: usize = 16;

impl<T> Keys<T> {
    /// No keys yet, and never more than `max` that are not idle.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Apart::default()),
            holds: Holds::new(),
            hasher: DefaultHashBuilder::default(),
            len: AtomicUsize::new(0),
            max,
        }
    }

    /// The state of this key, made if it is new. `is_idle` says which would look the same if they were made anew.
    #[inline(always)]
    pub(crate) fn enter(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
        is_idle: impl Fn(&mut T) -> bool,
    ) -> Locked<'_, T> {
        let hash = self.hash(key);
        let (number, shard) = self.shard(hash);
        // Until it is known what is locked, the guard stays in registers: to write it in parts and read it as a whole takes a
        // processor as long as the lock. So it is handed on by value, and nothing here panics that would have to drop it.
        match shard.find(key, hash) {
            NOWHERE => self.enter_anew(shard, number, key, hash, make, is_idle),
            entry => self.locked(shard, number, entry),
        }
    }

    /// The same for a key that its shard does not have.
    #[cold]
    fn enter_anew<'a>(
        &'a self,
        mut shard: MutexGuard<'a, Shard<T>>,
        number: usize,
        key: &str,
        hash: u64,
        make: impl FnOnce() -> T,
        is_idle: impl Fn(&mut T) -> bool,
    ) -> Locked<'a, T> {
        if !self.make_room(&mut shard, number, &is_idle) && key != OTHERS {
            drop(shard);
            return self.enter(OTHERS, make, is_idle);
        }
        let entry = self.add(&mut shard, number, key, hash, make);
        self.locked(shard, number, entry)
    }

    /// The state of this key, where it has one.
    pub(crate) fn find(&self, key: &str) -> Option<Locked<'_, T>> {
        let hash = self.hash(key);
        let (number, shard) = self.shard(hash);
        let entry = shard.find(key, hash);
        (entry != NOWHERE).then(|| self.locked(shard, number, entry))
    }

    /// The state that a request of this key would meet, where there is one: where there is no room for it, that of all others.
    pub(crate) fn find_or_others(&self, key: &str) -> Option<Locked<'_, T>> {
        let others = || self.is_full().then(|| self.find(OTHERS)).flatten();
        self.find(key).or_else(others)
    }

    /// The state at this spot, which somebody holds on to.
    pub(crate) fn lock(&self, spot: Spot) -> Locked<'_, T> {
        let shard = lock(&self.shards[spot.shard()].0);
        self.locked(shard, spot.shard(), spot.entry())
    }

    /// Lets go of what stands at a spot, without its lock. Where somebody [watches](Ends::watch) for that it does not, and
    /// returns `false`: it is to be done [under the lock](Ends::end), and he is to be told.
    #[inline]
    pub(crate) fn try_release(&self, spot: Spot) -> bool {
        self.holds.of(spot).try_end()
    }

    /// Looks at every key, its state, and how often it is held, one shard locked after the other.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&str, &mut T, u32)) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(&shard.0);
            for (entry, Entry { key, state, begun }) in shard.entries() {
                let spot = Spot::new(number, entry);
                look(key, state, begun.less(self.holds.of(spot)));
            }
        }
    }

    /// The shard of a key with this hash, and its number.
    #[inline(always)]
    fn shard(&self, hash: u64) -> (usize, MutexGuard<'_, Shard<T>>) {
        // The lower bits choose the place within a shard, and the highest seven are kept there.
        let number = (hash >> 40) as usize % SHARDS;
        (number, lock(&self.shards[number].0))
    }

    #[inline(always)]
    fn locked<'a>(
        &'a self,
        shard: MutexGuard<'a, Shard<T>>,
        number: usize,
        entry: u32,
    ) -> Locked<'a, T> {
        Locked {
            shard,
            holds: &self.holds,
            number,
            entry,
        }
    }

    #[inline(always)]
    fn hash(&self, key: &str) -> u64 {
        match key {
            "" => 0,
            key => self.hasher.hash_one(key),
        }
    }

    /// Lets go of what is idle in a shard, as far as it looks. Returns whether there is room for a new key.
    fn make_room(
        &self,
        shard: &mut Shard<T>,
        number: usize,
        is_idle: &impl Fn(&mut T) -> bool,
    ) -> bool {
        let looks = match self.is_full() {
            true => LOOKS_FOR_ROOM,
            false if shard.len() >= FEW => LOOKS,
            false => 0,
        };
        let is_gone = |number_in_shard, entry: &mut Entry<T>| {
            let ends = self.holds.of(Spot::new(number, number_in_shard));
            entry.begun.less(ends) == 0 && is_idle(&mut entry.state)
        };
        let gone = shard.tidy(looks, &self.hasher, is_gone);
        self.len.fetch_sub(gone, Ordering::Relaxed);
        !self.is_full()
    }

    /// The state of this key, made if it is new, whatever the number of keys is.
    pub(crate) fn insist(&self, key: &str, make: impl FnOnce() -> T) -> Locked<'_, T> {
        let hash = self.hash(key);
        let (number, mut shard) = self.shard(hash);
        let entry = match shard.find(key, hash) {
            NOWHERE => self.add(&mut shard, number, key, hash, make),
            entry => entry,
        };
        self.locked(shard, number, entry)
    }

    /// Makes the state of a key in the shard that does not have it.
    #[cold]
    fn add(
        &self,
        shard: &mut Shard<T>,
        number: usize,
        key: &str,
        hash: u64,
        make: impl FnOnce() -> T,
    ) -> u32 {
        let state = make();
        let entry = shard.insert(key, hash, &self.hasher, |entry| Entry {
            key: key.into(),
            state,
            begun: Begun::none(self.holds.reach(Spot::new(number, entry))),
        });
        self.len.fetch_add(1, Ordering::Relaxed);
        entry
    }

    /// How many keys have a state, idle or not.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether a new key finds room only where another is idle.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.max
    }
}

impl<'a, T> Locked<'a, T> {
    #[inline(always)]
    pub(crate) fn spot(&self) -> Spot {
        Spot::new(self.number, self.entry)
    }

    pub(crate) fn key(&self) -> &str {
        &self.shard.entry(self.entry).key
    }

    /// The holds of the state that have ended.
    #[inline(always)]
    pub(crate) fn ends(&self) -> &'a Ends {
        self.holds.of(self.spot())
    }

    /// How often the state is held: it stays where it is until all of them have let go.
    #[inline(always)]
    pub(crate) fn held(&self) -> u32 {
        self.shard.entry(self.entry).begun.less(self.ends())
    }

    /// The state and its key.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut T, &str) {
        let (state, key, _) = self.parts_to_hold();
        (state, key)
    }

    /// The state, its key, and the holds of it that were begun.
    #[inline(always)]
    pub(crate) fn parts_to_hold(&mut self) -> (&mut T, &str, &mut Begun) {
        let Entry { key, state, begun } = self.shard.entry_mut(self.entry);
        (state, key, begun)
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shard.entry(self.entry).state
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.shard.entry_mut(self.entry).state
    }
}

fn lock<T>(shard: &Mutex<Shard<T>>) -> MutexGuard<'_, Shard<T>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(keys: &Keys<u32>, key: &str, state: u32) -> Spot {
        keys.enter(key, || state, |state| *state == 0).spot()
    }

    fn len(keys: &Keys<u32>) -> usize {
        let mut len = 0;
        keys.for_each(|_, _, _| len += 1);
        assert_eq!(len, keys.len.load(Ordering::Relaxed));
        len
    }

    #[test]
    fn a_key_has_one_state_which_stays_where_it_is_while_idle_ones_go() {
        let keys = Keys::new(usize::MAX);
        let busy = enter(&keys, "busy", 1);
        for key in 0..100_000 {
            enter(&keys, &key.to_string(), 0);
        }
        assert!(
            len(&keys) <= SHARDS * (FEW + LOOKS),
            "{} keys are kept",
            len(&keys)
        );
        assert_eq!(enter(&keys, "busy", 2), busy);
        assert_eq!(*keys.lock(busy), 1);
        assert_eq!(keys.lock(busy).key(), "busy");
        assert!(keys.find("nobody").is_none());
    }

    #[test]
    fn the_empty_key_is_one_as_others_are() {
        let keys = Keys::new(1);
        let spot = enter(&keys, "", 0);
        assert_eq!(keys.lock(spot).key(), "");
        assert_eq!(len(&keys), 1);
        assert!(keys.find("").is_some());
        let same = (0..)
            .map(|n| n.to_string())
            .find(|key| keys.shard(keys.hash(key)).0 == 0);
        enter(&keys, &same.unwrap(), 1);
        assert!(keys.find("").is_none(), "it was idle, and had to make room");
        assert_eq!(len(&keys), 1);
    }

    #[test]
    fn what_is_held_stays_idle_or_not() {
        let keys = Keys::new(usize::MAX);
        let spot = enter(&keys, "held", 0);
        keys.lock(spot).parts_to_hold().2.begin();
        let fill = || {
            for key in 0..100_000 {
                enter(&keys, &key.to_string(), 0);
            }
        };
        fill();
        assert_eq!(keys.lock(spot).key(), "held");
        keys.lock(spot).ends().watch();
        assert!(!keys.try_release(spot), "somebody watches");
        keys.lock(spot).ends().unwatch();
        assert!(keys.try_release(spot));
        assert_eq!(keys.lock(spot).held(), 0);
        fill();
        assert!(keys.find("held").is_none());
    }

    #[test]
    fn a_key_that_comes_back_while_there_are_few_finds_its_state() {
        let keys = Keys::new(usize::MAX);
        let first = enter(&keys, "0", 0);
        for key in 1..1_000 {
            enter(&keys, &key.to_string(), 0);
        }
        assert_eq!(enter(&keys, "0", 0), first);
        assert_eq!(len(&keys), 1_000);
    }

    // PITFALLS 61, litellm, one-api: every spelling of a model was a new free bucket in a map that never shrank.
    #[test]
    fn keys_beyond_the_bound_share_one_state() {
        let keys = Keys::new(100);
        for key in 0..100 {
            enter(&keys, &key.to_string(), 1);
        }
        let others = enter(&keys, "100", 1);
        assert_eq!(enter(&keys, "101", 1), others);
        assert_eq!(keys.lock(others).key(), OTHERS);
        assert_ne!(
            enter(&keys, "7", 1),
            others,
            "who was there before keeps his own"
        );
        assert_eq!(len(&keys), 101);
    }

    #[test]
    fn a_key_that_became_idle_makes_room_for_another() {
        let keys = Keys::new(1);
        *keys.lock(enter(&keys, "first", 1)) = 0;
        // Only the shard that the new key falls into is swept.
        let same = (0..).map(|n| n.to_string()).find(|key| {
            let number = keys.shard(keys.hash(key)).0;
            number == keys.find("first").map_or(0, |locked| locked.number)
        });
        let spot = enter(&keys, &same.unwrap(), 1);
        assert_ne!(keys.lock(spot).key(), OTHERS);
        assert_eq!(len(&keys), 1);
    }
}
