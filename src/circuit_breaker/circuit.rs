//! The circuit of one key: its state, and the lanes of the threads that pass it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    config::CircuitBreakerPolicy,
    decision::{Refusal, Ticket, Transition},
    lane::{EVER, Lane, Passed},
    state::State,
    window::Until,
};

#[derive(Debug)]
pub(super) struct Circuit {
    state: State,
    lanes: Vec<Arc<Lane>>,
    /// The calls that have passed by the lock and have not ended: they will come back to this place.
    held: u32,
    /// How often a call has come by the lock, up to [`OFTEN`].
    asked: u8,
    /// Its key, once somebody has to be told.
    name: Option<Arc<str>>,
}

/// Before it has been asked so often, a circuit gives no thread a lane: of a million keys most are asked once.
const OFTEN: u8 = if cfg!(all(test, shuttle)) { 1 } else { 4 };

impl Circuit {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            lanes: Vec::new(),
            held: 0,
            asked: 0,
            name: None,
        }
    }

    /// Admits or refuses a call. Who is admitted comes [back](Self::come_back).
    pub(super) fn admit(
        &mut self,
        policy: &CircuitBreakerPolicy,
        began: Instant,
        now: Instant,
    ) -> (Result<Ticket, Refusal>, Option<Transition>) {
        let (admission, transition) =
            self.change(policy, began, now, |state| state.admit(policy, now));
        self.asked = self.asked.saturating_add(1).min(OFTEN);
        self.held += u32::from(admission.is_ok());
        (admission, transition)
    }

    /// Admits a call if all are admitted, at any time.
    pub(super) fn admit_to_closed(&mut self) -> Option<Ticket> {
        let ticket = self.state.admit_to_closed()?;
        self.asked = self.asked.saturating_add(1).min(OFTEN);
        self.held += 1;
        Some(ticket)
    }

    /// A call that was admitted has ended.
    pub(super) fn come_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// A lane for a thread, where calls may pass or be refused by one. It opens with the next change.
    pub(super) fn add_lane(&mut self, policy: &CircuitBreakerPolicy) -> Option<Arc<Lane>> {
        let is_of_use =
            self.state.passes_until(policy).is_some() || self.state.refuses_until().is_some();
        if self.asked < OFTEN || !is_of_use {
            return None;
        }
        let lane = Arc::new(Lane::shut());
        self.lanes.push(lane.clone());
        Some(lane)
    }

    /// Looks at the state, or changes it: with all lanes shut, and what has passed by them counted. Those that are still used
    /// are opened again if calls may pass, or are all refused.
    pub(super) fn change<R>(
        &mut self,
        policy: &CircuitBreakerPolicy,
        began: Instant,
        now: Instant,
        change: impl FnOnce(&mut State) -> R,
    ) -> R {
        let passed = self.lanes.iter().map(|lane| lane.close());
        let passed = passed.fold(Passed::default(), Passed::and);
        if passed.good > 0 {
            self.state.add_good(passed.good, now);
        }
        if passed.refused > 0 {
            self.state.add_refused(passed.refused, now);
        }
        let result = change(&mut self.state);
        if !self.lanes.is_empty() {
            self.lanes.retain(|lane| Arc::strong_count(lane) > 1);
            let epoch = self.state.epoch();
            if let Some(until) = self.state.passes_until(policy) {
                let until = nanos(until, began);
                self.lanes.iter().for_each(|lane| lane.open(epoch, until));
            } else if let Some((reason, until)) = self.state.refuses_until() {
                let until = nanos(until, began);
                self.lanes
                    .iter()
                    .for_each(|lane| lane.bar(epoch, reason, until));
            }
        }
        result
    }

    /// Its key, to be told to others.
    pub(super) fn name(&mut self, key: &str) -> Arc<str> {
        self.name.get_or_insert_with(|| key.into()).clone()
    }

    /// Where the circuit stands, and nothing that its lanes have counted.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Whether it may be forgotten.
    pub(super) fn is_idle(
        &mut self,
        policy: &CircuitBreakerPolicy,
        began: Instant,
        now: Instant,
    ) -> bool {
        let is_used = |lane: &Arc<Lane>| Arc::strong_count(lane) > 1;
        if self.held > 0 || self.lanes.iter().any(is_used) {
            return false;
        }
        self.change(policy, began, now, |state| state.is_idle(policy, now))
    }
}

/// A time as lanes know it.
fn nanos(until: Until, began: Instant) -> u64 {
    match until {
        Until::Ever => EVER,
        Until::Time(until) => since(until, began),
    }
}

/// The nanoseconds since the breaker was made, at most what 64 bits hold, which is 584 years.
pub(super) fn since(now: Instant, began: Instant) -> u64 {
    let passed: Duration = now.saturating_duration_since(began);
    crate::instant::nanos(passed)
}

#[cfg(all(test, not(shuttle)))]
#[path = "circuit/tests.rs"]
mod tests;
