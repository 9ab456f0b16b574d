//! What the layers add to a call that goes through, and to which all is well.

use http::Request;
use tower_layer::Layer;

use super::{ours, peers};
use crate::{
    exchange::{Body, Inner, light, real, sends, sends_copies},
    harness::Bench,
    rounds::Rounds,
};

pub fn light_ones(bench: &Bench) {
    run(bench, "a light request", light);
}

pub fn real_ones(bench: &Bench) {
    run(bench, "a real request", real);
}

fn run(bench: &Bench, title: &'static str, make: fn() -> Request<Body>) {
    use ours::{breaker, fallback, limit, lone, retry, stack};
    let mut rounds = Rounds::new(bench, title);
    rounds.base(BARE, || sends(Inner, make()));
    macro_rules! row {
        ($name:literal, $($layer:expr),+) => {
            rounds.row($name, BARE, None, || sends(($($layer,)+).layer(Inner), make()));
        };
    }
    row!("limit alone", limit());
    row!("breaker alone", breaker());
    row!("retry alone", retry());
    row!("fallback alone", fallback());
    row!("fallback, chain of one", lone());
    row!("breaker and limit", breaker(), limit());
    row!("retry and limit", retry(), limit());
    row!("retry and breaker", retry(), breaker());
    row!("fallback and limit", fallback(), limit());
    row!("fallback and breaker", fallback(), breaker());
    row!("fallback and retry", fallback(), retry());
    row!("three, no fallback", retry(), breaker(), limit());
    row!("four layers", fallback(), retry(), breaker(), limit());
    row!("four, one upstream", lone(), retry(), breaker(), limit());
    row!("tower-resilience's limit", peers::limit());
    row!("tower-resilience's breaker", peers::breaker());
    row!("tower-resilience's retry", peers::retry());
    row!("tower-resilience's fallback", peers::fallback());
    row!(
        "tower-resilience's three",
        peers::retry(),
        peers::breaker(),
        peers::limit()
    );
    row!(
        "tower-resilience's four",
        peers::fallback(),
        peers::retry(),
        peers::breaker(),
        peers::limit()
    );
    // What goes out is not what came in.
    rounds.base(COPIED, || sends_copies(Inner, make()));
    rounds.row("six layers", COPIED, None, || {
        sends_copies(stack(|stack| stack.without_stats()).layer(Inner), make())
    });
    rounds.row("Stats over all six", COPIED, None, || {
        sends_copies(stack(|stack| stack).layer(Inner), make())
    });
    rounds.print();
}

pub const BARE: &str = "bare service";
/// That the request is copied for each call.
pub const COPIED: &str = "bare, a copy of the request";
