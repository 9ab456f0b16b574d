//! A chain in words.

use super::config::{Chain, WhenExhausted};
use crate::period::in_words;

impl Chain {
    /// Its order, its cooldown and its end, a sentence a line.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let mut lines = vec![self.order.in_words().to_owned()];
        lines.push(match self.cooldown.is_zero() {
            true => "cools down for as long as an upstream asks".into(),
            false => format!(
                "cools down for as long as an upstream asks, else {}",
                in_words(self.cooldown)
            ),
        });
        if !self.consulted.is_empty() {
            lines.push(format!(
                "who would wait in line for more than {} is served by the next, where that is sooner",
                in_words(self.max_wait)
            ));
        }
        if let Some(attempts) = self.max_attempts {
            lines.push(format!(
                "at most {attempts} attempts for a request, retries included"
            ));
        }
        for kind in &self.opted_in {
            lines.push(format!("turns to the next when {kind}, too"));
        }
        if !self.repeats_all {
            lines.push("a POST goes to the next only where it cannot have been processed".into());
        }
        lines.push(match self.when_exhausted {
            WhenExhausted::Probe => {
                "when all are cooling down, asks one that nobody asked to leave alone, else fails at once"
                    .into()
            }
            WhenExhausted::Fail => "fails at once when all are cooling down".into(),
            WhenExhausted::Wait { max } => {
                format!("waits up to {} when all are cooling down", in_words(max))
            }
            WhenExhausted::TryAnyway => "asks the soonest anyway when all are cooling down".into(),
        });
        lines
    }
}
