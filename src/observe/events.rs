//! The decisions of the layers, as events.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::{
    error::RefusalReason,
    outcome::{Failure, FailureKind},
    request::Cost,
};

/// One decision of a layer.
///
/// `key` is what the limiter or breaker goes by: the id of an upstream, a host, or your own; empty where one state holds
/// for all requests. `upstream` is empty where no layer chose one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The rate limit layer let a request through.
    Admitted {
        /// The limiter's key.
        key: &'a str,
        /// How long it waited.
        waited: Duration,
    },
    /// The rate limit layer makes a request wait.
    Queued {
        /// The limiter's key.
        key: &'a str,
        /// How long it is expected to wait.
        wait: Duration,
    },
    /// The rate limit layer refused a request.
    Refused {
        /// The limiter's key.
        key: &'a str,
        /// Why.
        reason: RefusalReason,
        /// How long until it would have been admitted.
        wait: Option<Duration>,
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
    /// The body of an answer ended and its real cost is known.
    Settled {
        /// The limiter's key.
        key: &'a str,
        /// What was reserved.
        reserved: Cost,
        /// What was used.
        used: Cost,
    },
    /// The upstream asked to be left alone, and the rate limit layer holds everybody back.
    Paused {
        /// The limiter's key.
        key: &'a str,
        /// For how long.
        wait: Duration,
    },
    /// The retry layer will send a request again.
    Retrying {
        /// Where to.
        upstream: &'a str,
        /// The number of the attempt that failed, from 1.
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
        /// The one that failed.
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
        /// How long until the soonest upstream may be asked again.
        retry_after: Option<Duration>,
    },
}

impl Event<'_> {
    /// Gives the event to `tracing`, without the words of upstreams and clients, which may carry what is secret: what loses time or a request at `warn` and `info`, the rest at `debug`.
    pub(super) fn trace(&self) {
        match *self {
            Self::Admitted { key, waited } => debug!(key, ?waited, "admitted"),
            Self::Queued { key, wait } => debug!(key, ?wait, "queued"),
            Self::Refused { key, reason, wait } => info!(key, ?reason, ?wait, "refused"),
            Self::Shadowed { key, limit, wait } => info!(key, limit, ?wait, "shadowed"),
            Self::Settled {
                key,
                reserved,
                used,
            } => debug!(key, ?reserved, ?used, "settled"),
            Self::Paused { key, wait } => info!(key, ?wait, "paused"),
            Self::Retrying {
                upstream,
                attempt,
                wait,
                failure,
            } => {
                info!(upstream, attempt, ?wait, failure = %failure.kind, "retrying");
            }
            Self::GaveUp {
                upstream,
                attempts,
                failure,
                reason,
            } => {
                info!(upstream, attempts, failure = %failure.kind, reason, "gave up");
            }
            Self::Opened { key, wait, reason } => warn!(key, ?wait, reason, "circuit opened"),
            Self::HalfOpened { key, reason } => info!(key, reason, "circuit half-opened"),
            Self::Closed { key, reason } => info!(key, reason, "circuit closed"),
            Self::Disabled { key } => info!(key, "circuit disabled"),
            Self::CoolingDown {
                upstream,
                wait,
                kind,
            } => info!(upstream, ?wait, %kind, "cooling down"),
            Self::Switched { from, to, failure } => {
                info!(from, to, failure = %failure.kind, "switched");
            }
            Self::Exhausted {
                attempts,
                retry_after,
            } => warn!(attempts, ?retry_after, "exhausted"),
        }
    }
}
