//! The state machine of one circuit. Pure: it is told the time and says what changed.
//!
//! | state         | admits             | success            | failure          | degraded        | ignored, dropped     |
//! |---------------|--------------------|--------------------|------------------|-----------------|----------------------|
//! | closed        | all; in a ramp some | counts, may open (1) | counts, may open | counts, may open | nothing           |
//! | open          | none until its end, then half-open | –  | –                | –               | –                    |
//! | half-open     | `probes` at a time | counts, may close  | opens            | opens           | gives the place back |
//! | forced open   | none               | –                  | –                | –               | –                    |
//! | forced closed | all                | counts             | counts           | counts          | nothing              |
//! | disabled      | all                | nothing            | nothing          | nothing         | nothing              |
//!
//! (1) The success with which the window reaches its minimum of calls may show that enough of those before it had failed.
//!
//! Every change of state begins a new epoch, and a call's result counts only in the epoch that admitted it. When the probes
//! that hold every place of a half-open circuit have run out of time, a new round of places begins within the epoch: their
//! results count all the same, however late they come, but they give back no place of the new round.

mod by_hand;
mod phase;
mod probes;
mod rules;

use std::time::{Duration, Instant};

use super::{
    config::CircuitBreakerPolicy,
    decision::{CircuitState, Ending, Refusal, Ticket, Transition, Verdict},
    ramp::Ramp,
    tally::Tally,
    window::{Until, Window},
};
use crate::instant::after;
use phase::{FORCED, Phase};

#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    epoch: u32,
    window: Option<Window>,
    /// How often in a row a half-open circuit has opened again.
    failed_episodes: u32,
    random: fastrand::Rng,
    /// When this phase began.
    since: Instant,
    /// When a call last came or ended.
    last_call: Instant,
    latest: Instant,
    opened: u32,
    refused: u64,
}

/// What a circuit has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) tally: Tally,
    pub(super) consecutive: u32,
    pub(super) opened: u32,
    pub(super) refused: u64,
    pub(super) since: Instant,
    pub(super) open_until: Option<Instant>,
}

impl State {
    /// A closed circuit that has seen nothing. The seed is that of its jitter.
    pub(super) fn new(policy: &CircuitBreakerPolicy, seed: u64, now: Instant) -> Self {
        Self {
            phase: Phase::CLOSED,
            epoch: 0,
            window: policy.has_rates().then(|| Window::new(policy.window)),
            failed_episodes: 0,
            random: fastrand::Rng::with_seed(seed),
            since: now,
            last_call: now,
            latest: now,
            opened: 0,
            refused: 0,
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
        let mut transition = None;
        if matches!(self.phase, Phase::Open { until, .. } if now >= until) {
            self.enter(Phase::half_open(now));
            let reason = "the open time is over";
            transition = Some(Transition::HalfOpened { reason });
        }
        let admission = match self.phase.admit(policy, now) {
            Ok(()) => Ok(self.ticket()),
            Err(refusal) => {
                self.refused = self.refused.saturating_add(1);
                Err(refusal)
            }
        };
        (admission, transition)
    }

    /// Admits a call where all are admitted, whatever the time is.
    pub(super) fn admit_to_closed(&self) -> Option<Ticket> {
        match self.phase {
            Phase::Closed { ramp: None, .. } | Phase::ForcedClosed | Phase::Disabled => {
                Some(self.ticket())
            }
            _ => None,
        }
    }

    /// How long until a call would not be refused, if one would be now. It takes no place.
    pub(super) fn outlook(&self, policy: &CircuitBreakerPolicy, now: Instant) -> Option<Duration> {
        let now = now.max(self.latest);
        let mut phase = match self.phase {
            Phase::Open { until, .. } if now >= until => Phase::half_open(now),
            phase => phase,
        };
        let until = match phase {
            Phase::Closed { ramp, .. } => ramp?.outlook(now)?,
            _ => phase.admit(policy, now).err()?.until,
        };
        Some(until.saturating_duration_since(now))
    }

    /// Counts the result of an admitted call.
    pub(super) fn record(
        &mut self,
        policy: &CircuitBreakerPolicy,
        ticket: Ticket,
        ending: Ending,
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
        let Ending { verdict, hint, .. } = ending;
        if verdict == Verdict::Ignore {
            return None;
        }
        let has_failed = verdict != Verdict::Success;
        match &mut self.phase {
            Phase::Closed { consecutive, .. } => {
                *consecutive = match verdict {
                    Verdict::Failure => consecutive.saturating_add(1),
                    Verdict::Success => 0,
                    _ => *consecutive,
                };
                let consecutive = *consecutive;
                let tally = self.count(has_failed, ending.is_slow, now);
                let reason = policy.reason_to_open(consecutive, tally)?;
                Some(self.open(policy, reason, hint, now))
            }
            Phase::HalfOpen { .. } => self.judge_probe(policy, ending, now),
            Phase::ForcedClosed => {
                self.count(has_failed, ending.is_slow, now);
                None
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::Disabled => None,
        }
    }

    /// Until when a call may pass, and a good one end, without a word: nothing that the circuit decides would be another
    /// decision. They are added [later](Self::add_good).
    pub(super) fn passes_until(&self, policy: &CircuitBreakerPolicy) -> Option<Until> {
        let Phase::Closed {
            consecutive: 0,
            ramp: None,
        } = self.phase
        else {
            return None;
        };
        let Some(window) = &self.window else {
            return Some(Until::Ever);
        };
        let no_success_opens = policy.no_success_opens(window.latest_tally());
        window.until().filter(|_| no_success_opens)
    }

    /// Adds good calls that have passed without a word.
    pub(super) fn add_good(&mut self, calls: u32, now: Instant) {
        self.last_call = self.move_to(now);
        if let Some(window) = &mut self.window {
            window.add_good(calls);
        }
    }

    /// Why and until when every call is refused, where that is known beforehand: without a word, to be added
    /// [later](Self::add_refused). Who is refused for ever is told to come back after the open time.
    pub(super) fn refuses_until(&self) -> Option<(&'static str, Until)> {
        match self.phase {
            Phase::Open { until, reason } => Some((reason, Until::Time(until))),
            Phase::ForcedOpen => Some((FORCED, Until::Ever)),
            _ => None,
        }
    }

    /// Adds calls that have been refused without a word.
    pub(super) fn add_refused(&mut self, calls: u32, now: Instant) {
        self.last_call = self.move_to(now);
        self.refused = self.refused.saturating_add(calls.into());
    }

    /// Where the circuit stands. One whose open time is over is open until a call comes to probe.
    pub(super) fn circuit_state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
            Phase::ForcedOpen => CircuitState::ForcedOpen,
            Phase::ForcedClosed => CircuitState::ForcedClosed,
            Phase::Disabled => CircuitState::Disabled,
        }
    }

    pub(super) fn counted(&mut self, now: Instant) -> Counted {
        let now = self.move_to(now);
        let consecutive = match self.phase {
            Phase::Closed { consecutive, .. } => consecutive,
            _ => 0,
        };
        let open_until = match self.phase {
            Phase::Open { until, .. } => Some(until),
            _ => None,
        };
        Counted {
            tally: self.tally(now),
            consecutive,
            opened: self.opened,
            refused: self.refused,
            since: self.since,
            open_until,
        }
    }

    /// Whether it may be forgotten: a circuit made anew would behave the same, or nobody has asked for so long that all it
    /// knows is old, because its window and the longest open time have passed. What a person forced stays.
    pub(super) fn is_idle(&mut self, policy: &CircuitBreakerPolicy, now: Instant) -> bool {
        let now = self.move_to(now);
        let is_empty = self.tally(now) == Tally::default();
        let is_old = now >= after(self.last_call, policy.memory());
        match self.phase {
            Phase::Closed { consecutive, ramp } => {
                is_old || (consecutive == 0 && ramp.is_none() && is_empty)
            }
            Phase::HalfOpen { .. } => is_old,
            Phase::Open { until, .. } => is_old && now >= until,
            Phase::ForcedOpen | Phase::ForcedClosed | Phase::Disabled => false,
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
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

    fn count(&mut self, has_failed: bool, is_slow: bool, now: Instant) -> Option<Tally> {
        let window = self.window.as_mut()?;
        window.record(has_failed, is_slow, now);
        Some(window.tally(now))
    }

    fn tally(&mut self, now: Instant) -> Tally {
        let window = self.window.as_mut();
        window.map_or_else(Tally::default, |window| window.tally(now))
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
        let until = after(now, wait);
        self.opened = self.opened.saturating_add(1);
        self.enter(Phase::Open { until, reason });
        let wait = Some(wait);
        Transition::Opened { wait, reason }
    }

    fn close(&mut self, ramp: Option<Ramp>, reason: &'static str) -> Transition {
        self.failed_episodes = 0;
        let consecutive = 0;
        self.enter(Phase::Closed { consecutive, ramp });
        Transition::Closed { reason }
    }

    /// A change of state, now.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch = self.epoch.wrapping_add(1);
        self.since = self.latest;
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

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
