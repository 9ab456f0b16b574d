use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::{
    circuit_breaker::config::Over,
    clock::{Clock, TokioClock},
};

/// A circuit, its policy, and a time that counts milliseconds from its beginning.
struct Bench {
    policy: CircuitBreakerPolicy,
    state: State,
    start: Instant,
}

impl Bench {
    fn new(policy: CircuitBreakerPolicy) -> Self {
        let start = TokioClock.now();
        policy.check().unwrap();
        let state = State::new(&policy, start);
        Self {
            policy,
            state,
            start,
        }
    }

    fn admit(&mut self, at: u64) -> Result<Ticket, Refusal> {
        self.state.admit(&self.policy, self.start + ms(at)).0
    }

    fn record(&mut self, ticket: Ticket, verdict: Verdict, at: u64) -> Option<Transition> {
        self.state
            .record(&self.policy, ticket, verdict, None, self.start + ms(at))
    }

    fn call(&mut self, verdict: Verdict, at: u64) -> CircuitState {
        let ticket = self.admit(at).unwrap();
        self.record(ticket, verdict, at);
        self.state.circuit_state()
    }

    fn fail_until_open(&mut self, at: u64) {
        for _ in 0..100 {
            if self.call(Verdict::Failure, at) == CircuitState::Open {
                return;
            }
        }
        panic!("a hundred failures did not open the circuit");
    }
}

fn policy() -> CircuitBreakerPolicy {
    CircuitBreakerPolicy::never()
        .consecutive_failures(3)
        .open_for(ms(1_000))
        .open_growth(1.0, ms(1_000))
        .jitter(0.0)
        .probes(1)
        .successes(1)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn opens_on_failures_in_a_row_and_a_success_between_them_starts_the_count_anew() {
    let mut bench = Bench::new(policy());
    for verdict in [
        Verdict::Failure,
        Verdict::Failure,
        Verdict::Success,
        Verdict::Failure,
        Verdict::Failure,
    ] {
        assert_eq!(bench.call(verdict, 0), CircuitState::Closed);
    }
    assert_eq!(bench.call(Verdict::Failure, 1), CircuitState::Open);
}

#[test]
fn an_ignored_result_neither_counts_nor_starts_the_count_anew() {
    let mut bench = Bench::new(policy());
    bench.call(Verdict::Failure, 0);
    bench.call(Verdict::Failure, 0);
    assert_eq!(bench.call(Verdict::Ignore, 0), CircuitState::Closed);
    assert_eq!(bench.call(Verdict::Failure, 0), CircuitState::Open);
}

#[test]
fn opens_when_the_failure_rate_reaches_its_threshold_exactly() {
    let rate = CircuitBreakerPolicy::never().failure_rate(0.5, Over::Calls(10));
    let mut bench = Bench::new(rate);
    for _ in 0..5 {
        bench.call(Verdict::Success, 0);
    }
    for _ in 0..4 {
        assert_eq!(bench.call(Verdict::Failure, 0), CircuitState::Closed);
    }
    assert_eq!(bench.call(Verdict::Failure, 0), CircuitState::Open);
}

// A day of health must not hide an outage: tower-resilience 0.13 needed 1000 failures after 1000 successes.
#[test]
fn a_long_healthy_past_does_not_delay_the_opening() {
    let rate = CircuitBreakerPolicy::never().failure_rate(0.5, Over::Calls(10));
    let mut bench = Bench::new(rate);
    for _ in 0..1_000 {
        bench.call(Verdict::Success, 0);
    }
    for _ in 0..4 {
        assert_eq!(bench.call(Verdict::Failure, 0), CircuitState::Closed);
    }
    assert_eq!(bench.call(Verdict::Failure, 0), CircuitState::Open);
}

#[test]
fn a_refusal_tells_the_exact_time_at_which_a_probe_may_pass() {
    let mut bench = Bench::new(policy());
    bench.fail_until_open(0);
    let refusal = bench.admit(1).unwrap_err();
    assert_eq!(refusal.until, bench.start + ms(1_000));
    let early = refusal.until - Duration::from_nanos(1);
    assert!(bench.state.admit(&bench.policy, early).0.is_err());
    let (admission, transition) = bench.state.admit(&bench.policy, refusal.until);
    assert!(admission.is_ok());
    assert_eq!(transition, Some(Transition::HalfOpened));
}

#[test]
fn a_failed_probe_opens_again_for_longer_and_a_recovery_ends_the_growth() {
    let growing = policy().open_growth(2.0, ms(60_000));
    let mut bench = Bench::new(growing);
    bench.fail_until_open(0);
    assert_eq!(bench.call(Verdict::Failure, 1_000), CircuitState::Open);
    assert!(bench.admit(2_999).is_err());
    assert_eq!(bench.call(Verdict::Success, 3_000), CircuitState::Closed);
    bench.fail_until_open(3_001);
    assert!(bench.admit(4_000).is_err());
    assert!(bench.admit(4_001).is_ok());
}

#[test]
fn no_more_probes_than_allowed_are_under_way_and_enough_successes_close() {
    let mut bench = Bench::new(policy().probes(2).successes(2));
    bench.fail_until_open(0);
    let first = bench.admit(1_000).unwrap();
    let second = bench.admit(1_001).unwrap();
    assert!(bench.admit(1_002).is_err());
    bench.record(first, Verdict::Success, 1_500);
    assert_eq!(bench.state.circuit_state(), CircuitState::HalfOpen);
    assert_eq!(
        bench.record(second, Verdict::Success, 1_501),
        Some(Transition::Closed)
    );
}

#[test]
fn a_probe_without_a_verdict_gives_its_slot_back() {
    let mut bench = Bench::new(policy());
    bench.fail_until_open(0);
    let probe = bench.admit(1_000).unwrap();
    assert!(bench.admit(1_001).is_err());
    bench.record(probe, Verdict::Ignore, 1_002);
    assert_eq!(bench.call(Verdict::Success, 1_003), CircuitState::Closed);
}

#[test]
fn probes_that_never_end_do_not_lock_the_circuit() {
    let mut bench = Bench::new(policy().probe_timeout(ms(500)));
    bench.fail_until_open(0);
    bench.admit(1_000).unwrap();
    assert_eq!(
        bench.admit(1_499).unwrap_err().until,
        bench.start + ms(1_500)
    );
    let renewed = bench.admit(1_500).unwrap();
    assert!(bench.admit(1_501).is_err());
    assert_eq!(
        bench.record(renewed, Verdict::Success, 1_700),
        Some(Transition::Closed)
    );
}

/// PITFALLS 32: the successes of probes that were slower than the probe timeout were forgotten, for ever.
#[test]
fn a_probe_that_outlasts_its_slot_tells_its_result_and_gives_back_no_slot_of_another() {
    let mut bench = Bench::new(policy().successes(2).probe_timeout(ms(500)));
    bench.fail_until_open(0);
    let slow = bench.admit(1_000).unwrap();
    let second = bench.admit(1_500).unwrap();
    assert_eq!(bench.record(slow, Verdict::Success, 1_600), None);
    assert!(bench.admit(1_601).is_err(), "the second probe has the slot");
    assert_eq!(
        bench.record(second, Verdict::Success, 1_700),
        Some(Transition::Closed)
    );

    bench.fail_until_open(2_000);
    let slow = bench.admit(3_000).unwrap();
    bench.admit(3_500).unwrap();
    bench.record(slow, Verdict::Failure, 3_600);
    assert_eq!(bench.state.circuit_state(), CircuitState::Open);
}

// tower-resilience and liter-llm let the result of a call from before the trip decide the half-open verdict.
#[test]
fn the_late_result_of_an_earlier_state_changes_nothing() {
    for late in [Verdict::Success, Verdict::Failure] {
        let mut bench = Bench::new(policy());
        let old = bench.admit(0).unwrap();
        bench.fail_until_open(1);
        let probe = bench.admit(1_001).unwrap();
        assert_eq!(bench.record(old, late, 1_500), None);
        assert_eq!(bench.state.circuit_state(), CircuitState::HalfOpen);
        assert_eq!(
            bench.record(probe, Verdict::Success, 2_000),
            Some(Transition::Closed)
        );
    }
}

#[test]
fn an_open_circuit_stays_open_as_long_as_the_upstream_asked() {
    let mut bench = Bench::new(policy().consecutive_failures(1));
    let ticket = bench.admit(0).unwrap();
    let hint = Some(Duration::from_secs(30));
    bench
        .state
        .record(&bench.policy, ticket, Verdict::Failure, hint, bench.start);
    assert!(bench.admit(29_999).is_err());
    assert!(bench.admit(30_000).is_ok());
}

#[test]
fn an_absurd_hint_does_not_overflow() {
    let mut bench = Bench::new(policy().consecutive_failures(1));
    let ticket = bench.admit(0).unwrap();
    bench.state.record(
        &bench.policy,
        ticket,
        Verdict::Failure,
        Some(Duration::MAX),
        bench.start,
    );
    assert!(bench.admit(u64::from(u32::MAX)).is_err());
}

#[test]
fn a_forced_or_disabled_circuit_stays_so_until_it_is_reset() {
    let mut bench = Bench::new(policy());
    bench.state.force_open();
    assert!(bench.admit(1_000_000_000).is_err());
    bench.state.disable();
    for at in 0..20 {
        assert_eq!(bench.call(Verdict::Failure, at), CircuitState::Disabled);
    }
    assert_eq!(bench.state.reset(), Some(Transition::Closed));
    assert_eq!(bench.state.reset(), None);
    assert_eq!(bench.call(Verdict::Success, 0), CircuitState::Closed);
}

/// PITFALLS 61.
#[test]
fn a_circuit_that_nobody_asks_is_idle_once_all_that_it_knows_is_old() {
    let idle = |bench: &mut Bench, at: u64| {
        let (at, policy) = (bench.start + ms(at), &bench.policy);
        let just_before = at - Duration::from_nanos(1);
        assert!(!bench.state.is_idle(policy, just_before));
        assert!(bench.state.is_idle(policy, at));
    };
    let new = || Bench::new(policy().open_growth(2.0, ms(8_000)));
    let minutes = Over::Time(ms(120_000));

    let mut closed = new();
    closed.call(Verdict::Failure, 5);
    idle(&mut closed, 8_005);

    let mut with_window = Bench::new(policy().failure_rate(0.5, minutes));
    with_window.call(Verdict::Failure, 5);
    idle(&mut with_window, 120_005);

    let mut without_failure = new();
    without_failure.call(Verdict::Success, 5);
    let now = without_failure.start + ms(5);
    assert!(without_failure.state.is_idle(&without_failure.policy, now));

    let mut open = new();
    open.fail_until_open(5);
    open.admit(10).unwrap_err();
    idle(&mut open, 8_010);

    let mut half_open = new();
    half_open.fail_until_open(0);
    half_open.admit(1_000).unwrap();
    idle(&mut half_open, 9_000);

    let mut open_for_long = new();
    let ticket = open_for_long.admit(0).unwrap();
    let hint = Some(ms(1_000_000));
    for _ in 0..3 {
        let (policy, now) = (&open_for_long.policy, open_for_long.start);
        open_for_long
            .state
            .record(policy, ticket, Verdict::Failure, hint, now);
    }
    idle(&mut open_for_long, 1_000_000);
}

#[test]
fn a_circuit_that_a_person_forced_is_never_idle() {
    let mut bench = Bench::new(policy());
    let never = bench.start + ms(u32::MAX.into());
    bench.state.force_open();
    assert!(!bench.state.is_idle(&bench.policy, never));
    bench.state.disable();
    assert!(!bench.state.is_idle(&bench.policy, never));
    bench.state.reset();
    assert!(bench.state.is_idle(&bench.policy, never));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Admit,
    Finish(usize, Verdict),
    Wait(u64),
    TurnBack(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        Just(Verdict::Success),
        Just(Verdict::Failure),
        Just(Verdict::Ignore)
    ];
    let step = prop_oneof![
        4 => Just(Step::Admit),
        4 => (0_usize..8, verdict).prop_map(|(which, verdict)| Step::Finish(which, verdict)),
        2 => (0_u64..1_500).prop_map(Step::Wait),
        1 => (0_u64..500).prop_map(Step::TurnBack),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn half_open_never_has_more_than_its_probes_under_way(
        probes in 1_u32..4,
        probe_timeout in prop_oneof![Just(500), Just(u64::from(u32::MAX))],
        steps in steps(),
    ) {
        let mut bench = Bench::new(policy().probes(probes).successes(3).probe_timeout(ms(probe_timeout)));
        let (mut at, mut running) = (10_000, Vec::new());
        for step in steps {
            match step {
                Step::Wait(wait) => at += wait,
                Step::TurnBack(step) => at -= step.min(at - 9_000),
                Step::Finish(which, verdict) if !running.is_empty() => {
                    let ticket = running.swap_remove(which % running.len());
                    bench.record(ticket, verdict, at);
                }
                Step::Finish(..) => {}
                Step::Admit => running.extend(bench.admit(at)),
            }
            if let Phase::HalfOpen { running: counted, round, .. } = bench.state.phase {
                let is_of_now = |ticket: &&Ticket| ticket.epoch == bench.state.epoch && ticket.round == round;
                let really = running.iter().filter(is_of_now).count();
                prop_assert_eq!(counted as usize, really);
                prop_assert!(counted <= probes);
            }
        }
    }

    #[test]
    fn from_any_state_a_healthy_upstream_closes_the_circuit(steps in steps()) {
        let mut bench = Bench::new(policy().probes(2).successes(3));
        let (mut at, mut running) = (10_000, Vec::new());
        for step in steps {
            match step {
                Step::Wait(wait) => at += wait,
                Step::Finish(which, verdict) if !running.is_empty() => {
                    let ticket = running.swap_remove(which % running.len());
                    bench.record(ticket, verdict, at);
                }
                Step::Admit => running.extend(bench.admit(at)),
                _ => {}
            }
        }
        // Calls whose results never came stay lost; the open time and the probe timeout are one second each.
        for _ in 0..3 {
            at += 2_000;
            for _ in 0..3 {
                if let Ok(ticket) = bench.admit(at) {
                    bench.record(ticket, Verdict::Success, at);
                }
            }
        }
        prop_assert_eq!(bench.state.circuit_state(), CircuitState::Closed);
    }

    /// PITFALLS 32, where every answer outlasts the probe timeout: a local model that thinks for minutes.
    #[test]
    fn a_healthy_upstream_closes_the_circuit_however_slow_its_answers_are(
        probes in 1_u32..4,
        successes in 1_u32..6,
        takes in 500_u64..20_000,
        pause in 1_u64..2_000,
    ) {
        let mut bench = Bench::new(policy().probes(probes).successes(successes).probe_timeout(ms(500)));
        bench.fail_until_open(0);
        let (mut at, mut running) = (1_000, VecDeque::new());
        while bench.state.circuit_state() != CircuitState::Closed {
            // Each success may have to wait for a round of its own, and the last one for its answer.
            prop_assert!(at < 1_000 + takes + u64::from(successes) * (500 + pause) + pause);
            while let Some((ticket, end)) = running.front().copied() && end <= at {
                running.pop_front();
                bench.record(ticket, Verdict::Success, at);
            }
            running.extend(bench.admit(at).map(|ticket| (ticket, at + takes)));
            at += pause;
        }
    }
}
