//! Counting: what each event adds to the figures of its upstream or key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::figures::{KeyStats, LastFailure, Latency, PeakUse, UpstreamStats};
use crate::{
    error::{Patience, RefusalReason},
    money::Money,
    observe::{
        events::Event,
        histogram::Histogram,
        limit_use::LimitUse,
        names::OTHERS,
        receipt::{End, Receipt},
    },
    outcome::Usage,
};

/// What is counted of an upstream: its figures, and the times behind some of them.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    figures: UpstreamStats,
    head: Histogram,
    content: Histogram,
    took: Histogram,
    last_failure: Option<(End, Instant)>,
}

impl Upstream {
    pub(super) fn figures(&self, now: Instant) -> UpstreamStats {
        let last_failure = self.last_failure.map(|(end, at)| LastFailure {
            end,
            ago: now.saturating_duration_since(at),
        });
        UpstreamStats {
            last_failure,
            head: Latency::of(&self.head),
            content: Latency::of(&self.content),
            took: Latency::of(&self.took),
            ..self.figures.clone()
        }
    }

    pub(super) fn count(&mut self, event: &Event<'_>) {
        let figures = &mut self.figures;
        match *event {
            Event::Retrying { wait, .. } => {
                figures.retries += 1;
                figures.retry_waited = figures.retry_waited.saturating_add(wait);
                figures.retry_longest = figures.retry_longest.max(wait);
            }
            Event::GaveUp { .. } => figures.gave_up += 1,
            Event::CoolingDown { .. } => figures.cooldowns += 1,
            Event::Switched { .. } => figures.switched_away += 1,
            Event::Ended(receipt) => self.ended(receipt),
            _ => {}
        }
    }

    /// The failure that was just counted was at this moment.
    pub(super) fn failed_at(&mut self, end: End, at: Instant) {
        self.last_failure = Some((end, at));
    }

    pub(super) fn switched_to(&mut self) {
        self.figures.switched_to += 1;
    }

    fn ended(&mut self, receipt: &Receipt<'_>) {
        let figures = &mut self.figures;
        figures.requests += 1;
        match receipt.end {
            End::Answered => {
                figures.answered += 1;
                self.took.record(receipt.took);
            }
            End::Broken => figures.broken += 1,
            End::Cancelled => figures.cancelled += 1,
            End::Failed(kind) => {
                *figures.failed.entry(kind).or_default() += 1;
                return;
            }
        }
        if let Some(after) = receipt.head_after {
            self.head.record(after);
        }
        if let Some(after) = receipt.content_after {
            self.content.record(after);
        }
        figures.truncated += u64::from(receipt.is_truncated);
        let usage = &receipt.usage;
        if *usage == Usage::default() {
            figures.usage_unknown += u64::from(receipt.end != End::Cancelled);
        }
        add(&mut figures.input_tokens, usage.input_tokens);
        add(&mut figures.cached_tokens, usage.cached_tokens);
        add(&mut figures.output_tokens, usage.output_tokens);
        let mut nanos = figures.money.nanos();
        add(&mut nanos, receipt.money.map(Money::nanos));
        figures.money = Money::from_nanos(nanos);
    }
}

/// What is counted of a key of a limiter or breaker.
#[derive(Debug, Default)]
pub(super) struct Key {
    figures: KeyStats,
}

impl Key {
    pub(super) fn figures(&self) -> KeyStats {
        self.figures.clone()
    }

    pub(super) fn count(&mut self, event: &Event<'_>) {
        let figures = &mut self.figures;
        match *event {
            Event::Admitted { waited, limits, .. } => {
                figures.admitted += 1;
                figures.waited = figures.waited.saturating_add(waited);
                figures.waited_longest = figures.waited_longest.max(waited);
                figures.long_waits += u64::from(waited > LONG);
                limits.iter().for_each(|limit| self.peak(limit));
            }
            Event::Queued { limit, .. } => {
                figures.queued += 1;
                self.held_back(limit);
            }
            Event::Left { .. } => figures.left += 1,
            Event::Refused {
                reason, patience, ..
            } => match reason {
                RefusalReason::WaitTooLong => match patience {
                    // It was not lost, but went to another upstream.
                    Some(Patience::Chain(_)) => figures.left += 1,
                    _ => {
                        let is_own = matches!(patience, Some(Patience::Deadline(_)));
                        figures.refused_by_deadline += u64::from(is_own);
                        figures.refused_wait_too_long += 1;
                    }
                },
                RefusalReason::QueueFull => figures.refused_queue_full += 1,
                RefusalReason::TooLarge => figures.refused_too_large += 1,
            },
            Event::Shadowed { .. } => figures.shadowed += 1,
            Event::Learned { .. } => figures.learned += 1,
            Event::Paused { .. } => figures.paused += 1,
            Event::Opened { .. } => figures.circuit_opened += 1,
            _ => {}
        }
    }

    /// Keeps the most that was ever taken of a limit, which stays the same when its amount changes.
    fn peak(&mut self, limit: &LimitUse) {
        let peaks = &mut self.figures.peaks;
        let same = |peak: &&mut PeakUse| {
            (peak.limit.dimension, peak.limit.per) == (limit.dimension, limit.per)
        };
        let share = limit.share();
        let (limit, has_room) = (*limit, peaks.len() < MOST_LIMITS);
        match peaks.iter_mut().find(same) {
            Some(peak) if share > peak.share => *peak = PeakUse { limit, share },
            Some(_) => {}
            None if has_room => peaks.push(PeakUse { limit, share }),
            None => {}
        }
    }

    fn held_back(&mut self, limit: &str) {
        let counts = &mut self.figures.held_back_by;
        let limit = match counts.contains_key(limit) || counts.len() < MOST_LIMITS {
            true => limit,
            false => OTHERS,
        };
        match counts.get_mut(limit) {
            Some(count) => *count += 1,
            None => _ = counts.insert(Arc::from(limit), 1),
        }
    }
}

fn add(sum: &mut u64, more: Option<u64>) {
    *sum = sum.saturating_add(more.unwrap_or(0));
}

/// What a person notices.
pub(super) const LONG: Duration = Duration::from_secs(2);

/// Limits of a key that are told apart; amounts that upstreams tell may change for ever.
const MOST_LIMITS: usize = 32;
