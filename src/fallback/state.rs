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
    pub(super) grounds: Grounds,
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
        let standing = entries.get(&*key);
        // Only ever longer: a second, shorter hint does not unsay the first.
        if until <= standing.map_or(now, |standing| standing.until) {
            return None;
        }
        let kind = failure.kind;
        // Nor does silence make light of what was known before.
        let grounds = standing.map_or(grounds, |standing| grounds.max(standing.grounds));
        let entry = Entry {
            until,
            kind,
            grounds,
        };
        entries.insert(key, entry);
        self.first_end = Some(self.first_end.map_or(until, |end| end.min(until)));
        Some(until)
    }

    /// This upstream has answered: a guess that it does not was wrong. An answer to a call that is no probe was under way when
    /// the guess was made, and says nothing of a failure; but it says that the upstream is not silent.
    pub(super) fn answered(&mut self, upstream: &Upstream, is_probe: bool) {
        let is_refuted = |entry: &Entry| match entry.grounds {
            Grounds::Silence => true,
            Grounds::Failure => is_probe,
            Grounds::Asked => false,
        };
        if self.upstreams.get(upstream.id()).is_some_and(is_refuted) {
            self.upstreams.remove(upstream.id());
        }
    }

    /// The cooldown of this upstream, its own or its provider's: the one that ends later.
    pub(super) fn entry(&mut self, upstream: &Upstream, now: Instant) -> Option<Entry> {
        self.move_to(now);
        let of_upstream = self.upstreams.get(upstream.id());
        let of_provider = self.providers.get(upstream.provider().name());
        of_upstream
            .into_iter()
            .chain(of_provider)
            .copied()
            .max_by_key(|entry| entry.until)
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

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
