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
    slots: Slots,
}

/// Most keys of a million have sent one request in their window: that one needs no memory of its own.
#[derive(Clone, Debug)]
enum Slots {
    /// One slot, which holds all that is used; where nothing is, it means nothing.
    One { first: Nanos, last: Nanos },
    #[expect(
        clippy::box_collection,
        reason = "it keeps the slot small that most keys have"
    )]
    Many(Box<VecDeque<Slot>>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    first: Nanos,
    last: Nanos,
    amount: u64,
}

const EXACT: usize = 128;

impl Sliding {
    pub(super) fn earliest(&self, limit: &Limit, amount: u64, now: Nanos) -> Nanos {
        let most = limit.amount.saturating_sub(amount);
        if self.used <= most {
            return now;
        }
        let last = match &self.slots {
            Slots::One { last, .. } => Some(*last),
            Slots::Many(slots) => {
                let mut left = self.used;
                let fits = slots.iter().find(|slot| {
                    left = left.saturating_sub(slot.amount);
                    left <= most
                });
                fits.map(|slot| slot.last)
            }
        };
        last.map_or(now, |last| last.saturating_add(stay(limit)).max(now))
    }

    pub(super) fn take(&mut self, limit: &Limit, amount: u64, now: Nanos) {
        self.move_to(limit, now);
        let was_empty = self.used == 0;
        self.used = self.used.saturating_add(amount);
        let slot = Slot {
            first: now,
            last: now,
            amount,
        };
        match &mut self.slots {
            slots @ Slots::One { .. } if was_empty => {
                *slots = Slots::One {
                    first: now,
                    last: now,
                };
            }
            Slots::One { last, .. } if *last == now => {}
            Slots::One { first, last } => {
                let held = Slot {
                    first: *first,
                    last: *last,
                    amount: self.used.saturating_sub(amount),
                };
                self.slots = Slots::Many(Box::new(VecDeque::from([held, slot])));
            }
            Slots::Many(slots) => {
                let grain = limit.period() / 128;
                let many = slots.len() >= EXACT;
                match slots.back_mut() {
                    Some(newest) if newest.last == now || (many && now - newest.first < grain) => {
                        newest.last = now;
                        newest.amount = newest.amount.saturating_add(amount);
                    }
                    _ => slots.push_back(slot),
                }
            }
        }
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
        let settled = |amount: u64| amount.saturating_sub(reserved).saturating_add(used);
        match &mut self.slots {
            Slots::One { first, last } if self.used > 0 && (*first..=*last).contains(&at) => {
                self.used = settled(self.used);
                return;
            }
            Slots::One { .. } => {}
            Slots::Many(slots) => {
                let index = slots.partition_point(|slot| slot.last < at);
                if let Some(slot) = slots.get_mut(index).filter(|slot| slot.first <= at) {
                    // A limit that is newer than the taking holds less of it than is settled.
                    let rest = self.used.saturating_sub(slot.amount);
                    slot.amount = settled(slot.amount);
                    self.used = rest.saturating_add(slot.amount);
                    return;
                }
            }
        }
        // Nothing was reserved, so there is no slot; the window it belongs to is still open.
        if reserved == 0 && at.saturating_add(limit.period()) > now {
            self.take(limit, used, now);
        }
    }

    pub(super) fn used(&self, limit: &Limit, now: Nanos) -> u64 {
        let gone = self.slots().take_while(|slot| leaves(limit, *slot) <= now);
        let gone = gone.fold(0, |gone: u64, slot| gone.saturating_add(slot.amount));
        self.used.saturating_sub(gone)
    }

    pub(super) fn save(&self, limit: &Limit, anchor: Anchor, now: Nanos) -> Vec<Taking> {
        let held = self
            .slots()
            .filter(|slot| slot.amount > 0 && leaves(limit, *slot) > now);
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
        let mut all: Vec<_> = all
            .filter(|slot| slot.amount > 0 && leaves(limit, *slot) > now)
            .collect();
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
        let used = slots.iter().map(|slot| slot.amount);
        self.used = used.fold(0, u64::saturating_add);
        self.slots = match slots.front() {
            None => Slots::default(),
            Some(&Slot { first, last, .. }) if slots.len() == 1 => Slots::One { first, last },
            Some(_) => Slots::Many(Box::new(slots)),
        };
    }

    fn move_to(&mut self, limit: &Limit, now: Nanos) {
        match &mut self.slots {
            Slots::One { last, .. } => {
                if last.saturating_add(stay(limit)) <= now {
                    self.used = 0;
                }
            }
            Slots::Many(slots) => {
                while let Some(slot) = slots.front().filter(|slot| leaves(limit, **slot) <= now) {
                    self.used = self.used.saturating_sub(slot.amount);
                    slots.pop_front();
                }
            }
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let (one, many) = match &self.slots {
            Slots::One { first, last } => {
                let slot = Slot {
                    first: *first,
                    last: *last,
                    amount: self.used,
                };
                (Some(slot), None)
            }
            Slots::Many(slots) => (None, Some(slots.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::One { first: 0, last: 0 }
    }
}

fn leaves(limit: &Limit, slot: Slot) -> Nanos {
    slot.last.saturating_add(stay(limit))
}

/// How long a taking stays counted: nowhere does the upstream count it for longer, however late it came there.
fn stay(limit: &Limit) -> Nanos {
    limit.period().saturating_add(limit.margin())
}
