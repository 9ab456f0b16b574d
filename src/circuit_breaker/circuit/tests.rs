use super::*;
use crate::{
    circuit_breaker::{
        config::Over,
        decision::{Ending, Verdict},
    },
    clock::{Clock, TokioClock},
};

/// A circuit, its policy, and when it was made.
struct Bench {
    policy: CircuitBreakerPolicy,
    circuit: Circuit,
    began: Instant,
}

impl Bench {
    fn new(policy: CircuitBreakerPolicy) -> Self {
        let began = TokioClock.now();
        let circuit = Circuit::new(State::new(&policy, 7, began));
        Self {
            policy,
            circuit,
            began,
        }
    }

    /// Asks so often that a thread may have a lane.
    fn ask_often(&mut self) {
        for _ in 0..OFTEN {
            assert!(self.circuit.admit_to_closed().is_some());
            self.circuit.come_back();
        }
    }

    fn add_lane(&mut self) -> Option<Arc<Lane>> {
        self.circuit.add_lane(&self.policy)
    }

    fn change<R>(&mut self, at: Duration, change: impl FnOnce(&mut State) -> R) -> R {
        let (policy, now) = (&self.policy, self.began + at);
        self.circuit.change(policy, self.began, now, change)
    }

    fn record(&mut self, verdict: Verdict, at: Duration) {
        let (policy, now) = (self.policy.clone(), self.began + at);
        let ending = Ending {
            verdict,
            is_slow: false,
            has_flowed: false,
            hint: None,
        };
        self.change(at, |state| {
            let ticket = state.admit_to_closed().expect("it is closed");
            state.record(&policy, ticket, ending, now)
        });
    }

    fn reset(&mut self) {
        let began = self.began;
        self.change(NOW, |state| state.reset(began));
    }

    fn calls(&mut self) -> u32 {
        let now = self.began;
        self.change(NOW, |state| state.counted(now).tally.calls)
    }

    fn is_idle(&mut self, at: Duration) -> bool {
        let (policy, now) = (&self.policy, self.began + at);
        self.circuit.is_idle(policy, self.began, now)
    }
}

const NOW: Duration = Duration::ZERO;

/// Opens on the second failure in a row, and counts the last hundred calls.
fn rows() -> CircuitBreakerPolicy {
    CircuitBreakerPolicy::never()
        .consecutive_failures(2)
        .failure_rate(1.0)
        .window(Over::Calls(100))
        .minimum_calls(100)
}

#[test]
fn a_thread_gets_a_lane_once_the_circuit_was_asked_often() {
    let mut bench = Bench::new(rows());
    for asked in 0..2 * OFTEN {
        assert_eq!(bench.add_lane().is_some(), asked >= OFTEN, "{asked}");
        bench.circuit.admit_to_closed().unwrap();
    }
}

#[test]
fn no_thread_gets_a_lane_while_a_good_call_could_change_what_is_decided() {
    for window in [Over::Calls(100), Over::Time(Duration::from_secs(60))] {
        let mut bench = Bench::new(rows().window(window));
        bench.ask_often();
        // The tenths of a time window begin with its first call, which has to be told.
        let is_timed = window != Over::Calls(100);
        assert_eq!(bench.add_lane().is_none(), is_timed);
        bench.record(Verdict::Failure, NOW);
        assert!(bench.add_lane().is_none(), "the next success ends the row");
        bench.record(Verdict::Success, NOW);
        assert!(bench.add_lane().is_none(), "one of two has failed");
        bench.reset();
        bench.record(Verdict::Success, NOW);
        assert!(bench.add_lane().is_some());
    }
}

#[test]
fn what_has_passed_by_the_lanes_counts_with_the_next_look_which_opens_them_again() {
    let mut bench = Bench::new(rows());
    bench.ask_often();
    let lanes = [bench.add_lane().unwrap(), bench.add_lane().unwrap()];
    assert!(lanes.iter().all(|lane| lane.enter().is_none()));
    assert_eq!(bench.calls(), 0);
    for expected in [3, 6] {
        let tickets = lanes.each_ref().map(|lane| lane.enter().unwrap());
        // However late it is: the window counts calls.
        assert!(lanes[0].count(tickets[0], || u64::MAX - 1));
        assert!(lanes[1].count(tickets[1], || 0));
        assert!(lanes[1].count(tickets[1], || 0));
        assert_eq!(bench.calls(), expected);
    }
}

#[test]
fn a_failure_shuts_the_lanes_and_a_call_of_before_a_reset_counts_by_none() {
    let mut bench = Bench::new(rows());
    bench.ask_often();
    let lane = bench.add_lane().unwrap();
    bench.calls();
    let old = lane.enter().unwrap();
    bench.record(Verdict::Failure, NOW);
    assert_eq!(lane.enter(), None);
    assert!(!lane.count(old, || 0));
    bench.reset();
    assert!(!lane.count(old, || 0));
    assert!(lane.count(lane.enter().unwrap(), || 0));
    assert_eq!(bench.calls(), 1);
}

#[test]
fn good_calls_pass_by_a_lane_until_the_tenth_of_the_window_ends_in_which_it_was_opened() {
    let ms = Duration::from_millis;
    let mut bench = Bench::new(rows().window(Over::Time(ms(1_000))));
    bench.ask_often();
    bench.record(Verdict::Success, ms(50));
    let lane = bench.add_lane().unwrap();
    bench.change(ms(60), |_| ());
    let ticket = lane.enter().unwrap();
    assert!(lane.count(ticket, || 149_999_999));
    assert!(!lane.count(ticket, || 150_000_000));
}

#[test]
fn an_open_circuit_refuses_by_its_lanes_until_its_time_and_counts_it() {
    let mut bench = Bench::new(rows().jitter(0.0).open_for(Duration::from_nanos(100)));
    bench.ask_often();
    let lane = bench.add_lane().unwrap();
    bench.record(Verdict::Failure, NOW);
    assert_eq!(lane.refuse(|| 0), None);
    bench.record(Verdict::Failure, NOW);
    assert_eq!(lane.refuse(|| 1).unwrap().wait, 99);
    let other = bench.add_lane().expect("for who finds it open");
    bench.change(NOW, |_| ());
    assert_eq!(other.refuse(|| 99).unwrap().reason, "consecutive failures");
    assert_eq!(other.refuse(|| 100), None);
    let now = bench.began;
    assert_eq!(bench.change(NOW, |state| state.counted(now).refused), 2);
    // A probe passes, and none is refused by what was known before.
    let (policy, began) = (bench.policy.clone(), bench.began);
    let later = began + Duration::from_nanos(100);
    assert!(bench.circuit.admit(&policy, began, later).0.is_ok());
    assert_eq!(lane.refuse(|| 0), None);
    bench.change(NOW, |state| state.force_open(now));
    assert_eq!(lane.refuse(|| u64::MAX).unwrap().wait, EVER);
    bench.reset();
    assert_eq!(lane.refuse(|| 0), None);
    assert!(lane.enter().is_some());
}

#[test]
fn a_circuit_is_not_forgotten_while_a_thread_has_a_lane_and_a_lane_of_nobody_goes() {
    let mut bench = Bench::new(rows());
    bench.ask_often();
    let (one, other) = (bench.add_lane().unwrap(), bench.add_lane().unwrap());
    assert!(!bench.is_idle(NOW));
    drop(one);
    assert!(!bench.is_idle(NOW));
    assert_eq!(bench.circuit.lanes.len(), 2);
    bench.change(NOW, |_| ());
    assert_eq!(bench.circuit.lanes.len(), 1);
    assert!(other.enter().is_some(), "it is still used");
    drop(other);
    assert!(bench.is_idle(NOW));
    assert!(bench.circuit.lanes.is_empty());
}

/// PITFALLS 61: a map of what callers send that never shrinks, because whoever looks for the idle wakes them.
#[test]
fn to_look_at_a_circuit_keeps_it_no_longer() {
    let mut bench = Bench::new(rows().open_growth(1.0, Duration::from_secs(60)));
    bench.record(Verdict::Failure, NOW);
    assert!(!bench.is_idle(Duration::from_secs(59)));
    bench.change(Duration::from_secs(59), |_| ());
    assert!(bench.is_idle(Duration::from_secs(60)));
}

#[test]
fn a_circuit_is_not_forgotten_while_a_call_is_under_way() {
    let (policy, now) = (CircuitBreakerPolicy::default(), TokioClock.now());
    let mut circuit = Circuit::new(State::new(&policy, 7, now));
    assert!(circuit.is_idle(&policy, now, now));
    assert!(circuit.admit_to_closed().is_some());
    assert!(circuit.admit(&policy, now, now).0.is_ok());
    // Whichever way it was admitted, and however long it takes.
    let later = now + Duration::from_secs(86_400);
    assert!(!circuit.is_idle(&policy, now, later));
    circuit.come_back();
    assert!(!circuit.is_idle(&policy, now, later));
    circuit.come_back();
    assert!(circuit.is_idle(&policy, now, later));
}
