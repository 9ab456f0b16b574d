//! The place of a call that a circuit let through: how its verdict goes back.

use std::{sync::Arc, time::Duration};

use super::{
    circuits::Circuits,
    decision::{Ending, Ticket, Verdict},
    passes::Pass,
};
use crate::keys::Spot;

/// How a call came in, and how its verdict goes back: by a lane, or else by the lock. An enum of the two would be the same, but
/// the optimizer keeps none in registers.
pub(super) struct Place {
    pub(super) lane: Option<Arc<Pass>>,
    pub(super) lock: Option<(Arc<Circuits>, Spot)>,
    pub(super) ticket: Ticket,
    /// Whether a good head is all that there is to judge.
    pub(super) is_plain: bool,
    pub(super) is_slow: bool,
    pub(super) probe: Probe,
    /// When the answer to a probe had begun, in milliseconds since the breaker was made, modulo 2^32: an answer takes less.
    pub(super) head_at: u32,
}

/// Whether a call is a probe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It is none, or says nothing before its end.
    No,
    Yes,
    /// It is, and has counted as a success because its answer flowed.
    Flowed,
}

impl Place {
    #[inline]
    pub(super) fn circuits(&self) -> &Arc<Circuits> {
        match (&self.lane, &self.lock) {
            (Some(pass), _) => &pass.circuits,
            (None, Some((circuits, _))) => circuits,
            (None, None) => unreachable!("a call comes in by a lane or by the lock"),
        }
    }

    /// The head of the answer to a probe is good.
    #[cold]
    pub(super) fn begin_flow(&mut self) {
        // The next whole millisecond, so that nothing counts too early. One that was slow has failed.
        match self.is_slow {
            true => self.probe = Probe::No,
            false => self.head_at = self.circuits().nanos().div_ceil(1_000_000) as u32,
        }
    }

    /// More has come of the answer to a probe.
    #[cold]
    pub(super) fn flow(&mut self) {
        let Some((circuits, spot)) = &self.lock else {
            return;
        };
        let now = (circuits.nanos() / 1_000_000) as u32;
        let flowed = now.wrapping_sub(self.head_at);
        // Below zero at the head, for its whole millisecond has not come.
        let flowed = u64::try_from(flowed.cast_signed()).unwrap_or(0);
        if Duration::from_millis(flowed) >= circuits.policy().probe_flow {
            self.probe = Probe::Flowed;
            circuits.flow(*spot, self.ticket);
        }
    }

    /// The body has ended well, or the head was good and nobody wanted more. Where it stands: to move it takes longer.
    #[inline(always)]
    pub(super) fn succeed(this: &mut Option<Self>) {
        let Some(place) = this else {
            return;
        };
        match &place.lane {
            Some(pass) if !place.is_slow && pass.count(place.ticket) => *this = None,
            _ => Self::tell(this, Verdict::Success, None),
        }
    }

    #[inline(never)]
    pub(super) fn tell(this: &mut Option<Self>, verdict: Verdict, hint: Option<Duration>) {
        let Some(Self {
            lane,
            lock,
            ticket,
            is_slow,
            probe,
            ..
        }) = this.take()
        else {
            return;
        };
        let ending = Ending {
            verdict,
            is_slow,
            has_flowed: probe == Probe::Flowed,
            hint,
        };
        match (lane, lock) {
            // Who had no place has none to give back.
            (Some(_), _) if verdict == Verdict::Ignore => {}
            (Some(pass), _) => pass.circuits.record(pass.spot, ticket, ending, false),
            (None, Some((circuits, spot))) => circuits.record(spot, ticket, ending, true),
            (None, None) => {}
        }
    }
}
