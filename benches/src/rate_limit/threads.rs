//! Two threads at once.

use tower_resilience_ratelimiter::WindowType;
use tower_upstream::Limit;

use super::peers::{
    KeyedGovernor, PLENTY, by_tenant, governed, governor, limited, ours, resilience,
};
use crate::{
    harness::Bench,
    least::{LEAST, Least},
    race::{BARE, Row, compare},
    requests::{Inner, Requests},
};

pub fn run(bench: &Bench) {
    let unkeyed = |_| Requests::plain();
    let window = ours(limited(Limit::requests(PLENTY).per_minute()));
    let peer = resilience(WindowType::Fixed, PLENTY);
    compare(
        bench,
        "two threads, one limit",
        PEER,
        vec![
            Row::new(BARE, Inner, unkeyed),
            Row::new(PEER, peer, unkeyed),
            Row::new(LEAST, Least::new(PLENTY), unkeyed),
            Row::new("governor", governor(Inner), unkeyed),
            Row::new("one window", window, unkeyed).goal(6.0),
        ],
    );

    let same = |_| Requests::of_tenant(0);
    let keyed = || {
        let limit = limited(Limit::requests(PLENTY).per_minute());
        ours(limit.scope(by_tenant()))
    };
    let governor = || KeyedGovernor::new(governed(PLENTY));
    let peer = resilience(WindowType::Fixed, PLENTY);
    compare(
        bench,
        "two threads, the same key",
        PEER,
        vec![
            Row::new(BARE, Inner, same),
            Row::new(PEER, peer, same),
            Row::new("governor, keyed", governor(), same),
            Row::new("one window, keyed", keyed(), same).goal(6.0),
        ],
    );

    let peer = resilience(WindowType::Fixed, PLENTY);
    compare(
        bench,
        "two threads, different keys",
        PEER,
        vec![
            Row::new(BARE, Inner, Requests::of_tenant),
            Row::new(PEER, peer, Requests::of_tenant),
            Row::new("governor, keyed", governor(), Requests::of_tenant),
            Row::new("one window, keyed", keyed(), Requests::of_tenant),
        ],
    );
}

/// What the others are held against.
const PEER: &str = "tower-resilience, one for all";
