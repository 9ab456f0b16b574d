//! The state machine of one circuit. Pure: it is told the time and says what changed.
//!
//! | state     | admits            | success               | failure           | no verdict, or dropped |
//! |-----------|-------------------|-----------------------|-------------------|------------------------|
//! | closed    | all               | counts                | counts, may open  | nothing                |
//! | open      | none until its end, then half-open | nothing | nothing         | nothing                |
//! | half-open | `probes` at a time | counts, may close    | opens             | gives the slot back    |
//! | forced    | none              | nothing               | nothing           | nothing                |
//! | disabled  | all               | nothing               | nothing           | nothing                |
//!
//! Every change of state begins a new epoch, and a call's result counts only in the epoch that admitted it. When the probes
//! that hold every slot of a half-open circuit have run out of time, a new round of slots begins within the epoch: their
//! results count all the same, however late they come, but they give back no slot of the new round.

use std::time::{Duration, Instant};

use super::{
    config::CircuitBreakerPolicy,
    decision::{CircuitState, Refusal, Ticket, Transition, Verdict},
    window::{Tally, Window},
};
use crate::instant::after;

#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    epoch: u64,
    window: Option<Window>,
    /// How often in a row a half-open circuit has opened again.
    failed_episodes: u32,
    random: fastrand::Rng,
    /// When a call last came or ended.
    last_call: Instant,
    latest: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed {
        consecutive: u32,
    },
    Open {
        until: Instant,
        reason: &'static str,
    },
    HalfOpen {
        round: u64,
        /// The slots of this round that are taken.
        running: u32,
        succeeded: u32,
        /// When the next round may begin.
        renew: Instant,
    },
    ForcedOpen,
    Disabled,
}

impl State {
    pub(super) fn new(policy: &CircuitBreakerPolicy, now: Instant) -> Self {
        Self {
            phase: Phase::Closed { consecutive: 0 },
            epoch: 0,
            window: policy.failure_rate.map(|rule| Window::new(rule.over)),
            failed_episodes: 0,
            random: policy
                .seed
                .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
            last_call: now,
            latest: now,
        }
    }

    /// Admits or refuses a call, and opens the way for probes when the open time is over.
    pub(super) fn admit(
        &mut self,
        policy: &CircuitBreakerPolicy,
        now: Instant,
    ) -> (Result<Ticket, Refusal>, Option<Transition>) {
        let now = self.move_to(now);
        self.last_call = now;
        let probe_timeout = policy.probe_timeout.unwrap_or(policy.open_for);
        let mut transition = None;
        if matches!(self.phase, Phase::Open { until, .. } if now >= until) {
            self.enter(Phase::half_open(now));
            transition = Some(Transition::HalfOpened);
        }
        let refusal = match &mut self.phase {
            Phase::Closed { .. } | Phase::Disabled => None,
            Phase::Open { until, reason } => Some(Refusal {
                reason,
                until: *until,
            }),
            Phase::HalfOpen { running, renew, .. } if *running < policy.probes => {
                *running += 1;
                *renew = after(now, probe_timeout);
                None
            }
            // Probes that hold every slot and do not end must not lock the circuit.
            Phase::HalfOpen {
                round,
                running,
                renew,
                ..
            } if now >= *renew => {
                *round += 1;
                (*running, *renew) = (1, after(now, probe_timeout));
                None
            }
            Phase::HalfOpen { renew, .. } => Some(Refusal {
                reason: "probes are under way",
                until: *renew,
            }),
            Phase::ForcedOpen => Some(Refusal {
                reason: FORCED,
                until: after(now, policy.open_for),
            }),
        };
        let admission = match refusal {
            None => Ok(self.ticket()),
            Some(refusal) => Err(refusal),
        };
        (admission, transition)
    }

    /// Counts the result of an admitted call. `hint` is how long the upstream asked to be left alone.
    pub(super) fn record(
        &mut self,
        policy: &CircuitBreakerPolicy,
        ticket: Ticket,
        verdict: Verdict,
        hint: Option<Duration>,
        now: Instant,
    ) -> Option<Transition> {
        let now = self.move_to(now);
        self.last_call = now;
        if ticket.epoch != self.epoch {
            return None;
        }
        if let Phase::HalfOpen { round, running, .. } = &mut self.phase
            && ticket.round == *round
        {
            *running = running.saturating_sub(1);
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed { consecutive }, Verdict::Success | Verdict::Failure) => {
                let failed = verdict == Verdict::Failure;
                *consecutive = if failed {
                    consecutive.saturating_add(1)
                } else {
                    0
                };
                let consecutive = *consecutive;
                let reason = self.reason_to_open(policy, consecutive, failed, now)?;
                Some(self.open(policy, reason, hint, now))
            }
            (Phase::HalfOpen { succeeded, .. }, Verdict::Success) => {
                *succeeded += 1;
                (*succeeded >= policy.successes).then(|| self.close())
            }
            (Phase::HalfOpen { .. }, Verdict::Failure) => {
                self.failed_episodes = self.failed_episodes.saturating_add(1);
                Some(self.open(policy, "a probe failed", hint, now))
            }
            _ => None,
        }
    }

    pub(super) fn force_open(&mut self) -> Option<Transition> {
        self.enter(Phase::ForcedOpen);
        Some(Transition::Opened {
            wait: None,
            reason: FORCED,
        })
    }

    pub(super) fn force_half_open(&mut self, now: Instant) -> Option<Transition> {
        let now = self.move_to(now);
        self.enter(Phase::half_open(now));
        Some(Transition::HalfOpened)
    }

    pub(super) fn disable(&mut self) {
        self.enter(Phase::Disabled);
    }

    /// Closed, with nothing counted.
    pub(super) fn reset(&mut self) -> Option<Transition> {
        let was_closed = matches!(self.phase, Phase::Closed { .. });
        let transition = self.close();
        (!was_closed).then_some(transition)
    }

    /// Where the circuit stands. One whose open time is over is open until a call comes to probe.
    pub(super) fn circuit_state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
            Phase::ForcedOpen => CircuitState::ForcedOpen,
            Phase::Disabled => CircuitState::Disabled,
        }
    }

    pub(super) fn open_until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { until, .. } => Some(until),
            _ => None,
        }
    }

    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        let now = self.move_to(now);
        self.window
            .as_mut()
            .map_or_else(Tally::default, |window| window.tally(now))
    }

    /// Whether it may be forgotten: a circuit made anew would behave the same, or nobody has asked for so long that all it
    /// knows is old, because its window and the longest open time have passed. What a person forced stays.
    pub(super) fn is_idle(&mut self, policy: &CircuitBreakerPolicy, now: Instant) -> bool {
        let is_empty = self.tally(now) == Tally::default();
        let now = self.latest;
        let is_old = now >= after(self.last_call, policy.memory());
        match self.phase {
            Phase::Closed { consecutive } => is_old || (consecutive == 0 && is_empty),
            Phase::HalfOpen { .. } => is_old,
            Phase::Open { until, .. } => is_old && now >= until,
            Phase::ForcedOpen | Phase::Disabled => false,
        }
    }

    fn ticket(&self) -> Ticket {
        let round = match self.phase {
            Phase::HalfOpen { round, .. } => round,
            _ => 0,
        };
        Ticket {
            epoch: self.epoch,
            round,
        }
    }

    fn reason_to_open(
        &mut self,
        policy: &CircuitBreakerPolicy,
        consecutive: u32,
        failed: bool,
        now: Instant,
    ) -> Option<&'static str> {
        let tally = self
            .window
            .as_mut()
            .map(|window| window.record(failed, now));
        if policy
            .consecutive_failures
            .is_some_and(|most| consecutive >= most)
        {
            return Some("consecutive failures");
        }
        let (rule, tally) = (policy.failure_rate?, tally?);
        let reached = f64::from(tally.failures) >= rule.rate * f64::from(tally.calls);
        (tally.calls >= rule.minimum_calls && reached).then_some("failure rate")
    }

    fn open(
        &mut self,
        policy: &CircuitBreakerPolicy,
        reason: &'static str,
        hint: Option<Duration>,
        now: Instant,
    ) -> Transition {
        let own = policy.open_time(self.failed_episodes, &mut self.random);
        let wait = own.max(hint.unwrap_or_default());
        self.enter(Phase::Open {
            until: after(now, wait),
            reason,
        });
        Transition::Opened {
            wait: Some(wait),
            reason,
        }
    }

    fn close(&mut self) -> Transition {
        self.failed_episodes = 0;
        self.enter(Phase::Closed { consecutive: 0 });
        Transition::Closed
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
        if let Some(window) = &mut self.window {
            window.clear();
        }
    }

    /// The latest time seen: a clock that steps back has no effect.
    fn move_to(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        self.latest
    }
}

impl Phase {
    fn half_open(now: Instant) -> Self {
        Self::HalfOpen {
            round: 0,
            running: 0,
            succeeded: 0,
            renew: now,
        }
    }
}

const FORCED: &str = "forced open";

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
