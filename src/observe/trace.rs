//! Events for `tracing`: see the table in the [module docs](super).

use std::time::Duration;

use tracing::{Level, debug, info, warn};

use super::{
    events::Event,
    fields::{in_words, reason_of},
    receipt::{End, Receipt},
};
use crate::error::Patience;

/// The target of every event and span.
pub(crate) const TARGET: &str = "tower_upstream";

/// The level of an event is fixed where it is written down.
macro_rules! ended {
    ($level:ident, $receipt:expr) => {{
        let Receipt {
            upstream,
            provider,
            model,
            operation,
            is_stream,
            end,
            status,
            head_after,
            content_after,
            took,
            usage,
            money,
            is_truncated,
        } = *$receipt;
        $level!(
            target: TARGET,
            upstream,
            provider,
            model,
            operation,
            is_stream,
            end = end.as_str(),
            failure = end.failure().map(|kind| kind.as_str()),
            status,
            head_s = head_after.map(seconds),
            content_s = content_after.map(seconds),
            took_s = seconds(took),
            input_tokens = usage.input_tokens,
            cached_tokens = usage.cached_tokens,
            output_tokens = usage.output_tokens,
            total_tokens = usage.total_tokens,
            money = money.map(tracing::field::display),
            is_truncated,
            "ended"
        )
    }};
}

impl Event<'_> {
    /// The level: what loses an upstream or a request is a warning, what loses time is information, the rest is for debugging.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Opened { .. } | Self::Exhausted { .. } => Level::WARN,
            Self::Ended(receipt) => match receipt.end {
                End::Broken => Level::WARN,
                End::Failed(_) | End::Cancelled => Level::INFO,
                End::Answered => Level::DEBUG,
            },
            Self::Admitted { .. }
            | Self::Queued { .. }
            | Self::Left { .. }
            | Self::Settled { .. }
            | Self::Learned { .. } => Level::DEBUG,
            _ => Level::INFO,
        }
    }

    /// Gives the event to `tracing`, without the words of upstreams and clients, which may carry what is secret.
    pub(super) fn trace(&self) {
        match *self {
            Self::Admitted { key, waited, .. } => {
                debug!(target: TARGET, key, waited_s = seconds(waited), "admitted");
            }
            Self::Queued { key, limit, wait } => {
                debug!(target: TARGET, key, limit, wait_s = seconds(wait), "queued");
            }
            Self::Left { key, waited } => {
                debug!(target: TARGET, key, waited_s = seconds(waited), "left");
            }
            Self::Refused {
                key,
                reason,
                limit,
                wait,
                patience,
            } => {
                let (reason, wait_s) = (reason_of(reason), wait.map(seconds));
                let patience_s = patience.map(|patience| seconds(patience.time()));
                let patience = patience.map(Patience::as_str);
                info!(target: TARGET, key, reason, limit, wait_s, patience, patience_s, "refused");
            }
            Self::DeadlineExceeded {
                layer,
                upstream,
                late,
            } => {
                info!(target: TARGET, layer, upstream, late_s = seconds(late), "deadline_exceeded");
            }
            Self::Shadowed { key, limit, wait } => {
                info!(target: TARGET, key, limit, wait_s = seconds(wait), "shadowed");
            }
            Self::Settled {
                key,
                reserved,
                used,
            } => debug!(
                target: TARGET,
                key,
                reserved_input_tokens = reserved.input_tokens,
                reserved_output_tokens = reserved.output_tokens,
                reserved_money = %reserved.money,
                input_tokens = used.input_tokens,
                output_tokens = used.output_tokens,
                money = %used.money,
                "settled"
            ),
            Self::Learned {
                key,
                dimension,
                per,
                amount,
                remaining,
                is_new,
            } => {
                let (dimension, per_s) = (dimension.as_str(), per.map(seconds));
                debug!(target: TARGET, key, dimension, per_s, amount, remaining, is_new, "learned");
            }
            Self::Paused { key, wait } => {
                info!(target: TARGET, key, wait_s = seconds(wait), "paused");
            }
            Self::Retrying {
                upstream,
                attempt,
                wait,
                failure,
            } => {
                let (wait_s, retry_after_s) = (seconds(wait), failure.retry_after.map(seconds));
                let failure = failure.kind.as_str();
                info!(target: TARGET, upstream, attempt, wait_s, failure, retry_after_s, "retrying");
            }
            Self::GaveUp {
                upstream,
                attempts,
                failure,
                reason,
            } => {
                let retry_after_s = failure.retry_after.map(seconds);
                let failure = failure.kind.as_str();
                info!(target: TARGET, upstream, attempts, reason, failure, retry_after_s, "gave_up");
            }
            Self::Opened { key, wait, reason } => {
                warn!(target: TARGET, key, reason, wait_s = wait.map(seconds), "opened");
            }
            Self::HalfOpened { key, reason } => info!(target: TARGET, key, reason, "half_opened"),
            Self::Closed { key, reason } => info!(target: TARGET, key, reason, "closed"),
            Self::Disabled { key } => info!(target: TARGET, key, "disabled"),
            Self::CoolingDown {
                upstream,
                wait,
                kind,
            } => {
                let (wait_s, failure) = (seconds(wait), kind.as_str());
                info!(target: TARGET, upstream, wait_s, failure, "cooling_down");
            }
            Self::Switched { from, to, failure } => {
                let retry_after_s = failure.retry_after.map(seconds);
                let failure = failure.kind.as_str();
                info!(target: TARGET, from, to, failure, retry_after_s, "switched");
            }
            Self::Exhausted {
                attempts,
                is_rate_limited,
                retry_after,
                passed_by,
            } => {
                let (retry_after_s, passed_by) = (retry_after.map(seconds), in_words(passed_by));
                warn!(target: TARGET, attempts, is_rate_limited, retry_after_s, passed_by, "exhausted");
            }
            Self::Ended(receipt) => match self.level() {
                Level::WARN => ended!(warn, receipt),
                Level::INFO => ended!(info, receipt),
                _ => ended!(debug, receipt),
            },
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
#[path = "trace/tests.rs"]
mod tests;
