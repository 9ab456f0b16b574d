//! What the layers add to a call that goes through, and to which all is well.

use http::Request;
use tower_layer::Layer;
use tower_upstream::observe::Stats;

use super::{ours, peers};
use crate::{
    exchange::{Body, Inner, light, real, sends, sends_copies},
    harness::Bench,
    race::BARE,
    rounds::Rounds,
};

pub fn light_ones(bench: &Bench) {
    run(bench, "a light request", light, 160.0);
}

pub fn real_ones(bench: &Bench) {
    run(bench, "a real request", real, None);
}

/// `goal` is that of the four, in nanoseconds.
fn run(
    bench: &Bench,
    title: &'static str,
    make: fn() -> Request<Body>,
    goal: impl Into<Option<f64>>,
) {
    use ours::{breaker, fallback, four, four_watched, limit, lone, retry, stack};
    let mut rounds = Rounds::new(bench, title);
    rounds.base(BARE, || sends(Inner, make()));
    macro_rules! row {
        ($name:expr, $($layer:expr),+) => {
            rounds.row($name, BARE, None, || sends(($($layer,)+).layer(Inner), make()));
        };
    }
    row!(MARKED, ours::marks());
    row!(THEIR_LIMIT, peers::limit());
    row!("limit alone", limit());
    rounds.against(THEIR_LIMIT, None);
    row!(THEIR_BREAKER, peers::breaker());
    row!("breaker alone", breaker());
    rounds.against(THEIR_BREAKER, None);
    row!(THEIR_RETRY, peers::retry());
    row!("retry alone", retry());
    rounds.against(THEIR_RETRY, None);
    row!(THEIR_FALLBACK, peers::fallback());
    row!("fallback alone", fallback());
    rounds.against(THEIR_FALLBACK, None);
    row!("fallback, chain of one", lone());
    rounds.against(THEIR_FALLBACK, None);
    row!("breaker and limit", breaker(), limit());
    row!("retry and limit", retry(), limit());
    row!("retry and breaker", retry(), breaker());
    row!("fallback and limit", fallback(), limit());
    row!("fallback and breaker", fallback(), breaker());
    row!("fallback and retry", fallback(), retry());
    row!(
        THEIR_THREE,
        peers::retry(),
        peers::breaker(),
        peers::limit()
    );
    row!("three, no fallback", retry(), breaker(), limit());
    rounds.against(THEIR_THREE, None);
    rounds.row(THEIR_FOUR, BARE, None, || sends(peers::four(Inner), make()));
    rounds.row("four layers", BARE, goal, || sends(four(Inner), make()));
    rounds.against(THEIR_FOUR, 0.22);
    row!("four, one upstream", lone(), retry(), breaker(), limit());
    rounds.against(THEIR_FOUR, None);
    rounds.row("Stats over the four", BARE, None, || {
        sends(four_watched(Stats::new(), Inner), make())
    });
    // What goes out is not what came in.
    rounds.base(COPIED, || sends_copies(Inner, make()));
    rounds.row("six layers", COPIED, None, || {
        sends_copies(stack(|stack| stack.without_stats()).layer(Inner), make())
    });
    rounds.row("Stats over all six", COPIED, None, || {
        sends_copies(stack(|stack| stack).layer(Inner), make())
    });
    rounds.base(ASKED, || sends_copies(Inner, ours::asked(make())));
    rounds.row("a gateway's six", ASKED, None, || {
        sends_copies(ours::granted().layer(Inner), ours::asked(make()))
    });
    rounds.print();
}

// No name holds another.
const THEIR_LIMIT: &str = "tower-resilience's limit";
const THEIR_BREAKER: &str = "tower-resilience's breaker";
const THEIR_RETRY: &str = "tower-resilience's retry";
const THEIR_FALLBACK: &str = "tower-resilience's fallback";
const THEIR_THREE: &str = "tower-resilience's three";
const THEIR_FOUR: &str = "tower-resilience's four";
/// Where a request goes, and who answered, is one value in the extensions of each. In maps that are empty, that is what a chain
/// cannot go below.
pub const MARKED: &str = "two extensions and no layer";
/// That the request is copied for each call.
pub const COPIED: &str = "bare, a copy of the request";
/// The same of a request that brings wishes.
pub const ASKED: &str = "bare, with a caller's wishes";
