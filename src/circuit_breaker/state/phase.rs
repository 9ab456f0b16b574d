//! What a circuit is at, and whom it admits there.

use std::time::Instant;

use crate::{
    circuit_breaker::{config::CircuitBreakerPolicy, decision::Refusal, ramp::Ramp},
    instant::after,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Closed {
        consecutive: u32,
        ramp: Option<Ramp>,
    },
    Open {
        until: Instant,
        reason: &'static str,
    },
    HalfOpen {
        round: u32,
        /// The places of this round that are taken.
        running: u32,
        succeeded: u32,
        failed: u32,
        /// When the next round may begin.
        renew: Instant,
    },
    ForcedOpen,
    ForcedClosed,
    Disabled,
}

impl Phase {
    pub(super) const CLOSED: Self = Self::Closed {
        consecutive: 0,
        ramp: None,
    };

    pub(super) fn half_open(now: Instant) -> Self {
        Self::HalfOpen {
            round: 0,
            running: 0,
            succeeded: 0,
            failed: 0,
            renew: now,
        }
    }

    /// Takes what a call takes, or says why there is nothing to take.
    pub(super) fn admit(
        &mut self,
        policy: &CircuitBreakerPolicy,
        now: Instant,
    ) -> Result<(), Refusal> {
        let refuse = |reason, until| Err(Refusal { reason, until });
        match self {
            Self::Closed { ramp, .. } => {
                *ramp = ramp.filter(|ramp| !ramp.is_over(now));
                let admitted = ramp.as_mut().map_or(Ok(()), |ramp| ramp.admit(now));
                admitted.or_else(|until| refuse("recovering", until))
            }
            Self::ForcedClosed | Self::Disabled => Ok(()),
            Self::Open { until, reason } => refuse(reason, *until),
            Self::HalfOpen {
                round,
                running,
                renew,
                ..
            } => {
                if *running >= policy.probes {
                    // Probes that hold every place and do not end must not lock the circuit.
                    if now < *renew {
                        return refuse("probes are under way", *renew);
                    }
                    (*round, *running) = (round.wrapping_add(1), 0);
                }
                *running += 1;
                *renew = after(now, policy.probe_time());
                Ok(())
            }
            Self::ForcedOpen => refuse(FORCED, after(now, policy.open_for)),
        }
    }
}

pub(super) const FORCED: &str = "forced open";
