//! Who is cooling down. Pure: it is told the time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hashbrown::HashMap;

use crate::{
    instant::after,
    outcome::{Failure, FailureKind},
    upstream::Upstream,
};

/// The cooldowns of upstreams and of whole providers.
#[derive(Debug, Default)]
pub(super) struct State {
    upstreams: Entries,
    // Apart, because the name of a provider may be the id of an upstream.
    providers: Entries,
    /// No entry ends before this: until then there is nothing to forget.
    first_end: Option<Instant>,
    latest: Option<Instant>,
}

/// By whom: the ids are the user's own, so that nobody can choose them to collide, and a fast hash will do.
pub(super) type Entries = HashMap<Arc<str>, Entry>;

/// Until when, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) until: Instant,
    pub(super) kind: FailureKind,
    /// Until when it was asked for: what goes beyond that is a guess.
    pub(super) asked: Option<Instant>,
    /// On what the guess stands, where there is one.
    grounds: Grounds,
}

/// On what a cooldown stands, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grounds {
    /// There was no answer at all (one with the status 408 or 504 is an answer): how long that goes on is a guess, and any answer
    /// proves it wrong.
    Silence,
    /// The upstream failed, and did not say for how long: how long that goes on is a guess, too.
    Failure,
    /// It was asked for.
    Asked,
}

impl State {
    /// Leaves the upstream alone for so long, or its whole provider where the failure speaks for the account. Gives back
    /// the new end; `None` where the standing one is no earlier.
    pub(super) fn cool(
        &mut self,
        upstream: &Upstream,
        failure: &Failure,
        time: Duration,
        grounds: Grounds,
        now: Instant,
    ) -> Option<Instant> {
        let now = self.move_to(now);
        let until = after(now, time);
        let (entries, key) = if failure.account_wide {
            (&mut self.providers, upstream.provider().name().into())
        } else {
            (&mut self.upstreams, upstream.shared_id().clone())
        };
        let standing = entries.get(&*key).copied();
        // Only ever longer: a second, shorter hint does not unsay the first.
        let is_longer = until > standing.map_or(now, |standing| standing.until);
        if !is_longer && standing.is_none() {
            return None;
        }
        let entry = Entry {
            until,
            kind: failure.kind,
            asked: (grounds == Grounds::Asked).then_some(until),
            grounds,
        };
        let entry = standing.map_or(entry, |standing| standing.and(entry));
        entries.insert(key, entry);
        self.first_end = Some(self.first_end.map_or(until, |end| end.min(until)));
        is_longer.then_some(until)
    }

    /// This upstream has answered: a guess that it does not was wrong. An answer to a call that is no probe was under way when
    /// the guess was made, and says nothing of a failure; but it says that the upstream is not silent.
    pub(super) fn answered(&mut self, upstream: &Upstream, is_probe: bool) {
        let Some(entry) = self.upstreams.get_mut(upstream.id()) else {
            return;
        };
        let is_refuted = match entry.grounds {
            Grounds::Silence => true,
            Grounds::Failure => is_probe,
            Grounds::Asked => false,
        };
        match entry.asked.filter(|asked| Some(*asked) > self.latest) {
            _ if !is_refuted => {}
            Some(asked) => {
                (entry.until, entry.grounds) = (asked, Grounds::Asked);
                self.first_end = self.first_end.min(Some(asked));
            }
            None => {
                self.upstreams.remove(upstream.id());
            }
        }
    }

    /// The cooldown of this upstream, its own and its provider's.
    pub(super) fn entry(&mut self, upstream: &Upstream, now: Instant) -> Option<Entry> {
        self.move_to(now);
        let of_upstream = self.upstreams.get(upstream.id());
        let of_provider = self.providers.get(upstream.provider().name());
        let both = of_upstream.into_iter().chain(of_provider);
        both.copied().reduce(Entry::and)
    }

    /// The entries of upstreams, then those of providers.
    pub(super) fn entries(&mut self, now: Instant) -> [&Entries; 2] {
        self.move_to(now);
        [&self.upstreams, &self.providers]
    }

    pub(super) fn clear(&mut self, key: &str) {
        self.upstreams.remove(key);
        self.providers.remove(key);
    }

    pub(super) fn clear_all(&mut self) {
        self.upstreams.clear();
        self.providers.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.upstreams.is_empty() && self.providers.is_empty()
    }

    /// The latest time seen, as a clock that steps back has no effect. What has ended by then is forgotten.
    fn move_to(&mut self, now: Instant) -> Instant {
        let now = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(now);
        if self.first_end.is_some_and(|end| end <= now) {
            for entries in [&mut self.upstreams, &mut self.providers] {
                entries.retain(|_, entry| entry.until > now);
            }
            let left = self.upstreams.values().chain(self.providers.values());
            self.first_end = left.map(|entry| entry.until).min();
        }
        now
    }
}

impl Entry {
    /// Whether somebody may find out by now whether it has to be.
    pub(super) fn is_guess(&self, now: Instant) -> bool {
        self.asked.is_none_or(|asked| asked <= now)
    }

    /// Both hold.
    fn and(self, other: Self) -> Self {
        let guesses = [self, other].map(|it| it.grounds).into_iter();
        let guesses = guesses.filter(|grounds| *grounds < Grounds::Asked);
        Self {
            asked: self.asked.max(other.asked),
            // Silence does not make light of what was known before.
            grounds: guesses.max().unwrap_or(Grounds::Asked),
            ..if other.until > self.until {
                other
            } else {
                self
            }
        }
    }
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
