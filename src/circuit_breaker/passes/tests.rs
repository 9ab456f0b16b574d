use super::*;
use crate::circuit_breaker::CircuitBreaker;

// A circuit was kept for as long as a thread remembered it, and no thread forgot any while keys were full.
#[test]
fn a_thread_lets_go_of_a_key_that_others_have_pushed_out_whether_they_get_a_lane_or_not() {
    let (breaker, passes, lane) = (CircuitBreaker::default(), Passes::new(), Lane::shut());
    let lane = Arc::new(lane);
    let spot = crate::keys::Keys::new(1)
        .enter("", || (), |()| false)
        .spot();
    let offer = Offer {
        lane: lane.clone(),
        spot,
        name: "".into(),
    };
    passes.keep(breaker.circuits(), &Key::Text(""), offer);
    let mut keys = (0..).map(|key: u32| key.to_string());
    let other = keys
        .find(|key| passes.place(key) == passes.place(""))
        .unwrap();
    let wants_lane = || matches!(passes.find(&other), Found::Ask { wants_lane: true });
    assert!((1..PATIENCE).all(|_| !wants_lane()));
    assert_eq!(Arc::strong_count(&lane), 2);
    assert!(wants_lane());
    assert_eq!(Arc::strong_count(&lane), 1);
}
