//! The figures that [`Stats`](super::Stats) tells.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    money::Money,
    observe::{histogram::Histogram, limit_use::LimitUse, receipt::End},
    outcome::FailureKind,
    plain_words::in_words,
};

/// All figures at one moment, since the beginning or the last [`reset`](super::Stats::reset).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// By the id of the upstream; by the provider's name what is told of a whole account; empty for requests without one.
    pub upstreams: BTreeMap<Arc<str>, UpstreamStats>,
    /// By the key of limiters and breakers: by default the id of the upstream as well.
    pub keys: BTreeMap<Arc<str>, KeyStats>,
    /// Requests for which nobody was left to turn to.
    pub exhausted: u64,
    /// Requests that came after their [`Deadline`](crate::Deadline), by the layer that they came to: `rate_limit`, `retry` or
    /// `fallback`.
    pub deadlines_exceeded: BTreeMap<&'static str, u64>,
}

/// What one upstream was asked and answered.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct UpstreamStats {
    /// Requests that were sent: those [`answered`](Self::answered), [`broken`](Self::broken), [`cancelled`](Self::cancelled)
    /// and [`failed`](Self::failed). One that is under way is not among them yet.
    pub requests: u64,
    /// Those that were answered to the end.
    pub answered: u64,
    /// Those whose answer broke off after a part of it had been passed on.
    pub broken: u64,
    /// Those whose caller went away.
    pub cancelled: u64,
    /// Those that failed, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// The last that failed or broke off.
    pub last_failure: Option<LastFailure>,
    /// Answers that stopped because they had reached their maximum of tokens.
    pub truncated: u64,
    /// Tokens of prompts, as far as answers told.
    pub input_tokens: u64,
    /// Tokens of prompts that came out of the provider's cache.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they came to, as far as there is a price.
    pub money: Money,
    /// Answers, whole or broken off, that told no usage: their tokens and money are not in the sums.
    pub usage_unknown: u64,
    /// How often a request was sent again.
    pub retries: u64,
    /// How long requests waited for that, together.
    pub retry_waited: Duration,
    /// The longest of these waits.
    pub retry_longest: Duration,
    /// Failures that another attempt might have cured, and that were passed on.
    pub gave_up: u64,
    /// How often it was left alone for a while.
    pub cooldowns: u64,
    /// Requests that went on to another upstream because this one failed.
    pub switched_away: u64,
    /// Requests that came from another upstream that had failed.
    pub switched_to: u64,
    /// Time to the head of the answer, of requests that did not fail.
    pub head: Latency,
    /// Time to the first of the answer itself, of the same.
    pub content: Latency,
    /// Time to the end of the answer, of those that were answered to the end.
    pub took: Latency,
}

impl UpstreamStats {
    /// All that failed, whatever the kind.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// The last request to an upstream that failed, or whose answer broke off. Written out, `12 seconds ago (rate limited)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastFailure {
    /// How it ended.
    pub end: End,
    /// How long ago.
    pub ago: Duration,
}

impl fmt::Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ago ", in_words(self.ago))?;
        match self.end.failure() {
            Some(kind) => write!(f, "({kind})"),
            None => f.write_str("(the answer broke off)"),
        }
    }
}

/// What limiters and breakers decided of one key.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KeyStats {
    /// Requests that were let through; by each of several limiters.
    pub admitted: u64,
    /// Requests that had to wait: they were admitted or refused in the end, or left.
    pub queued: u64,
    /// Those that left the queue because their caller went away, or for another upstream that would take them at once.
    pub left: u64,
    /// Requests that would have waited for too long.
    pub refused_wait_too_long: u64,
    /// Of these, those whose own [`Deadline`](crate::Deadline) the wait would have passed, or passed.
    pub refused_by_deadline: u64,
    /// Requests that came while the queue was full.
    pub refused_queue_full: u64,
    /// Requests that were larger than a limit ever allows.
    pub refused_too_large: u64,
    /// How long those that were admitted had waited, together.
    pub waited: Duration,
    /// The longest of these waits.
    pub waited_longest: Duration,
    /// Those that had waited for more than 2 s.
    pub long_waits: u64,
    /// How often each limit, in words, made a request wait; empty for pauses, requests under way, and those before in the queue.
    pub held_back_by: BTreeMap<Arc<str>, u64>,
    /// The most that was taken of each limit.
    pub peaks: Vec<PeakUse>,
    /// How often a limit in shadow mode would have made a request wait.
    pub shadowed: u64,
    /// How often everybody was held back.
    pub paused: u64,
    /// How often answers told of a limit that was not known, or that less was left of one.
    pub learned: u64,
    /// How often the circuit opened.
    pub circuit_opened: u64,
}

impl KeyStats {
    /// All that were refused, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.refused_wait_too_long + self.refused_queue_full + self.refused_too_large
    }
}

/// The most that was taken of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeakUse {
    /// The limit, as it stood then.
    pub limit: LimitUse,
    /// The share of it: 1.0 where the last of it was taken.
    pub share: f64,
}

/// How times are spread. Each quantile is at most one part in 32 too long, and never too short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// How many there are.
    pub count: u64,
    /// Their mean.
    pub mean: Duration,
    /// What half of them do not exceed.
    pub p50: Duration,
    /// What nine in ten do not exceed.
    pub p90: Duration,
    /// What 99 in a hundred do not exceed.
    pub p99: Duration,
    /// The longest, exactly.
    pub longest: Duration,
}

impl Latency {
    pub(super) fn of(times: &Histogram) -> Self {
        let nanos = times.total().as_nanos() / u128::from(times.count().max(1));
        Self {
            count: times.count(),
            mean: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
            p50: times.quantile(0.5),
            p90: times.quantile(0.9),
            p99: times.quantile(0.99),
            longest: times.longest(),
        }
    }
}
