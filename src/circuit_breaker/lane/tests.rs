use super::*;

fn open(epoch: u32, until: u64) -> (Lane, Ticket) {
    let lane = Lane::shut();
    lane.open(epoch, until);
    let ticket = lane.enter().expect("it is open");
    assert_eq!(ticket, Ticket { epoch, round: 0 });
    (lane, ticket)
}

#[test]
fn who_shuts_a_lane_is_told_how_many_have_passed_and_nobody_passes_a_shut_one() {
    let (lane, ticket) = open(7, 100);
    assert!((0..3).all(|_| lane.count(ticket, 99)));
    assert_eq!(lane.close(), 3);
    assert_eq!(lane.enter(), None);
    assert!(!lane.count(ticket, 99));
    assert_eq!(lane.close(), 0);
}

#[test]
fn a_call_counts_in_the_epoch_that_admitted_it_or_not_at_all() {
    // The last epoch is all ones, as the upper half of a shut lane is.
    for (before, after) in [(0, 1), (7, 8), (u32::MAX, 0), (u32::MAX - 1, u32::MAX)] {
        let (lane, old) = open(before, 100);
        lane.close();
        lane.open(after, 100);
        assert!(!lane.count(old, 0), "{before}");
        assert!(lane.count(lane.enter().unwrap(), 0), "{after}");
        assert_eq!(lane.close(), 1);
    }
}

#[test]
fn from_its_time_on_good_calls_are_told_to_the_circuit() {
    let (lane, ticket) = open(7, 100);
    assert!(lane.count(ticket, 99));
    assert!(!lane.count(ticket, 100));
    assert!(!lane.count(ticket, 101));
    assert_eq!(lane.close(), 1);
}

#[test]
fn a_full_lane_passes_its_calls_on_before_their_number_reaches_the_epoch() {
    let (lane, ticket) = open(7, 100);
    assert!((0..MOST).all(|_| lane.count(ticket, 0)));
    assert!(!lane.count(ticket, 0));
    assert_eq!(u64::from(lane.close()), MOST);
}
