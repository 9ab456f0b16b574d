use super::*;

fn open(epoch: u32, until: u64) -> (Lane, Ticket) {
    let lane = Lane::shut();
    lane.open(epoch, until);
    let ticket = lane.enter().expect("it is open");
    assert_eq!(ticket, Ticket { epoch, round: 0 });
    (lane, ticket)
}

fn good(good: u32) -> Passed {
    Passed { good, refused: 0 }
}

#[test]
fn who_shuts_a_lane_is_told_how_many_have_passed_and_nobody_passes_a_shut_one() {
    let (lane, ticket) = open(7, 100);
    assert!((0..3).all(|_| lane.count(ticket, || 99)));
    assert!(!lane.is_barred());
    assert_eq!(lane.close(), good(3));
    assert!(!lane.is_barred());
    assert_eq!(lane.enter(), None);
    assert!(!lane.count(ticket, || 99));
    assert_eq!(lane.close(), good(0));
}

#[test]
fn a_call_counts_in_the_epoch_that_admitted_it_or_not_at_all() {
    // The last epoch is all ones, as the upper half of a shut lane is.
    for (before, after) in [(0, 1), (7, 8), (u32::MAX, 0), (u32::MAX - 1, u32::MAX)] {
        let (lane, old) = open(before, 100);
        lane.close();
        lane.open(after, 100);
        assert!(!lane.count(old, || 0), "{before}");
        assert!(lane.count(lane.enter().unwrap(), || 0), "{after}");
        assert_eq!(lane.close(), good(1));
    }
}

#[test]
fn from_its_time_on_good_calls_are_told_to_the_circuit() {
    let (lane, ticket) = open(7, 100);
    assert!(lane.count(ticket, || 99));
    assert!(!lane.count(ticket, || 100));
    assert!(!lane.count(ticket, || 101));
    assert_eq!(lane.close(), good(1));
}

#[test]
fn a_full_lane_passes_its_calls_on_before_their_number_reaches_the_epoch() {
    let (lane, ticket) = open(7, 100);
    assert!((0..MOST).all(|_| lane.count(ticket, || 0)));
    assert!(!lane.count(ticket, || 0));
    assert_eq!(u64::from(lane.close().good), MOST);
}

#[test]
fn a_barred_lane_refuses_until_its_time_and_its_refusals_are_counted_apart() {
    let lane = Lane::shut();
    assert_eq!(lane.refuse(|| 0), None);
    lane.bar(u32::MAX, "a probe failed", 100);
    assert_eq!(lane.enter(), None);
    assert!(!lane.count(
        Ticket {
            epoch: u32::MAX,
            round: 0
        },
        || 0
    ));
    let (reason, wait) = ("a probe failed", 1);
    assert_eq!(lane.refuse(|| 99), Some(Turned { reason, wait }));
    assert_eq!(lane.refuse(|| 100), None);
    assert_eq!(lane.refuse(|| 101), None);
    let passed = Passed {
        good: 0,
        refused: 1,
    };
    assert_eq!(lane.close(), passed);
    assert_eq!(lane.refuse(|| 0), None);
}

#[test]
fn a_lane_that_is_barred_for_ever_asks_no_clock_and_each_reason_comes_back_as_it_was() {
    for reason in REASONS {
        let lane = Lane::shut();
        lane.bar(7, reason, EVER);
        assert!(lane.is_barred());
        let turned = lane.refuse(|| panic!("the time does not matter"));
        assert_eq!(turned, Some(Turned { reason, wait: EVER }));
    }
    let lane = Lane::shut();
    lane.bar(7, "a reason that no lane knows", EVER);
    assert_eq!(lane.refuse(|| 0), None, "the circuit says it");
}

#[test]
fn a_barred_lane_that_is_full_passes_its_calls_on() {
    let lane = Lane::shut();
    lane.bar(7, REASONS[0], EVER);
    assert!((0..MOST).all(|_| lane.refuse(|| 0).is_some()));
    assert_eq!(lane.refuse(|| 0), None);
    assert_eq!(u64::from(lane.close().refused), MOST);
}
