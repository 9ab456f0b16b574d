//! A policy in words.

use super::{
    backoff::{Jitter, Schedule},
    config::RetryPolicy,
};
use crate::{period::in_words, share};

impl RetryPolicy {
    /// What is repeated, how often and after which waits, a sentence a line.
    pub(crate) fn in_words(&self) -> Vec<String> {
        if self.most_attempts() == 1 {
            return vec!["off: each request is sent once to an upstream".into()];
        }
        let mut lines = vec![self.schedule.in_words()];
        for (kind, schedule) in &self.schedules {
            lines.push(format!("{kind}: {}", schedule.in_words()));
        }
        lines.push(format!(
            "an upstream's own wait is heeded up to {}, or {} while others could be asked",
            in_words(self.max_hint_wait),
            in_words(self.max_hint_wait_with_alternatives)
        ));
        if let Some(time) = self.total_deadline {
            lines.push(format!(
                "no wait ends later than {} after the call",
                in_words(time)
            ));
        }
        if let Some(time) = self.attempt_timeout {
            lines.push(format!("an attempt is cut off after {}", in_words(time)));
        }
        lines.push(match self.retry_non_idempotent {
            true => "a POST is repeated like any other request".into(),
            false => "a POST is repeated only where it cannot have been processed".into(),
        });
        lines.push(match self.shared_budget() {
            Some(budget) => format!("all requests share {}", budget.in_words()),
            None => "retries have no budget".into(),
        });
        lines
    }
}

impl Schedule {
    fn in_words(&self) -> String {
        let jitter = match self.jitter {
            Jitter::None => "without jitter".into(),
            Jitter::Full => "with full jitter".into(),
            Jitter::Equal => "with equal jitter".into(),
            Jitter::Decorrelated => "with decorrelated jitter".into(),
            Jitter::Fraction(share) => {
                format!("up to {} longer or shorter", share::in_words(share))
            }
        };
        let (base, max) = (in_words(self.base), in_words(self.max));
        format!(
            "{} attempts, after waits of {base}, each {} times the last, up to {max}, {jitter}",
            self.max_attempts, self.multiplier
        )
    }
}
