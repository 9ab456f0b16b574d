//! What is given back of a limit, where its upstream has said what is left: never more than it said.
//!
//! What is left, by the head of an answer, is less by what the upstream had counted then. Nobody can tell from here what that was:
//!
//! | upstream | of the request that is answered | of those under way | after the head |
//! |---|---|---|---|
//! | counts what a request may use, as OpenAI does | all that it may use | the same | nothing is given back |
//! | counts the same and corrects it | all that it may use | the same | the rest is given back at the end |
//! | counts what was used, when it knows | of a stream nothing yet, else what it used | nothing yet | more is taken at the end |
//!
//! So a settlement gives back what goes beyond what the upstream had counted, and no more until it tells again or the time of the
//! reset has come. What it had not counted, because the request came after the one that is answered, is given back at once.

use std::cmp::Ordering;

use super::{epoch::Nanos, limit::Limit, mark::Admissions, size::amount, window::Window};
use crate::cost::Cost;

/// That a request used something else than it took.
pub(super) struct Settlement {
    /// When it took it.
    pub(super) at: Nanos,
    /// All that was admitted until then, the request included.
    pub(super) request: Admissions,
    pub(super) reserved: Cost,
    /// Nothing at all where it was not sent.
    pub(super) used: Option<Cost>,
    /// All that was admitted until now.
    pub(super) admitted: Admissions,
}

impl Settlement {
    /// Corrects the count of one limit.
    pub(super) fn book(&self, limit: &Limit, window: &mut Window, now: Nanos) {
        let used = self.used.map_or(0, |used| amount(limit, used));
        window.settle(limit, self.at, amount(limit, self.reserved), used, now);
    }
}

/// What was given back of one limit, and what may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Refunds {
    /// The latest request of which an answer has told what is left.
    of: Admissions,
    /// So much must be taken, here and elsewhere, that no more is left than was said; and all that was admitted after `heard`.
    floor: u64,
    heard: Admissions,
    /// All that was given back since the upstream tells of limits.
    all: u64,
    /// What was given back of requests after `of`: what the answer to an earlier one says does not concern it.
    later: Vec<(Admissions, u64)>,
}

/// Only requests that fail, or whose answers tell nothing, are settled while an earlier one is not answered yet. Of more than
/// so many the oldest are taken for earlier ones, which gives back less.
const LATER: usize = 32;

impl Refunds {
    pub(super) fn all(&self) -> u64 {
        self.all
    }

    /// How this request stands to the latest that has been told of.
    pub(super) fn compare(&self, request: Admissions) -> Ordering {
        match request.is_before(self.of) {
            true => Ordering::Less,
            false if request == self.of => Ordering::Equal,
            false => Ordering::Greater,
        }
    }

    /// What was given back, since `then`, of what had been taken when this request was admitted.
    pub(super) fn since(&self, then: u64, request: Admissions) -> u64 {
        let later = self.later.iter().filter(|(it, _)| request.is_before(*it));
        let later = later.map(|(_, amount)| *amount);
        let later = later.fold(0, u64::saturating_add);
        self.all.saturating_sub(then).saturating_sub(later)
    }

    /// The answer to a request has told what is left, so that no less than `floor` is taken; `now` is all that was admitted.
    pub(super) fn hear(&mut self, request: Admissions, floor: u64, now: Admissions) {
        if !request.is_before(self.of) {
            self.of = request;
            self.later.retain(|(it, _)| request.is_before(*it));
        }
        (self.floor, self.heard) = (floor, now);
    }

    /// A request has been settled, and what is taken here has changed. Returns how much must stay taken elsewhere of what it gave
    /// back; `elsewhere` is so already, and `since` was admitted after the upstream told.
    pub(super) fn settle(
        &mut self,
        request: Admissions,
        (before, after): (u64, u64),
        elsewhere: u64,
        since: u64,
    ) -> u64 {
        let given_back = before.saturating_sub(after);
        self.all = self.all.saturating_add(given_back);
        if self.of.is_before(request) {
            self.floor = self.floor.saturating_add(after).saturating_sub(before);
            self.give_back_later(request, given_back);
            return 0;
        }
        let taken = after.saturating_add(elsewhere);
        let least = self.floor.saturating_add(since);
        given_back.min(least.saturating_sub(taken))
    }

    pub(super) fn heard(&self) -> Admissions {
        self.heard
    }

    fn give_back_later(&mut self, request: Admissions, amount: u64) {
        if amount == 0 {
            return;
        }
        if self.later.len() >= LATER {
            self.later.remove(0);
        }
        self.later.push((request, amount));
    }
}
