//! `circuit_breaker`: when a circuit opens, for how long, and what closes it.

use std::time::Duration;

use crate::{
    circuit_breaker::{CircuitBreaker, CircuitBreakerPolicy, MAX_CALLS, Over},
    stack::file::{
        field::{ABOVE_ZERO, Draft, Field, Form, Table},
        reading::{Reading, Spot},
    },
};

/// As [`CircuitBreakerPolicy::default`], until the file says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct CircuitBreakerDraft {
    pub(crate) is_off: bool,
    consecutive_failures: Option<u32>,
    failure_rate: Option<f64>,
    window: Over,
    minimum_calls: Option<u32>,
    open_for: Option<Duration>,
    open_growth: Option<f64>,
    open_max: Option<Duration>,
    jitter: Option<f64>,
    probes: Option<u32>,
    successes: Option<u32>,
    probe_timeout: Option<Duration>,
    probe_flow: Option<Duration>,
    spot: Spot,
}

/// The rules of [`CircuitBreakerPolicy::default`]; a test holds the two together.
impl Default for CircuitBreakerDraft {
    fn default() -> Self {
        Self {
            is_off: false,
            consecutive_failures: Some(5),
            failure_rate: Some(0.5),
            window: Over::Time(Duration::from_secs(60)),
            minimum_calls: None,
            open_for: None,
            open_growth: None,
            open_max: None,
            jitter: None,
            probes: None,
            successes: None,
            probe_timeout: None,
            probe_flow: None,
            spot: Spot::default(),
        }
    }
}

pub(crate) const CIRCUIT_BREAKER: Table<CircuitBreakerDraft> = Table(
    "circuit_breaker",
    &[&[
        Field::new(
            "consecutive_failures",
            "Opens after this many failures in a row. Default: 5.",
            &[
                Form::Count(1, u32::MAX as u64, |breaker, count| {
                    breaker.consecutive_failures = u32::try_from(count).ok();
                }),
                Form::Word("off", |breaker| breaker.consecutive_failures = None),
            ],
        ),
        Field::new(
            "failure_rate",
            "Opens when the share of failures in the window reaches this. Default: 0.5.",
            &[
                Form::Number(ABOVE_ZERO, 1.0, |breaker, rate| {
                    breaker.failure_rate = Some(rate);
                }),
                Form::Word("off", |breaker| breaker.failure_rate = None),
            ],
        ),
        Field::new(
            "window",
            "What the failure rate looks back over: a time, or the last so many calls. Default: \"60s\".",
            &[
                Form::Time(SHORTEST, |breaker, time| breaker.window = Over::Time(time)),
                Form::Count(1, MAX_CALLS as u64, |breaker, count| {
                    breaker.window = Over::Calls(u32::try_from(count).unwrap_or(MAX_CALLS));
                }),
            ],
        ),
        Field::new(
            "minimum_calls",
            "Looks at the failure rate only once the window holds so many calls. Default: 10.",
            &[Form::Count(1, u32::MAX as u64, |breaker, count| {
                breaker.minimum_calls = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "open_for",
            "How long a circuit stays open before probes may pass. Default: \"60s\".",
            &[Form::Time(SHORTEST, |breaker, time| {
                breaker.open_for = Some(time);
            })],
        ),
        Field::new(
            "open_growth",
            "By what the open time is multiplied for each time that a probe failed. Default: 2.0.",
            &[Form::Number(1.0, f64::MAX, |breaker, factor| {
                breaker.open_growth = Some(factor);
            })],
        ),
        Field::new(
            "open_max",
            "The longest open time. Default: \"10m\", or `open_for` where that is longer.",
            &[Form::Time(SHORTEST, |breaker, time| {
                breaker.open_max = Some(time);
            })],
        ),
        Field::new(
            "jitter",
            "Lengthens each open time by a random share of up to this. Default: 0.1.",
            &[Form::Number(0.0, 1.0, |breaker, share| {
                breaker.jitter = Some(share);
            })],
        ),
        Field::new(
            "probes",
            "How many probes may be under way at the same time. Default: 3.",
            &[Form::Count(1, u32::MAX as u64, |breaker, count| {
                breaker.probes = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "successes",
            "How many probes must succeed before the circuit closes. Default: 3.",
            &[Form::Count(1, u32::MAX as u64, |breaker, count| {
                breaker.successes = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "probe_timeout",
            "When probes have held every slot for so long without a verdict, new ones may pass. Default: the open time.",
            &[Form::Time(SHORTEST, |breaker, time| {
                breaker.probe_timeout = Some(time);
            })],
        ),
        Field::new(
            "probe_flow",
            "A probe counts as a success when its answer still streams after so long. Default: \"10s\".",
            &[Form::Time(Duration::ZERO, |breaker, time| {
                breaker.probe_flow = Some(time);
            })],
        ),
    ]],
);

impl CircuitBreakerDraft {
    pub(crate) fn build(&self, reading: &mut Reading<'_>) -> CircuitBreakerPolicy {
        let mut policy = CircuitBreakerPolicy::never();
        if self.is_off {
            return policy;
        }
        if let Some(failures) = self.consecutive_failures {
            policy = policy.consecutive_failures(failures);
        }
        if let Some(rate) = self.failure_rate {
            policy = policy.failure_rate(rate).window(self.window);
            // A window of few calls can hold no more.
            let most = match self.window {
                Over::Calls(calls) => calls,
                Over::Time(_) => u32::MAX,
            };
            policy = policy.minimum_calls(self.minimum_calls.unwrap_or(10.min(most)));
        }
        if let Some(time) = self.open_for {
            policy = policy.open_for(time);
        }
        if self.open_growth.is_some() || self.open_max.is_some() {
            // The defaults of the policy.
            let longest = Duration::from_secs(600).max(self.open_for.unwrap_or_default());
            policy = policy.open_growth(
                self.open_growth.unwrap_or(2.0),
                self.open_max.unwrap_or(longest),
            );
        }
        if let Some(share) = self.jitter {
            policy = policy.jitter(share);
        }
        if let Some(probes) = self.probes {
            policy = policy.probes(probes);
        }
        if let Some(successes) = self.successes {
            policy = policy.successes(successes);
        }
        if let Some(timeout) = self.probe_timeout {
            policy = policy.probe_timeout(timeout);
        }
        if let Some(time) = self.probe_flow {
            policy = policy.probe_flow(time);
        }
        // The values alone are right already; two of them can be wrong together.
        if let Err(error) = CircuitBreaker::new(policy.clone()) {
            let key = match error.setting() {
                "open_growth" => "open_max",
                other => other,
            };
            reading.unworkable(&self.spot.key(key), &error);
        }
        policy
    }
}

impl Draft for CircuitBreakerDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.spot = spot;
    }
}

const SHORTEST: Duration = Duration::from_nanos(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_nothing_leaves_the_policy_as_it_is() {
        let mut reading = Reading::new("", "a table");
        let policy = CircuitBreakerDraft::default().build(&mut reading);
        assert_eq!(policy, CircuitBreakerPolicy::default());
        let grown = CircuitBreakerDraft {
            open_growth: Some(2.0),
            ..CircuitBreakerDraft::default()
        };
        assert_eq!(grown.build(&mut reading), CircuitBreakerPolicy::default());
    }
}
