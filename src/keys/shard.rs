//! The entries of a part of the keys, which is behind one lock.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{holds::Begun, spot::SHARDS};

/// The keys of one part, with their states.
#[derive(Debug)]
pub(super) struct Shard<T> {
    /// The entry of the empty key.
    nameless: u32,
    /// The entries of all others.
    index: HashTable<u32>,
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    /// The entry that is looked at next for being idle.
    next_look: usize,
}

/// A key, its state, and how often that was held.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) key: Box<str>,
    pub(super) state: T,
    pub(super) begun: Begun,
}

/// The entry of a key that has none.
pub(super) const NOWHERE: u32 = u32::MAX;

/// By so many entries, and an eighth, a shard grows at once.
const GROWTH: usize = 16;

impl<T> Shard<T> {
    pub(super) fn entry(&self, entry: u32) -> &Entry<T> {
        self.entries[entry as usize].as_ref().expect(HELD)
    }

    #[inline(always)]
    pub(super) fn entry_mut(&mut self, entry: u32) -> &mut Entry<T> {
        self.entries[entry as usize].as_mut().expect(HELD)
    }

    /// All entries, with their numbers.
    pub(super) fn entries(&mut self) -> impl Iterator<Item = (u32, &mut Entry<T>)> {
        let all = (0..).zip(&mut self.entries);
        all.filter_map(|(number, entry)| Some((number, entry.as_mut()?)))
    }

    /// How many keys are here, but for the empty one.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The entry of this key, or [`NOWHERE`].
    #[inline(always)]
    pub(super) fn find(&self, key: &str, hash: u64) -> u32 {
        // Comparing nothing to nothing takes some processors 100 ns: the address of an empty text is no address.
        if key.is_empty() {
            return self.nameless;
        }
        // What the index says is there; to say so by a panic would cost more than to ask.
        let is_key = |entry: &u32| {
            let entry = self.entries.get(*entry as usize).and_then(Option::as_ref);
            entry.is_some_and(|entry| *entry.key == *key)
        };
        self.index.find(hash, is_key).copied().unwrap_or(NOWHERE)
    }

    /// Puts a key here that is not, with what is made for its number, which it returns.
    pub(super) fn insert(
        &mut self,
        key: &str,
        hash: u64,
        hasher: &DefaultHashBuilder,
        make: impl FnOnce(u32) -> Entry<T>,
    ) -> u32 {
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = Some(make(number));
                number
            }
            None => {
                // By an eighth, where a vector would grow to twice its size: a million states must not take the room of two.
                if self.entries.len() == self.entries.capacity() {
                    self.entries.reserve_exact(GROWTH + self.entries.len() / 8);
                }
                let number = u32::try_from(self.entries.len()).ok();
                let number = number.filter(|number| *number < u32::MAX / SHARDS as u32);
                let number = number.expect("fewer than four billion keys");
                self.entries.push(Some(make(number)));
                number
            }
        };
        if key.is_empty() {
            self.nameless = number;
            return number;
        }
        let entries = &self.entries;
        let rehash = |number: &u32| {
            let entry = entries[*number as usize].as_ref();
            hasher.hash_one(&*entry.expect(HELD).key)
        };
        self.index.insert_unique(hash, number, rehash);
        number
    }

    /// Looks at so many entries in turn, and lets go of those that are idle; returns how many that were.
    pub(super) fn tidy(
        &mut self,
        looks: usize,
        hasher: &DefaultHashBuilder,
        is_idle: impl Fn(u32, &mut Entry<T>) -> bool,
    ) -> usize {
        let before = self.free.len();
        for _ in 0..looks.min(self.entries.len()) {
            let number = self.next_look;
            self.next_look = (number + 1) % self.entries.len();
            let entry = &mut self.entries[number];
            let Some(idle) = entry.take_if(|entry| is_idle(number as u32, entry)) else {
                continue;
            };
            self.free.push(number as u32);
            if idle.key.is_empty() {
                self.nameless = NOWHERE;
                continue;
            }
            let hash = hasher.hash_one(&*idle.key);
            let found = self
                .index
                .find_entry(hash, |other| *other as usize == number);
            found.expect("an entry is in the index").remove();
        }
        self.free.len() - before
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self {
            nameless: NOWHERE,
            index: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            next_look: 0,
        }
    }
}

const HELD: &str = "an entry that is in the index, or that somebody holds on to";
