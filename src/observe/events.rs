//! The decisions of the layers, as events.

use std::time::Duration;

use super::{limit_use::LimitUse, receipt::Receipt};
use crate::{
    error::{PassedBy, Patience, RefusalReason},
    outcome::{Dimension, Failure, FailureKind},
    request::Cost,
};

/// One decision of a layer.
///
/// `key` is what the limiter or breaker goes by: the id of an upstream, a host, or your own; empty where one state holds
/// for all requests. `upstream` is empty where no layer chose one.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The rate limit layer let a request through. Of several limiters, each tells it.
    Admitted {
        /// The limiter's key.
        key: &'a str,
        /// How long it waited.
        waited: Duration,
        /// How much of each limit is taken with it, for observers alone: `tracing` is not told.
        limits: &'a [LimitUse],
    },
    /// The rate limit layer makes a request wait. It ends in [`Admitted`](Self::Admitted), [`Refused`](Self::Refused) or
    /// [`Left`](Self::Left).
    Queued {
        /// The key of the limiter that holds it back the longest.
        key: &'a str,
        /// What holds it back, in words, such as `12000 tokens per 60s` or `3 at a time`; empty where that is not known.
        limit: &'a str,
        /// How long it is expected to wait.
        wait: Duration,
    },
    /// A request left the queue before its turn, because its caller went away.
    Left {
        /// The key of the limiter that held it back.
        key: &'a str,
        /// How long it had waited.
        waited: Duration,
    },
    /// The rate limit layer refused a request.
    Refused {
        /// The limiter's key.
        key: &'a str,
        /// Why.
        reason: RefusalReason,
        /// What held it back, in words, such as `12000 tokens per 60s`; empty where that is not known.
        limit: &'a str,
        /// How long until it would have been admitted.
        wait: Option<Duration>,
        /// For whom that is too long, where it is the reason.
        patience: Option<Patience>,
    },
    /// A request came after its [`Deadline`](crate::Deadline) and was not sent: its caller gets
    /// [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded).
    DeadlineExceeded {
        /// The layer that it came to: `rate_limit`, `retry` or `fallback`.
        layer: &'static str,
        /// Where it was to be sent.
        upstream: &'a str,
        /// How long its deadline had passed.
        late: Duration,
    },
    /// A limit in shadow mode would have held back a request that was let through.
    Shadowed {
        /// The limiter's key.
        key: &'a str,
        /// The limit, in words.
        limit: &'a str,
        /// For how long.
        wait: Duration,
    },
    /// The body of an answer ended and its real cost is known: of a request that was turned away nothing.
    Settled {
        /// The limiter's key.
        key: &'a str,
        /// What was reserved.
        reserved: Cost,
        /// What was used.
        used: Cost,
    },
    /// An answer told of a limit that was not known, or that less is left of one than was counted here.
    Learned {
        /// The limiter's key.
        key: &'a str,
        /// What is counted.
        dimension: Dimension,
        /// The period, where the answer tells.
        per: Option<Duration>,
        /// How much of it one period allows, where the answer tells.
        amount: Option<u64>,
        /// How much is left.
        remaining: u64,
        /// Whether the limit was not known, or not with this amount.
        is_new: bool,
    },
    /// The upstream asked to be left alone, or somebody did for it, and the rate limit layer holds everybody back.
    Paused {
        /// The limiter's key.
        key: &'a str,
        /// For how long.
        wait: Duration,
    },
    /// The retry layer will send a request again; or the fallback layer will, because nobody else is left: at once to an upstream
    /// that was silent, and to one that asked for a wait when that is over.
    Retrying {
        /// Where to.
        upstream: &'a str,
        /// The number of the attempt that failed, from 1: of those at this upstream, and of all of the request where the fallback
        /// layer says it.
        attempt: u32,
        /// How long it waits before the next.
        wait: Duration,
        /// Why it failed.
        failure: &'a Failure,
    },
    /// The retry layer passes a failure on that another attempt might have cured.
    GaveUp {
        /// Where the request was sent.
        upstream: &'a str,
        /// How many attempts were made.
        attempts: u32,
        /// The last failure.
        failure: &'a Failure,
        /// Why there is no further attempt.
        reason: &'static str,
    },
    /// The circuit breaker opened.
    Opened {
        /// The breaker's key.
        key: &'a str,
        /// For how long; `None` where it was forced open.
        wait: Option<Duration>,
        /// What opened it.
        reason: &'static str,
    },
    /// The circuit breaker lets probes through.
    HalfOpened {
        /// The breaker's key.
        key: &'a str,
        /// Why: its open time is over, or somebody forced it.
        reason: &'static str,
    },
    /// The circuit breaker closed.
    Closed {
        /// The breaker's key.
        key: &'a str,
        /// Why: probes have succeeded, or somebody reset or forced it.
        reason: &'static str,
    },
    /// Somebody has disabled the circuit breaker: calls pass and nothing is counted.
    Disabled {
        /// The breaker's key.
        key: &'a str,
    },
    /// The fallback layer sends nothing to an upstream, or a whole provider, for a while.
    CoolingDown {
        /// The upstream's id, or the provider's name where the failure speaks for the account.
        upstream: &'a str,
        /// For how long.
        wait: Duration,
        /// Why.
        kind: FailureKind,
    },
    /// The fallback layer turns to the next upstream.
    Switched {
        /// The one that failed, or in whose line the request has waited for too long.
        from: &'a str,
        /// The one that is asked next.
        to: &'a str,
        /// Why it failed.
        failure: &'a Failure,
    },
    /// The fallback layer has nobody left to turn to.
    Exhausted {
        /// How many attempts of this request failed.
        attempts: u32,
        /// How long until the next request would be let through to an upstream; `None` where that is at once, or nobody knows.
        retry_after: Option<Duration>,
        /// Whether limits alone are the reason, those of the upstreams or our own.
        is_rate_limited: bool,
        /// Who was not asked, and why.
        passed_by: &'a [PassedBy],
    },
    /// A request that was sent has ended, with its answer or without: one for each that went through the provider layer.
    Ended(&'a Receipt<'a>),
}

impl Event<'_> {
    /// The name in snake case, as logs carry it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "admitted",
            Self::Queued { .. } => "queued",
            Self::Left { .. } => "left",
            Self::Refused { .. } => "refused",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::Shadowed { .. } => "shadowed",
            Self::Settled { .. } => "settled",
            Self::Learned { .. } => "learned",
            Self::Paused { .. } => "paused",
            Self::Retrying { .. } => "retrying",
            Self::GaveUp { .. } => "gave_up",
            Self::Opened { .. } => "opened",
            Self::HalfOpened { .. } => "half_opened",
            Self::Closed { .. } => "closed",
            Self::Disabled { .. } => "disabled",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Switched { .. } => "switched",
            Self::Exhausted { .. } => "exhausted",
            Self::Ended(_) => "ended",
        }
    }
}
