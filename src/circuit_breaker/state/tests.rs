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
        let state = State::new(&policy, 7, start);
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
        self.end(ticket, ending(verdict), at)
    }

    fn end(&mut self, ticket: Ticket, ending: Ending, at: u64) -> Option<Transition> {
        self.state
            .record(&self.policy, ticket, ending, self.start + ms(at))
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

fn ending(verdict: Verdict) -> Ending {
    Ending {
        verdict,
        is_slow: false,
        has_flowed: false,
        hint: None,
    }
}

fn hinted(hint: Duration) -> Ending {
    Ending {
        hint: Some(hint),
        ..ending(Verdict::Failure)
    }
}

fn slow(verdict: Verdict) -> Ending {
    Ending {
        is_slow: true,
        ..ending(verdict)
    }
}

const CLOSED: Option<Transition> = Some(Transition::Closed {
    reason: "probes succeeded",
});

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
    let rate = CircuitBreakerPolicy::never()
        .failure_rate(0.5)
        .window(Over::Calls(10));
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
    let rate = CircuitBreakerPolicy::never()
        .failure_rate(0.5)
        .window(Over::Calls(10));
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
    assert_eq!(
        transition,
        Some(Transition::HalfOpened {
            reason: "the open time is over"
        })
    );
}

#[test]
fn the_outlook_of_an_open_circuit_is_the_rest_of_its_open_time_and_at_its_end_that_a_probe_may_pass()
 {
    let mut bench = Bench::new(policy());
    let outlook = |bench: &Bench, at: u64| bench.state.outlook(&bench.policy, bench.start + ms(at));
    assert_eq!(outlook(&bench, 0), None);
    bench.fail_until_open(0);
    assert_eq!(outlook(&bench, 400), Some(ms(600)));
    assert_eq!(outlook(&bench, 999), Some(ms(1)));
    for _ in 0..3 {
        // To ask takes no probe's place.
        assert_eq!(outlook(&bench, 1_000), None);
    }
    assert!(bench.is_open());
    bench.admit(1_000).unwrap();
    assert_eq!(outlook(&bench, 1_400), Some(ms(600)));
}

#[test]
fn whoever_does_not_ask_the_time_passes_where_all_pass_at_any_time_and_nowhere_else() {
    let passes = |bench: &Bench| bench.state.admit_to_closed().is_some();
    let mut bench = Bench::new(policy().ramp(ms(10_000)));
    let start = bench.start;
    assert!(passes(&bench));
    bench.state.force_closed(start);
    assert!(passes(&bench));
    bench.state.disable(start);
    assert!(passes(&bench));
    bench.state.force_open(start);
    assert!(!passes(&bench));
    bench.state.reset(start);
    assert!(passes(&bench));
    bench.fail_until_open(0);
    assert!(!passes(&bench));
    bench.admit(1_000).unwrap();
    assert!(!passes(&bench), "half-open");
    bench.state.force_half_open(start);
    bench.call(Verdict::Success, 1_000);
    assert!(bench.is_closed() && !passes(&bench), "in a ramp");
    bench.call(Verdict::Success, 11_000);
    assert!(passes(&bench), "the ramp is over");
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
    assert_eq!(bench.record(second, Verdict::Success, 1_501), CLOSED);
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
    assert_eq!(bench.record(renewed, Verdict::Success, 1_700), CLOSED);
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
    assert_eq!(bench.record(second, Verdict::Success, 1_700), CLOSED);

    bench.fail_until_open(2_000);
    let slow = bench.admit(3_000).unwrap();
    bench.admit(3_500).unwrap();
    bench.record(slow, Verdict::Failure, 3_600);
    assert_eq!(bench.state.circuit_state(), CircuitState::Open);
}

#[test]
fn a_probe_of_a_later_round_gives_its_place_back_too() {
    let mut bench = Bench::new(policy().successes(2).probe_timeout(ms(500)));
    bench.fail_until_open(0);
    bench.admit(1_000).unwrap();
    for round in [1_500, 2_000] {
        let probe = bench.admit(round).unwrap();
        assert!(bench.admit(round).is_err());
        bench.record(probe, Verdict::Ignore, round);
        bench.admit(round).unwrap();
    }
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
        assert_eq!(bench.record(probe, Verdict::Success, 2_000), CLOSED);
    }
}

#[test]
fn an_open_circuit_stays_open_as_long_as_the_upstream_asked() {
    let mut bench = Bench::new(policy().consecutive_failures(1));
    let ticket = bench.admit(0).unwrap();
    bench.end(ticket, hinted(Duration::from_secs(30)), 0);
    assert!(bench.admit(29_999).is_err());
    assert!(bench.admit(30_000).is_ok());
}

#[test]
fn an_absurd_hint_does_not_overflow() {
    let mut bench = Bench::new(policy().consecutive_failures(1));
    let ticket = bench.admit(0).unwrap();
    bench.end(ticket, hinted(Duration::MAX), 0);
    assert!(bench.admit(u64::from(u32::MAX)).is_err());
}

#[test]
fn a_forced_or_disabled_circuit_stays_so_until_it_is_reset() {
    let mut bench = Bench::new(policy());
    bench.state.force_open(bench.start);
    assert!(bench.admit(1_000_000_000).is_err());
    bench.state.disable(bench.start);
    for at in 0..20 {
        assert_eq!(bench.call(Verdict::Failure, at), CircuitState::Disabled);
    }
    let reason = "reset";
    assert_eq!(
        bench.state.reset(bench.start),
        Transition::Closed { reason }
    );
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

    let mut with_window = Bench::new(policy().failure_rate(0.5).window(minutes));
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
    for _ in 0..3 {
        open_for_long.end(ticket, hinted(ms(1_000_000)), 0);
    }
    idle(&mut open_for_long, 1_000_000);
}

#[test]
fn a_circuit_that_a_person_forced_is_never_idle() {
    let mut bench = Bench::new(policy());
    let never = bench.start + ms(u32::MAX.into());
    bench.state.force_open(bench.start);
    assert!(!bench.state.is_idle(&bench.policy, never));
    bench.state.disable(bench.start);
    assert!(!bench.state.is_idle(&bench.policy, never));
    bench.state.reset(bench.start);
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

impl Bench {
    fn is_open(&self) -> bool {
        self.state.circuit_state() == CircuitState::Open
    }

    fn is_closed(&self) -> bool {
        self.state.circuit_state() == CircuitState::Closed
    }

    fn counted(&mut self, at: u64) -> Counted {
        self.state.counted(self.start + ms(at))
    }

    /// How long a circuit that has just opened stays so.
    fn open_time(&mut self, at: u64) -> Duration {
        let until = self.counted(at).open_until.unwrap();
        until - (self.start + ms(at))
    }
}

// CB-13: resilience4j counts what is slower than the threshold, tower-resilience what reaches it. CB-03 with it.
#[test]
fn slow_calls_open_by_their_share_whether_or_not_they_fail() {
    let slow_rate = CircuitBreakerPolicy::never()
        .slow_call_rate(0.5, ms(1_000))
        .window(Over::Calls(4))
        .minimum_calls(4);
    for second in [Verdict::Success, Verdict::Failure] {
        let mut bench = Bench::new(slow_rate.clone());
        for ending in [slow(Verdict::Success), slow(second)] {
            let ticket = bench.admit(0).unwrap();
            assert_eq!(bench.end(ticket, ending, 0), None);
        }
        bench.call(Verdict::Success, 0);
        assert_eq!(bench.call(Verdict::Success, 0), CircuitState::Open);
    }
}

// SEMANTICS "when the rule is evaluated": Polly looks after failures alone, and stays closed at 60 % of them.
#[test]
fn the_success_that_completes_the_minimum_shows_that_enough_had_failed() {
    let mut bench = Bench::new(
        CircuitBreakerPolicy::never()
            .failure_rate(0.5)
            .minimum_calls(5),
    );
    for verdict in [Verdict::Failure; 3].into_iter().chain([Verdict::Success]) {
        assert_eq!(bench.call(verdict, 0), CircuitState::Closed);
    }
    assert_eq!(bench.call(Verdict::Success, 0), CircuitState::Open);
}

// CB-15: tower-resilience's contract, linkerd2-proxy's unified breaker: two rules that break at once open once.
#[test]
fn failures_in_a_row_open_before_the_window_has_its_minimum_and_two_rules_open_once() {
    let both = policy()
        .failure_rate(0.5)
        .window(Over::Calls(3))
        .minimum_calls(3);
    let mut bench = Bench::new(both);
    for _ in 0..2 {
        assert_eq!(bench.call(Verdict::Failure, 0), CircuitState::Closed);
    }
    let ticket = bench.admit(0).unwrap();
    let opened = bench.record(ticket, Verdict::Failure, 0);
    let wait = Some(ms(1_000));
    let reason = "consecutive failures";
    assert_eq!(opened, Some(Transition::Opened { wait, reason }));
    assert_eq!(bench.counted(0).opened, 1);
}

// SEMANTICS "429 in a breaker": linkerd's unified breaker.
#[test]
fn what_is_full_counts_in_the_rate_and_fails_a_probe_but_not_in_a_row() {
    let mut bench = Bench::new(policy());
    for verdict in [Verdict::Failure, Verdict::Failure, Verdict::Degraded] {
        assert_eq!(bench.call(verdict, 0), CircuitState::Closed);
    }
    assert_eq!(
        bench.call(Verdict::Failure, 0),
        CircuitState::Open,
        "nor did it end the row"
    );
    assert_eq!(bench.call(Verdict::Degraded, 1_000), CircuitState::Open);

    let rate = CircuitBreakerPolicy::never().failure_rate(1.0);
    let mut bench = Bench::new(rate.minimum_calls(2));
    bench.call(Verdict::Degraded, 0);
    assert_eq!(bench.call(Verdict::Degraded, 0), CircuitState::Open);
}

// CB-21, CB-25: resilience4j's CircuitBreakerStateMachineTest.
#[test]
fn probes_that_are_judged_together_open_or_close_by_their_rate() {
    use Verdict::{Failure, Ignore, Success};
    let together = policy().probes(4).successes(4).probe_failure_rate(0.5);
    for (verdicts, expected) in [
        ([Failure, Failure, Success, Failure], CircuitState::Open),
        ([Success, Failure, Success, Failure], CircuitState::Open),
        ([Success, Failure, Success, Success], CircuitState::Closed),
    ] {
        let mut bench = Bench::new(together.clone());
        bench.fail_until_open(0);
        for verdict in &verdicts[..3] {
            assert_eq!(bench.call(*verdict, 1_000), CircuitState::HalfOpen);
            assert_eq!(bench.call(Ignore, 1_000), CircuitState::HalfOpen);
        }
        assert_eq!(bench.call(verdicts[3], 1_000), expected);
    }
}

// CB-23: failsafe-go, sony/gobreaker.
#[test]
fn three_successes_close_and_the_first_failure_among_them_opens_again() {
    let mut bench = Bench::new(policy().successes(3));
    bench.fail_until_open(0);
    for verdict in [Verdict::Success, Verdict::Success] {
        assert_eq!(bench.call(verdict, 1_000), CircuitState::HalfOpen);
    }
    assert_eq!(bench.call(Verdict::Failure, 1_000), CircuitState::Open);
    for _ in 0..2 {
        assert_eq!(bench.call(Verdict::Success, 2_000), CircuitState::HalfOpen);
    }
    assert_eq!(bench.call(Verdict::Success, 2_000), CircuitState::Closed);
}

// A service that answers in a minute where a second is expected has not recovered.
#[test]
fn a_probe_that_is_slow_has_failed() {
    let mut bench = Bench::new(policy().slow_call_rate(1.0, ms(100)));
    bench.fail_until_open(0);
    let probe = bench.admit(1_000).unwrap();
    bench.end(probe, slow(Verdict::Success), 1_500);
    assert!(bench.is_open());
}

// CB-29, CB-31, CB-41: results and places of an earlier state, of an earlier half-open one, of before a reset.
#[test]
fn what_was_admitted_in_an_earlier_half_open_state_or_before_a_reset_is_nobodys() {
    let mut bench = Bench::new(policy().probes(1));
    bench.fail_until_open(0);
    let old = bench.admit(1_000).unwrap();
    bench.state.force_half_open(bench.start + ms(1_100));
    let probe = bench.admit(1_100).unwrap();
    bench.record(old, Verdict::Ignore, 1_101);
    assert!(
        bench.admit(1_102).is_err(),
        "the place is not the old one's"
    );
    bench.record(old, Verdict::Success, 1_103);
    assert_eq!(bench.state.circuit_state(), CircuitState::HalfOpen);
    assert_eq!(bench.record(probe, Verdict::Success, 1_104), CLOSED);

    let old = bench.admit(1_200).unwrap();
    bench.call(Verdict::Failure, 1_200);
    bench.call(Verdict::Failure, 1_200);
    bench.state.reset(bench.start + ms(1_200));
    bench.record(old, Verdict::Failure, 1_201);
    bench.call(Verdict::Failure, 1_202);
    assert_eq!(bench.call(Verdict::Failure, 1_202), CircuitState::Closed);
    assert_eq!(bench.counted(1_202).consecutive, 2);
}

// CB-33: resilience4j; linkerd after failed probes. PITFALLS 52, liter-llm: six separate outages of 41 to 1281 ms.
#[test]
fn the_open_time_grows_by_failed_probes_and_begins_anew_with_each_outage() {
    let growing = policy().open_growth(1.5, ms(60_000));
    let mut bench = Bench::new(growing);
    let mut at = 0;
    for _outage in 0..6 {
        bench.fail_until_open(at);
        for expected in [1_000, 1_500, 2_250] {
            assert_eq!(bench.open_time(at), ms(expected));
            at += expected;
            bench.call(Verdict::Failure, at);
        }
        at += 60_000;
        assert_eq!(bench.call(Verdict::Success, at), CircuitState::Closed);
    }
}

// CB-35: Polly's break duration overflows.
#[test]
fn growth_and_absurd_times_saturate() {
    let absurd = policy()
        .open_for(Duration::MAX)
        .open_growth(1e300, Duration::MAX);
    let mut bench = Bench::new(absurd);
    bench.fail_until_open(0);
    for round in 0..1_000 {
        bench.state.force_half_open(bench.start + ms(round));
        assert_eq!(bench.call(Verdict::Failure, round), CircuitState::Open);
    }
    assert!(bench.admit(u64::from(u32::MAX)).is_err());
}

// PITFALLS 52 asks for jitter: clients that saw the same outage must not come back together.
#[test]
fn the_open_time_is_jittered_repeatably_within_its_bounds() {
    let jittered = policy().jitter(0.5).open_growth(1.0, ms(10_000));
    let waits = |seed| {
        let mut bench = Bench::new(jittered.clone());
        bench.state = State::new(&bench.policy, seed, bench.start);
        bench.fail_until_open(0);
        let wait = bench.open_time(0);
        assert!((ms(1_000)..=ms(1_500)).contains(&wait), "{wait:?}");
        wait
    };
    assert_eq!(waits(1), waits(1));
    assert!((0..20).any(|seed| waits(seed) != waits(1)));
}

// CB-37, CB-39, CB-43: forced states, and refusals that are not outcomes.
#[test]
fn what_a_person_forced_lasts_and_refusals_are_counted_apart() {
    let mut bench = Bench::new(policy().failure_rate(0.5));
    bench.state.force_open(bench.start);
    for at in [6_000, 3_600_000] {
        bench.admit(at).unwrap_err();
    }
    let counted = bench.counted(3_600_000);
    assert_eq!((counted.refused, counted.tally.calls), (2, 0));
    bench.state.force_closed(bench.start);
    for _ in 0..100 {
        assert_eq!(
            bench.call(Verdict::Failure, 3_600_001),
            CircuitState::ForcedClosed
        );
    }
    assert_eq!(bench.counted(3_600_001).tally.failures, 100);
    bench.state.disable(bench.start);
    for _ in 0..1_000 {
        assert_eq!(
            bench.call(Verdict::Failure, 3_600_002),
            CircuitState::Disabled
        );
    }
    assert_eq!(bench.counted(3_600_002).tally.calls, 0);
    bench.state.reset(bench.start);
    bench.fail_until_open(3_600_003);
}

// CB-45: tower-resilience's contract.
#[test]
fn after_years_of_an_open_circuit_only_the_probes_pass() {
    let mut bench = Bench::new(policy().probes(2));
    bench.fail_until_open(0);
    let passed = (0..100).filter(|_| bench.admit(1_000_000_000_000).is_ok());
    assert_eq!(passed.count(), 2);
}

#[test]
fn after_a_recovery_traffic_is_let_back_over_the_ramp() {
    let mut bench = Bench::new(policy().ramp(ms(10_000)));
    bench.fail_until_open(0);
    bench.call(Verdict::Success, 1_000);
    assert!(bench.is_closed());
    let mut passed_at = |at| (0..100).filter(|_| bench.admit(at).is_ok()).count();
    assert_eq!(passed_at(1_000), 10);
    assert_eq!(passed_at(6_000), 50);
    assert_eq!(passed_at(10_999), 100);
    assert_eq!(passed_at(11_000), 100);
    bench.fail_until_open(12_000);
}

#[test]
fn who_is_refused_in_a_ramp_is_told_when_he_would_pass() {
    let mut bench = Bench::new(policy().ramp(ms(10_000)));
    bench.fail_until_open(0);
    bench.call(Verdict::Success, 1_000);
    bench.admit(1_000).unwrap();
    let refusal = bench.admit(1_000).unwrap_err();
    assert_eq!(refusal.reason, "recovering");
    let (policy, state) = (&bench.policy, &mut bench.state);
    state.admit(policy, refusal.until).0.unwrap();
}

proptest! {
    /// It told the time for one who comes after a first was refused, which may be over already: a chain that waited for it looked
    /// again and again, and never slept.
    #[test]
    fn what_is_foreseen_in_a_ramp_is_when_a_call_passes_that_comes_then_and_none_before(
        calls in proptest::collection::vec(0_u64..900, 0..40),
    ) {
        let mut bench = Bench::new(policy().ramp(ms(10_000)));
        bench.fail_until_open(0);
        bench.call(Verdict::Success, 1_000);
        let mut at = 1_000;
        for step in calls {
            at += step;
            let (now, tick) = (bench.start + ms(at), Duration::from_nanos(1));
            let outlook = |at| bench.state.outlook(&bench.policy, at);
            if let Some(wait) = outlook(now) {
                prop_assert!(!wait.is_zero());
                prop_assert_eq!(outlook(now + wait - tick), Some(tick));
                prop_assert_eq!(outlook(now + wait), None);
            }
            let is_free = outlook(now).is_none();
            prop_assert_eq!(bench.admit(at).is_ok(), is_free);
        }
    }

    /// As lanes do it: while the circuit allows, good calls pass without a word.
    #[test]
    fn good_calls_that_are_told_later_change_no_decision(
        rows in proptest::option::of(1_u32..4),
        rate in proptest::option::of(0.1_f64..1.0),
        window in prop_oneof![(1_u32..20).prop_map(Over::Calls), (1_u64..2_000).prop_map(|time| Over::Time(ms(time)))],
        minimum in 1_u32..20,
        steps in proptest::collection::vec((0_u64..300, 0_u8..20), 0..200),
    ) {
        let mut rules = policy().window(window).minimum_calls(match window {
            Over::Calls(calls) => minimum.min(calls),
            Over::Time(_) => minimum,
        });
        rules.consecutive_failures = rows;
        rules.failure_rate = rate;
        let mut all = Bench::new(rules.clone());
        let mut silent = Bench { state: State::new(&rules, 7, all.start), policy: rules, start: all.start };
        let (mut at, mut passed) = (0, 0);
        for (step, what) in steps {
            at += step;
            let now = all.start + ms(at);
            let is_success = what > 2;
            let admitted = all.admit(at);
            let may_pass = match silent.state.passes_until(&silent.policy) {
                Some(Until::Ever) => true,
                Some(Until::Time(until)) => now < until,
                None => false,
            };
            if is_success && may_pass {
                all.record(admitted.unwrap(), Verdict::Success, at);
                passed += 1;
            } else {
                if passed > 0 {
                    silent.state.add_good(std::mem::take(&mut passed), now);
                }
                let ticket = silent.admit(at);
                prop_assert_eq!(ticket, admitted);
                if let Ok(ticket) = ticket {
                    let verdict = if is_success { Verdict::Success } else { Verdict::Failure };
                    let expected = all.record(ticket, verdict, at);
                    prop_assert_eq!(silent.record(ticket, verdict, at), expected);
                }
            }
            prop_assert_eq!(silent.state.circuit_state(), all.state.circuit_state());
        }
        if passed > 0 {
            silent.state.add_good(passed, all.start + ms(at));
        }
        prop_assert_eq!(silent.counted(at).tally, all.counted(at).tally);
    }

    /// However many ask, however long it lasts.
    #[test]
    fn of_an_upstream_that_is_down_no_more_than_the_probes_are_sent_in_each_open_time(
        probes in 1_u32..5,
        takes in 0_u64..900,
        asks in proptest::collection::vec(0_u64..200, 1..300),
    ) {
        let mut bench = Bench::new(policy().probes(probes));
        bench.fail_until_open(0);
        let (mut at, mut running, mut sent) = (0, Vec::new(), Vec::new());
        for step in asks {
            at += step;
            let (ended, still): (Vec<_>, Vec<_>) = running.into_iter().partition(|(_, end)| *end <= at);
            running = still;
            for (ticket, _) in ended {
                bench.record(ticket, Verdict::Failure, at);
            }
            if let Ok(ticket) = bench.admit(at) {
                running.push((ticket, at + takes));
                sent.push(at);
            }
        }
        for (number, from) in sent.iter().enumerate() {
            let within = sent[number..].iter().take_while(|at| **at < from + 1_000);
            prop_assert!(within.count() <= probes as usize, "{sent:?}");
        }
    }
}

impl Bench {
    fn flow(&mut self, ticket: Ticket, at: u64) -> Option<Transition> {
        self.state.flow(&self.policy, ticket, self.start + ms(at))
    }
}

fn flowed(verdict: Verdict) -> Ending {
    Ending {
        has_flowed: true,
        ..ending(verdict)
    }
}

// After an outage, three probes that streamed for two minutes kept everybody else out for as long.
#[test]
fn probes_whose_answers_flow_close_the_circuit_before_their_end_and_keep_their_places_until_then() {
    let mut bench = Bench::new(policy().probes(2).successes(3));
    bench.fail_until_open(0);
    let (one, two) = (bench.admit(1_000).unwrap(), bench.admit(1_000).unwrap());
    assert_eq!(
        (bench.flow(one, 1_100), bench.flow(two, 1_100)),
        (None, None)
    );
    assert!(bench.admit(1_100).is_err(), "both are under way");
    assert_eq!(bench.end(one, flowed(Verdict::Success), 1_200), None);
    let three = bench.admit(1_200).unwrap();
    assert_eq!(bench.flow(three, 1_300), CLOSED);
    for late in [two, three] {
        assert_eq!(bench.end(late, flowed(Verdict::Failure), 1_400), None);
    }
    assert_eq!(
        bench.counted(1_400).consecutive,
        0,
        "they are an earlier state's"
    );
}

#[test]
fn a_probe_that_breaks_after_it_had_flowed_has_failed() {
    let mut bench = Bench::new(policy().probes(2).successes(2));
    bench.fail_until_open(0);
    let probe = bench.admit(1_000).unwrap();
    bench.flow(probe, 1_100);
    bench.end(probe, flowed(Verdict::Failure), 1_200);
    assert!(bench.is_open());
    // Judged together, it counts once.
    let together = policy().probes(2).successes(2).probe_failure_rate(1.0);
    let mut bench = Bench::new(together);
    bench.fail_until_open(0);
    let probe = bench.admit(1_000).unwrap();
    bench.flow(probe, 1_100);
    assert_eq!(bench.end(probe, flowed(Verdict::Failure), 1_200), None);
    assert_eq!(bench.call(Verdict::Success, 1_300), CircuitState::Closed);
    assert_eq!(bench.flow(probe, 1_400), None, "of an earlier state");
}
