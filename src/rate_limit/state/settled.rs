//! How what a request took is corrected to what it used.

use super::State;
use crate::{
    cost::Cost,
    rate_limit::{epoch::Nanos, mark::Admissions, refunds::Settlement},
};

impl State {
    /// Corrects what a request took `when` it was admitted to what it really used. Returns whether the first of the queue may
    /// pass earlier for it.
    pub(crate) fn settle(
        &mut self,
        when: (Nanos, Admissions),
        reserved: Cost,
        used: Cost,
        now: Nanos,
    ) -> bool {
        let used = match self.quota.keeps_estimates {
            true => used.max(reserved),
            false => used,
        };
        if used == reserved {
            return false;
        }
        self.correct(when, reserved, Some(used), now)
    }

    /// A request was never sent: everything that it took is given back. Returns whether the first of the queue may pass
    /// earlier for it.
    pub(crate) fn refund(&mut self, when: (Nanos, Admissions), cost: Cost, now: Nanos) -> bool {
        self.correct(when, cost, None, now)
    }

    fn correct(
        &mut self,
        (at, request): (Nanos, Admissions),
        reserved: Cost,
        used: Option<Cost>,
        now: Nanos,
    ) -> bool {
        let settlement = Settlement {
            at,
            request,
            reserved,
            used,
            admitted: self.admitted,
        };
        self.change(now, |counts, quota, now| {
            counts.settle(quota, &settlement, now);
        })
    }
}
