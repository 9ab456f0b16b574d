//! What a circuit decides, and what changes for it.

use std::{
    fmt,
    time::{Duration, Instant},
};

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
    /// Calls pass and are counted, and nothing opens the circuit until it is reset.
    ForcedClosed,
    /// Calls pass and nothing is counted until the circuit is reset.
    Disabled,
}

impl CircuitState {
    /// The name in snake case, as logs and pages carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
        }
    }
}

/// The name in words, such as `half open`.
impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().replace('_', " "))
    }
}

/// What a call tells of the health of its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The upstream is well.
    Success,
    /// It is not.
    Failure,
    /// It works but is full. Counts as a failure in the rate and fails a probe, but neither adds to the failures in a row
    /// nor ends them.
    Degraded,
    /// Nothing: the call counts nowhere, and a probe gives its place back.
    Ignore,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) verdict: Verdict,
    /// Whether it was slower than the policy allows.
    pub(super) is_slow: bool,
    /// Whether it was a probe that has counted as a success already.
    pub(super) has_flowed: bool,
    /// How long the upstream asked to be left alone.
    pub(super) hint: Option<Duration>,
}

/// The right to make one call, and to tell its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// The state that admitted the call, by its number. Results of another change nothing; the number comes again after four
    /// billion changes of state, when no call is left that is so old.
    pub(super) epoch: u32,
    /// The round whose place a probe holds; zero for others.
    pub(super) round: u32,
}

/// A refusal: what the reason is, and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) until: Instant,
}

/// Why a circuit refuses for a time that is known beforehand. By its place here a lane knows the reason.
pub(super) const REASONS: [&str; 5] = [
    "consecutive failures",
    "failure rate",
    "slow calls",
    "a probe failed",
    "forced open",
];

/// A change of state, to be told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    Opened {
        wait: Option<Duration>,
        reason: &'static str,
    },
    HalfOpened {
        reason: &'static str,
    },
    Closed {
        reason: &'static str,
    },
    Disabled,
}
