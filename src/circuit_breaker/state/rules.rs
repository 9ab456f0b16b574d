//! The rules by which a circuit opens and closes.

use crate::circuit_breaker::{config::CircuitBreakerPolicy, tally::Tally};

impl CircuitBreakerPolicy {
    /// The first rule that what was counted has broken.
    pub(super) fn reason_to_open(
        &self,
        consecutive: u32,
        tally: Option<Tally>,
    ) -> Option<&'static str> {
        let most = self.consecutive_failures;
        if most.is_some_and(|most| consecutive >= most) {
            return Some("consecutive failures");
        }
        let tally = tally.filter(|tally| tally.calls >= self.minimum_calls)?;
        let reaches = |count, rate: Option<f64>| {
            rate.is_some_and(|rate| is_share_of(count, rate, tally.calls))
        };
        if reaches(tally.failures, self.failure_rate) {
            return Some("failure rate");
        }
        reaches(tally.slow, self.slow_calls.map(|slow| slow.rate)).then_some("slow calls")
    }

    /// Whether no success can break a rule, as long as no call of this tally grows old: none has done ill, or there are calls
    /// enough, so that another success only thins out those that have.
    pub(super) fn no_success_opens(&self, tally: Tally) -> bool {
        tally.calls >= self.minimum_calls || (tally.failures == 0 && tally.slow == 0)
    }

    /// Whether probes have failed or succeeded; `None` where they go on.
    pub(super) fn probes_have_failed(&self, succeeded: u32, failed: u32) -> Option<bool> {
        let all = succeeded.saturating_add(failed);
        match self.probe_failure_rate {
            None if failed > 0 => Some(true),
            Some(rate) if all >= self.successes => Some(is_share_of(failed, rate, all)),
            _ => (all >= self.successes).then_some(false),
        }
    }
}

/// Whether so many of `all` are at least this share: 50 % is reached by 5 of 10, as in resilience4j and Polly. The quotient of
/// 55 and 100 is 0.55 to the last bit; the product of 0.55 and 100 is above 55.
fn is_share_of(count: u32, rate: f64, all: u32) -> bool {
    f64::from(count) / f64::from(all) >= rate
}

#[cfg(test)]
mod tests {
    use super::*;

    // CB-01, resilience4j and Polly: at the threshold, not above it.
    #[test]
    fn a_share_is_reached_exactly_whatever_its_decimals_are() {
        for all in 1..=1_000_u32 {
            for count in 1..=all {
                let rate: f64 = format!("{}", f64::from(count) / f64::from(all))
                    .parse()
                    .unwrap();
                assert!(is_share_of(count, rate, all), "{count} of {all}");
                assert!(!is_share_of(count - 1, rate, all), "{count} of {all}");
            }
        }
        assert!(is_share_of(55, 0.55, 100));
    }
}
