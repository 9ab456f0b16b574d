//! A window that slides.

use std::collections::VecDeque;

use crate::rate_limit::{
    epoch::{Anchor, Nanos},
    limit::Limit,
    saved::Taking,
};

/// A window that slides: no period of its length, wherever it begins, holds more than the amount.
///
/// What was taken stands in slots. While there are few, each taking has a slot of its own and leaves the window exactly
/// one period later. Beyond [`EXACT`] slots, takings within 1/128 of the period share one and leave with its last, so
/// the window is late by less than 0.8 % of its period, never early, and holds at most `EXACT` + 129 slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sliding {
    used: u64,
    /// The newest slot, which holds what is used beyond the older ones; where nothing is used, it means nothing. It stands here
    /// so that a request seldom looks at the others, which lie far away, and because most keys of a million have only one.
    first: Nanos,
    last: Nanos,
    older: Option<Box<Older>>,
}

/// The slots before the newest, which end before it begins.
#[derive(Clone, Debug, Default)]
struct Older {
    used: u64,
    /// When the oldest of them was last taken from.
    oldest: Nanos,
    slots: VecDeque<Slot>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    first: Nanos,
    last: Nanos,
    amount: u64,
}

const EXACT: usize = 128;

impl Sliding {
    /// Whether so much fits beside all that was used, of which some may have left.
    #[inline(always)]
    pub(super) fn has_room(&self, limit: &Limit, amount: u64) -> bool {
        let used = self.used.checked_add(amount);
        used.is_some_and(|used| used <= limit.amount)
    }

    #[inline]
    pub(super) fn earliest(&self, limit: &Limit, amount: u64, now: Nanos) -> Nanos {
        let most = limit.amount.saturating_sub(amount);
        match self.used <= most {
            true => now,
            false => self.falls_to(limit, most).max(now),
        }
    }

    /// When no more than so much is used; that is more at present.
    fn falls_to(&self, limit: &Limit, most: u64) -> Nanos {
        let mut left = self.used;
        for slot in self.older.iter().flat_map(|older| &older.slots) {
            left = left.saturating_sub(slot.amount);
            if left <= most {
                return leaves(limit, slot.last);
            }
        }
        leaves(limit, self.last)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, limit: &Limit, amount: u64, now: Nanos) {
        self.move_to(limit, now);
        if self.last != now || self.used == 0 {
            self.begin_slot(limit, now);
        }
        self.used = self.used.saturating_add(amount);
    }

    /// Lets the newest slot be one that what is taken now belongs to.
    #[inline(always)]
    fn begin_slot(&mut self, limit: &Limit, now: Nanos) {
        if self.used == 0 {
            self.forget();
        } else {
            let many = self.older.as_ref().map_or(0, |older| older.slots.len()) + 1 >= EXACT;
            if many && now - self.first < limit.period() / 128 {
                self.last = now;
                return;
            }
            self.put_aside();
        }
        (self.first, self.last) = (now, now);
    }

    /// Puts the newest slot to the older ones.
    #[inline(never)]
    fn put_aside(&mut self) {
        let older = self.older.get_or_insert_default();
        if older.slots.is_empty() {
            older.oldest = self.last;
        }
        older.slots.push_back(Slot {
            first: self.first,
            last: self.last,
            amount: self.used.saturating_sub(older.used),
        });
        older.used = self.used;
    }

    /// Books to the slot in which it was taken. What has left the window stays gone: the next one owes nothing for it.
    pub(super) fn settle(
        &mut self,
        limit: &Limit,
        at: Nanos,
        reserved: u64,
        used: u64,
        now: Nanos,
    ) {
        self.move_to(limit, now);
        // A limit that is newer than the taking holds less of it than is settled.
        let settled = |amount: u64| amount.saturating_sub(reserved).saturating_add(used);
        let before = self.older.as_ref().map_or(0, |older| older.used);
        if self.used > 0 && (self.first..=self.last).contains(&at) {
            let newest = settled(self.used.saturating_sub(before));
            self.used = before.saturating_add(newest);
            return;
        }
        if let Some(older) = &mut self.older {
            let index = older.slots.partition_point(|slot| slot.last < at);
            if let Some(slot) = older.slots.get_mut(index).filter(|slot| slot.first <= at) {
                let newest = self.used.saturating_sub(older.used);
                let rest = older.used.saturating_sub(slot.amount);
                slot.amount = settled(slot.amount);
                older.used = rest.saturating_add(slot.amount);
                self.used = older.used.saturating_add(newest);
                return;
            }
        }
        // Nothing was reserved, so there is no slot; the window it belongs to is still open.
        if reserved == 0 && at.saturating_add(limit.period()) > now {
            self.take(limit, used, now);
        }
    }

    pub(super) fn used(&self, limit: &Limit, now: Nanos) -> u64 {
        let older = self.older.as_ref();
        let oldest = older.map_or(self.last, |older| older.oldest.min(self.last));
        if leaves(limit, oldest) > now {
            return self.used;
        }
        let gone = self
            .slots()
            .take_while(|slot| leaves(limit, slot.last) <= now);
        let gone = gone.fold(0, |gone: u64, slot| gone.saturating_add(slot.amount));
        self.used.saturating_sub(gone)
    }

    pub(super) fn save(&self, limit: &Limit, anchor: Anchor, now: Nanos) -> Vec<Taking> {
        let held = self
            .slots()
            .filter(|slot| slot.amount > 0 && leaves(limit, slot.last) > now);
        let taken = held.map(|slot| Taking {
            from: anchor.wall_of(slot.first),
            at: anchor.wall_of(slot.last),
            amount: slot.amount,
            part: 0,
        });
        taken.collect()
    }

    /// Adds what was taken before. Slots that would overlap become one, which leaves with its last: a settlement finds the
    /// slot of what it settles, and nothing leaves early.
    pub(super) fn restore(&mut self, limit: &Limit, taken: &[Taking], anchor: Anchor, now: Nanos) {
        self.move_to(limit, now);
        let restored = taken.iter().map(|taking| Slot {
            first: anchor.past(taking.from.min(taking.at)),
            last: anchor.past(taking.at),
            amount: taking.amount,
        });
        let all = self.slots().chain(restored);
        let mut all: Vec<_> = all.filter(|slot| leaves(limit, slot.last) > now).collect();
        all.sort_by_key(|slot| slot.last);
        let mut slots = VecDeque::<Slot>::new();
        for mut slot in all {
            let grain = limit.period() / 128;
            while let Some(newest) = slots.back().copied()
                && (newest.last >= slot.first
                    || (slots.len() >= EXACT && slot.last - newest.first < grain))
            {
                slots.pop_back();
                slot.first = slot.first.min(newest.first);
                slot.amount = slot.amount.saturating_add(newest.amount);
            }
            slots.push_back(slot);
        }
        *self = Self::default();
        for Slot {
            first,
            last,
            amount,
        } in slots
        {
            if self.used > 0 {
                self.put_aside();
            }
            (self.first, self.last) = (first, last);
            self.used = self.used.saturating_add(amount);
        }
    }

    #[inline(always)]
    fn move_to(&mut self, limit: &Limit, now: Nanos) {
        let stay = stay(limit);
        if self.last.saturating_add(stay) <= now {
            self.used = 0;
            self.forget();
        } else if let Some(older) = &mut self.older
            && older.oldest.saturating_add(stay) <= now
        {
            self.used = self.used.saturating_sub(older.move_to(stay, now));
        }
    }

    #[inline(never)]
    fn forget(&mut self) {
        if let Some(older) = &mut self.older {
            older.used = 0;
            older.slots.clear();
            older.oldest = Nanos::MAX;
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let older = self.older.as_deref();
        let before = older.map_or(0, |older| older.used);
        let newest = Slot {
            first: self.first,
            last: self.last,
            amount: self.used.saturating_sub(before),
        };
        let older = older.into_iter().flat_map(|older| &older.slots);
        older.copied().chain([newest])
    }
}

impl Older {
    /// Lets go of what has left; returns how much that was.
    fn move_to(&mut self, stay: Nanos, now: Nanos) -> u64 {
        let before = self.used;
        while let Some(slot) = self.slots.front() {
            self.oldest = slot.last;
            if slot.last.saturating_add(stay) > now {
                return before.saturating_sub(self.used);
            }
            self.used = self.used.saturating_sub(slot.amount);
            self.slots.pop_front();
        }
        self.oldest = Nanos::MAX;
        before.saturating_sub(self.used)
    }
}

fn leaves(limit: &Limit, last: Nanos) -> Nanos {
    last.saturating_add(stay(limit))
}

/// How long a taking stays counted: nowhere does the upstream count it for longer, however late it came there.
fn stay(limit: &Limit) -> Nanos {
    limit.period().saturating_add(limit.margin())
}
