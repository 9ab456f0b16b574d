//! What a call costs that a layer refuses.

use std::hint::black_box;

use tower_layer::Layer;

use super::{ours, peers};
use crate::{
    exchange::{Inner, light, send, sends_copies},
    harness::Bench,
    rounds::Rounds,
};

/// A refused request does not come back, so it is a copy each time.
pub fn run(bench: &Bench) {
    use ours::{breaker, fallback, limit, open_breaker, retry, used_up};
    let mut rounds = Rounds::new(bench, "a light request is refused");
    let bare = "request copied and dropped";
    rounds.base(bare, || {
        let request = light();
        move || drop(black_box(request.clone()))
    });
    macro_rules! row {
        ($name:literal, $($layer:expr),+) => {
            rounds.row($name, bare, None, || {
                let mut service = ($($layer,)+).layer(Inner);
                // Both upstreams take the one request that their limits allow.
                (0..2).for_each(|_| send(&mut service, light()));
                sends_copies(service, light())
            });
        };
    }
    let theirs = "tower-resilience's three, limit";
    row!(
        "tower-resilience's three, limit",
        peers::retry_of_none(),
        peers::breaker(),
        peers::used_up()
    );
    row!("three layers, limit", retry(), breaker(), used_up());
    rounds.against(theirs, None);
    let theirs = "tower-resilience's three, circuit";
    row!(
        "tower-resilience's three, circuit",
        peers::retry_of_none(),
        peers::open_breaker(),
        peers::limit()
    );
    row!("three layers, circuit", retry(), open_breaker(), limit());
    rounds.against(theirs, None);
    let theirs = "tower-resilience's four, limit";
    row!(
        "tower-resilience's four, limit",
        peers::fallback(),
        peers::retry_of_none(),
        peers::breaker(),
        peers::used_up()
    );
    row!(
        "four layers, limit of both",
        fallback(),
        retry(),
        breaker(),
        used_up()
    );
    rounds.against(theirs, None);
    let theirs = "tower-resilience's four, circuit";
    row!(
        "tower-resilience's four, circuit",
        peers::fallback(),
        peers::retry_of_none(),
        peers::open_breaker(),
        peers::limit()
    );
    row!(
        "four layers, circuit of both",
        fallback(),
        retry(),
        open_breaker(),
        limit()
    );
    rounds.against(theirs, None);
    rounds.print();
}
