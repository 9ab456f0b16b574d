use http::Request;

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

// What a service keeps must not keep a circuit for ever, as what threads keep must not.
#[test]
fn a_service_lets_go_of_its_usual_pass_when_it_is_asked_for_others() {
    let (breaker, passes) = (CircuitBreaker::default(), Passes::new());
    let spot = crate::keys::Keys::new(1)
        .enter("", || (), |()| false)
        .spot();
    let mut others = (0..).map(|key: u32| key.to_string());
    let other = others.find(|key| passes.place(key) != passes.place("one"));
    let keys = ["one".to_owned(), other.unwrap()];
    let lanes = keys.each_ref().map(|key| {
        let lane = Arc::new(Lane::shut());
        lane.open(7, EVER);
        let offer = Offer {
            lane: lane.clone(),
            spot,
        };
        passes.keep(breaker.circuits(), &Key::Text(key), offer);
        lane
    });
    let [one, two] = keys.each_ref().map(|key| match passes.find(key) {
        Found::Open(pass, _) => pass,
        _ => panic!("its lane is open"),
    });
    let requests = keys.each_ref().map(|host| {
        let request = Request::get(format!("http://{host}/"));
        request.body(()).unwrap()
    });
    let mut usual = Usual::default();
    let finds = |usual: &mut Usual, at: usize| {
        let head = RequestHead::of(&requests[at]);
        usual.find(&Scope::Host, &head).is_some()
    };
    assert!(!finds(&mut usual, 0));
    let held = Arc::strong_count(&one);
    usual.miss(&Scope::by(|_| "one".into()), Some(&one));
    assert_eq!(Arc::strong_count(&one), held, "it would never be found");
    usual.miss(&Scope::Host, Some(&one));
    for _ in 1..FAITH {
        usual.miss(&Scope::Host, Some(&two));
    }
    assert!(
        finds(&mut usual, 0),
        "not often enough, one after the other"
    );
    (1..FAITH).for_each(|_| usual.miss(&Scope::Host, Some(&two)));
    assert!(!finds(&mut usual, 1));
    usual.miss(&Scope::Host, Some(&two));
    assert!(finds(&mut usual, 1) && !finds(&mut usual, 0));
    assert_eq!(Arc::strong_count(&one), 2);
    (0..FAITH).for_each(|_| usual.miss(&Scope::Host, None));
    assert!(!finds(&mut usual, 1));
    drop(lanes);

    // Another thread has a lane of its own.
    usual.miss(&Scope::Host, Some(&one));
    let found = std::thread::scope(|scope| {
        let mut usual = usual.clone();
        let finds = scope.spawn(move || {
            let request = Request::get("http://one/").body(()).unwrap();
            usual
                .find(&Scope::Host, &RequestHead::of(&request))
                .is_some()
        });
        finds.join().unwrap()
    });
    assert!(finds(&mut usual, 0) && !found);
}
