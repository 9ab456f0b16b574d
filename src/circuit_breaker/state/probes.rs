//! What probes tell.

use std::time::Instant;

use super::{Phase, State};
use crate::circuit_breaker::{
    config::CircuitBreakerPolicy,
    decision::{Ending, Ticket, Transition, Verdict},
    ramp::Ramp,
};

impl State {
    /// The answer to a probe flows, and has not ended: it counts as a success, and keeps its place.
    pub(crate) fn flow(
        &mut self,
        policy: &CircuitBreakerPolicy,
        ticket: Ticket,
        now: Instant,
    ) -> Option<Transition> {
        let now = self.move_to(now);
        self.last_call = now;
        let success = Ending {
            verdict: Verdict::Success,
            is_slow: false,
            has_flowed: false,
            hint: None,
        };
        let is_current = ticket.epoch == self.epoch;
        is_current.then(|| self.judge_probe(policy, success, now))?
    }

    /// Opens or closes the circuit, where it is half-open and its probes have told enough.
    pub(super) fn judge_probe(
        &mut self,
        policy: &CircuitBreakerPolicy,
        ending: Ending,
        now: Instant,
    ) -> Option<Transition> {
        let Phase::HalfOpen {
            succeeded, failed, ..
        } = &mut self.phase
        else {
            return None;
        };
        let has_failed = ending.verdict != Verdict::Success || ending.is_slow;
        match (ending.has_flowed, has_failed) {
            (true, false) => return None,
            // It had not succeeded after all.
            (true, true) => *succeeded = succeeded.saturating_sub(1),
            (false, _) => {}
        }
        *succeeded += u32::from(!has_failed);
        *failed += u32::from(has_failed);
        if policy.probes_have_failed(*succeeded, *failed)? {
            self.failed_episodes = self.failed_episodes.saturating_add(1);
            Some(self.open(policy, "a probe failed", ending.hint, now))
        } else {
            let ramp = Some(policy.ramp).filter(|length| !length.is_zero());
            let ramp = ramp.map(|length| Ramp::new(length, now));
            Some(self.close(ramp, "probes succeeded"))
        }
    }
}
