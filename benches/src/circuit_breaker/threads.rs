//! Two threads at once.

use tower_resilience_circuitbreaker::SlidingWindowType;

use super::peers::{
    breaker, by_tenant, failsafe_in_a_row, in_a_row, ours, over_calls, over_time, recloser,
    resilience,
};
use crate::{
    harness::Bench,
    least::{LEAST, Least},
    race::{BARE, Row, compare},
    requests::{Inner, Requests},
};

pub fn run(bench: &Bench) {
    let plain = |_| Requests::plain();
    let peer = resilience(SlidingWindowType::CountBased).0;
    compare(
        bench,
        "two threads, one circuit",
        PEER,
        vec![
            Row::new(BARE, Inner, plain),
            Row::new(PEER, peer, plain),
            Row::new(LEAST, Least::new(u64::MAX), plain),
            Row::new("failsafe, in a row", failsafe_in_a_row(), plain),
            Row::new("recloser", recloser(), plain),
            Row::new("a row of failures", ours(breaker(in_a_row())), plain).goal(20.0),
            Row::new("count window", ours(breaker(over_calls())), plain).goal(20.0),
            Row::new("time window", ours(breaker(over_time())), plain).goal(20.0),
        ],
    );
    let keyed = || ours(breaker(over_calls()).scope(by_tenant()));
    let peer = resilience(SlidingWindowType::CountBased).0;
    compare(
        bench,
        "two threads, two circuits",
        PEER,
        vec![
            Row::new(BARE, Inner, Requests::of_tenant),
            Row::new(PEER, peer, Requests::of_tenant),
            Row::new("count window, keyed", keyed(), Requests::of_tenant),
        ],
    );
}

/// What the others are held against.
const PEER: &str = "tower-resilience, one for all";
