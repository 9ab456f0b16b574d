//! A policy in words.

use super::config::{CircuitBreakerPolicy, Over};
use crate::{period::in_words, share};

impl CircuitBreakerPolicy {
    /// When a circuit opens, for how long and what closes it, a sentence a line.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let mut rules = Vec::new();
        if let Some(failures) = self.consecutive_failures {
            rules.push(format!("{failures} failures in a row"));
        }
        let over = match self.window {
            Over::Calls(calls) => format!("the last {calls} calls"),
            Over::Time(time) => format!("the last {}", in_words(time)),
        };
        let least = self.minimum_calls;
        let share = |rate: f64, of: String| {
            let rate = share::in_words(rate);
            format!("{rate} {of} over {over}, of at least {least} calls")
        };
        if let Some(rate) = self.failure_rate {
            rules.push(share(rate, "failures".to_owned()));
        }
        if let Some(slow) = self.slow_calls {
            let of = format!("calls slower than {}", in_words(slow.longer_than));
            rules.push(share(slow.rate, of));
        }
        if rules.is_empty() {
            return vec!["off: no failure opens a circuit".into()];
        }
        let (time, max) = (in_words(self.open_for), in_words(self.open_max));
        let mut lines = vec![
            format!("opens after {}", rules.join(", or ")),
            format!(
                "for {time}, {} times as long after each failed probe, up to {max}",
                self.open_growth
            ),
            format!(
                "closes after {} good probes, {} at a time",
                self.successes, self.probes
            ),
        ];
        if !self.ramp.is_zero() {
            let ramp = in_words(self.ramp);
            lines.push(format!("then lets traffic back over {ramp}"));
        }
        lines
    }
}
