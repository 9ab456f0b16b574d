//! What a circuit decides, and what changes for it.

use std::time::{Duration, Instant};

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls pass and are counted.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls pass, to see whether the upstream is back.
    HalfOpen,
    /// Calls are refused until the circuit is reset.
    ForcedOpen,
    /// Calls pass and nothing is counted.
    Disabled,
}

/// What a call tells about the health of its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Failure,
    Ignore,
}

/// The right to make one call, and to tell its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) epoch: u64,
    /// The round whose slot a probe holds; zero for others.
    pub(super) round: u64,
}

/// A refusal: what opened the circuit, and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) until: Instant,
}

/// A change of state, to be told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    Opened {
        wait: Option<Duration>,
        reason: &'static str,
    },
    HalfOpened,
    Closed,
}
