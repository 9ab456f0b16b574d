//! A policy in words.

use super::config::{CircuitBreakerPolicy, Over};
use crate::period::in_words;

impl CircuitBreakerPolicy {
    /// When a circuit opens, for how long and what closes it, a sentence a line.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let mut rules = Vec::new();
        if let Some(failures) = self.consecutive_failures {
            rules.push(format!("{failures} failures in a row"));
        }
        if let Some(rule) = self.failure_rate {
            let over = match rule.over {
                Over::Calls(calls) => format!("the last {calls} calls"),
                Over::Time(time) => format!("the last {}", in_words(time)),
            };
            let (percent, least) = (rule.rate * 100.0, rule.minimum_calls);
            rules.push(format!(
                "{percent} % failures over {over}, of at least {least} calls"
            ));
        }
        if rules.is_empty() {
            return vec!["off: no failure opens a circuit".into()];
        }
        let (time, max) = (in_words(self.open_for), in_words(self.open_max));
        vec![
            format!("opens after {}", rules.join(", or ")),
            format!(
                "for {time}, {} times as long after each failed probe, up to {max}",
                self.open_growth
            ),
            format!(
                "closes after {} good probes, {} at a time",
                self.successes, self.probes
            ),
        ]
    }
}
