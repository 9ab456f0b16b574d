//! Who is cooling down, and one request's walk along a chain. Pure: both are told the time and say what to do.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::config::{Chain, WhenExhausted};
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

pub(super) type Entries = HashMap<Arc<str>, Entry>;

/// Until when, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) until: Instant,
    pub(super) kind: FailureKind,
}

impl State {
    /// Leaves the upstream alone for so long, or its whole provider where the failure speaks for the account. Gives back
    /// the new end; `None` where the standing one is no earlier.
    pub(super) fn cool(
        &mut self,
        upstream: &Upstream,
        failure: &Failure,
        time: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let now = self.move_to(now);
        let until = after(now, time);
        let (entries, key) = if failure.account_wide {
            (&mut self.providers, upstream.provider().name().into())
        } else {
            (&mut self.upstreams, upstream.shared_id().clone())
        };
        // Only ever longer: a second, shorter hint does not unsay the first.
        if until <= entries.get(&key).map_or(now, |standing| standing.until) {
            return None;
        }
        let kind = failure.kind;
        entries.insert(key, Entry { until, kind });
        self.first_end = Some(self.first_end.map_or(until, |end| end.min(until)));
        Some(until)
    }

    /// Until when this upstream is left alone, if it is.
    pub(super) fn until(&mut self, upstream: &Upstream, now: Instant) -> Option<Instant> {
        self.entry(upstream, now).map(|entry| entry.until)
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

/// One request's walk along a chain, each upstream at most once.
#[derive(Debug)]
pub(super) struct Walk {
    /// Who was asked last.
    asked: Option<usize>,
    /// Who has failed, and when it may be asked again where that is known.
    failed: Vec<(usize, Option<Instant>)>,
    /// The latest end of a wait for the soonest; `None` where the chain does not wait.
    patience: Option<Instant>,
    /// The largest context that was too small.
    too_small: Option<u64>,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ask the upstream at this place; so many others could still be asked.
    Try { index: usize, alternatives: u32 },
    /// Everybody is cooling down: ask again when the soonest is back.
    Wait { until: Instant },
    /// Nobody is left. `soonest` is when the first may be asked again, where that is known.
    Exhausted { soonest: Option<Instant> },
}

impl Walk {
    pub(super) fn new(chain: &Chain, deadline: Option<Instant>, now: Instant) -> Self {
        let patience = match chain.when_exhausted {
            WhenExhausted::Wait { max } => Some(after(now, max)),
            WhenExhausted::Fail | WhenExhausted::TryAnyway => None,
        };
        Self {
            asked: None,
            failed: Vec::new(),
            patience: patience.map(|end| deadline.map_or(end, |deadline| end.min(deadline))),
            too_small: None,
        }
    }

    /// Whose turn it is. `cooling` says until when an upstream is left alone; no further attempt is made where it is not
    /// `allowed`.
    pub(super) fn turn(
        &mut self,
        chain: &Chain,
        allowed: bool,
        mut cooling: impl FnMut(&Upstream) -> Option<Instant>,
    ) -> Turn {
        let mut free = self
            .open(chain)
            .filter(|(_, upstream)| cooling(upstream).is_none());
        let next = free.next().map(|(index, _)| index);
        let alternatives = free.count();
        match next {
            Some(index) if allowed => self.ask(index, alternatives),
            // The cap ends the walk, not the upstreams: there is no time to wait for.
            Some(_) => Turn::Exhausted { soonest: None },
            None => self.nobody_free(chain, cooling),
        }
    }

    /// Whether anybody could be asked after the one that is asked now, were it not cooling down.
    pub(super) fn goes_on(&self, chain: &Chain) -> bool {
        self.open(chain).next().is_some()
    }

    /// Remembers that the one asked last has failed, and in how long it may be asked again where that is known.
    pub(super) fn failed(&mut self, back_in: Option<Duration>, now: Instant) {
        if let Some(index) = self.asked {
            self.failed
                .push((index, back_in.map(|time| after(now, time))));
        }
    }

    /// Remembers that the request is too large for the context of this upstream: no smaller one is asked.
    pub(super) fn too_large_for(&mut self, upstream: &Upstream) {
        self.too_small = self.too_small.max(upstream.context());
    }

    fn nobody_free(
        &mut self,
        chain: &Chain,
        mut cooling: impl FnMut(&Upstream) -> Option<Instant>,
    ) -> Turn {
        let back = |(index, upstream): (usize, &Upstream)| {
            // One that has failed and is back already counts from then.
            let known = || self.failed.iter().find(|(failed, _)| *failed == index)?.1;
            Some((cooling(upstream).or_else(known)?, index))
        };
        let soonest = chain.upstreams.iter().enumerate().filter_map(back).min();
        match (soonest, self.asked, chain.when_exhausted) {
            (Some((_, index)), None, WhenExhausted::TryAnyway) => self.ask(index, 0),
            (Some((until, _)), None, WhenExhausted::Wait { .. })
                if self.patience.is_some_and(|end| until <= end) =>
            {
                Turn::Wait { until }
            }
            (soonest, ..) => Turn::Exhausted {
                soonest: soonest.map(|(back, _)| back),
            },
        }
    }

    fn ask(&mut self, index: usize, alternatives: usize) -> Turn {
        self.asked = Some(index);
        Turn::Try {
            index,
            alternatives: u32::try_from(alternatives).unwrap_or(u32::MAX),
        }
    }

    /// Whoever has not been asked yet and whose context may be large enough.
    fn open<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = (usize, &'a Upstream)> {
        let is_asked = |index| {
            let mut failed = self.failed.iter();
            self.asked == Some(index) || failed.any(|(failed, _)| *failed == index)
        };
        let all = chain.upstreams.iter().enumerate();
        all.filter(move |(index, upstream)| !is_asked(*index) && self.fits(upstream))
    }

    /// A context that is not known may be large enough.
    fn fits(&self, upstream: &Upstream) -> bool {
        match (upstream.context(), self.too_small) {
            (Some(context), Some(too_small)) => context > too_small,
            _ => true,
        }
    }
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
