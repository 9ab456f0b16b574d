//! Changes by hand. Each begins a new epoch, whatever was under way.

use std::time::Instant;

use super::{
    State,
    phase::{FORCED, Phase},
};
use crate::circuit_breaker::decision::Transition;

impl State {
    pub(crate) fn force_open(&mut self, now: Instant) -> Transition {
        self.force(Phase::ForcedOpen, now);
        let reason = FORCED;
        Transition::Opened { wait: None, reason }
    }

    pub(crate) fn force_closed(&mut self, now: Instant) -> Transition {
        self.force(Phase::ForcedClosed, now);
        let reason = "forced closed";
        Transition::Closed { reason }
    }

    pub(crate) fn force_half_open(&mut self, now: Instant) -> Transition {
        self.force(Phase::half_open(now), now);
        let reason = "forced half-open";
        Transition::HalfOpened { reason }
    }

    pub(crate) fn disable(&mut self, now: Instant) -> Transition {
        self.force(Phase::Disabled, now);
        Transition::Disabled
    }

    /// Closed, with nothing counted.
    pub(crate) fn reset(&mut self, now: Instant) -> Transition {
        self.move_to(now);
        self.close(None, "reset")
    }

    fn force(&mut self, phase: Phase, now: Instant) {
        self.move_to(now);
        self.enter(phase);
    }
}
