//! What a limiter adds to a call that does not wait.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use http::Request;
use tower::limit::ConcurrencyLimit;
use tower_resilience_ratelimiter::WindowType;
use tower_service::Service;
use tower_upstream::{Limit, Quota, Scope};

use super::peers::{
    KeyedGovernor, PLENTY, by_tenant, governed, governor, governor_of, limited, limiter, ours,
    resilience, tower, tower_governor,
};
use crate::{
    exchange::send,
    harness::Bench,
    least::{LEAST, Least},
    requests::{Inner, Requests, calls, plain, sends},
    rounds::Rounds,
};

pub fn run(bench: &Bench) {
    unkeyed(bench);
    several_limits(bench);
    keyed(bench);
    refused(bench);
}

fn unkeyed(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "one limit");
    let bare = "bare, plain";
    rounds.base("Instant::now()", || {
        || {
            black_box(Instant::now());
        }
    });
    rounds.base(bare, || plain(Inner));
    rounds.row(LEAST, bare, None, || plain(Least::new(PLENTY)));
    let a_minute = || Limit::requests(PLENTY).per_minute();
    rounds.row("one window", bare, 40.0, || {
        plain(ours(limited(a_minute())))
    });
    rounds.against("governor, unkeyed", None);
    rounds.row("one bucket", bare, 40.0, || {
        plain(ours(limited(a_minute().burst(PLENTY))))
    });
    rounds.against("governor, unkeyed", None);
    rounds.row("one cap of 1,000", bare, 40.0, || {
        plain(ours(limiter(Quota::new().max_concurrent(1_000))))
    });
    rounds.against("tower ConcurrencyLimit", None);
    rounds.row("governor, unkeyed", bare, None, || plain(governor(Inner)));
    rounds.row("tower RateLimit", bare, None, || {
        plain(tower(PLENTY, Duration::from_secs(60)))
    });
    rounds.row("tower ConcurrencyLimit", bare, None, || {
        plain(ConcurrencyLimit::new(Inner, 1_000))
    });
    rounds.row("tower-resilience, fixed window", bare, None, || {
        plain(resilience(WindowType::Fixed, PLENTY))
    });
    rounds.row("tower-resilience, sliding counter", bare, None, || {
        plain(resilience(WindowType::SlidingCounter, PLENTY))
    });
    rounds.print();
}

fn several_limits(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "requests and tokens a minute, requests a day");
    let bare = "bare, with a cost";
    rounds.base(bare, || sends(Inner, Requests::of_tokens()));
    let three = || {
        Quota::new()
            .limit(Limit::requests(PLENTY).per_minute())
            .limit(Limit::tokens(PLENTY).per_minute())
            .limit(Limit::requests(PLENTY).per_day())
    };
    rounds.row("three limits, no cap", bare, None, || {
        sends(ours(limiter(three())), Requests::of_tokens())
    });
    rounds.row("three limits and a cap", bare, 90.0, || {
        let capped = three().max_concurrent(1_000);
        sends(ours(limiter(capped)), Requests::of_tokens())
    });
    rounds.against("governor thrice and tower's cap", None);
    rounds.row("governor thrice and tower's cap", bare, None, || {
        let thrice = governor(governor(governor(Inner)));
        sends(ConcurrencyLimit::new(thrice, 1_000), Requests::of_tokens())
    });
    rounds.print();
}

fn keyed(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "one limit, 1,000 keys");
    let (by_tenants, by_upstreams) = ("bare, tenants", "bare, upstreams");
    let tenants = || Requests::of_tenants(KEYS);
    let upstreams = || Requests::of_upstreams(KEYS);
    let a_minute = || Limit::requests(PLENTY).per_minute();
    rounds.base(by_tenants, || sends(Inner, tenants()));
    rounds.base(by_upstreams, || sends(Inner, upstreams()));
    rounds.row("keyed by Scope::by", by_tenants, 65.0, || {
        sends(ours(limited(a_minute()).scope(by_tenant())), tenants())
    });
    rounds.against("governor, keyed", None);
    rounds.row("keyed bucket by Scope::by", by_tenants, 65.0, || {
        let bucket = limited(a_minute().burst(PLENTY));
        sends(ours(bucket.scope(by_tenant())), tenants())
    });
    rounds.against("governor, keyed", None);
    rounds.row("keyed by Scope::Upstream", by_upstreams, 65.0, || {
        let limiter = limited(a_minute()).scope(Scope::Upstream);
        sends(ours(limiter), upstreams())
    });
    rounds.row("governor, keyed", by_tenants, None, || {
        sends(KeyedGovernor::new(governed(PLENTY)), tenants())
    });
    rounds.row("tower_governor", by_tenants, None, || {
        sends(tower_governor(), tenants())
    });
    rounds.print();
}

fn refused(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "refused");
    // A refused request does not come back, so one is made each time.
    let bare = "request made and dropped";
    rounds.base(bare, || || drop(black_box(Request::new(()))));
    rounds.row(LEAST, bare, None, || refusals(Least::new(1)));
    let a_day = || limited(Limit::requests(1).per_day());
    rounds.row("refused for max_wait", bare, 30.0, || {
        refusals(ours(a_day().max_wait(Duration::ZERO)))
    });
    rounds.against("governor, refused", None);
    rounds.row("refused for queue_capacity", bare, 30.0, || {
        refusals(ours(a_day().max_wait(None).queue_capacity(0)))
    });
    rounds.row("refused with a scope", bare, 30.0, || {
        let limiter = a_day().max_wait(Duration::ZERO);
        refusals(ours(limiter.scope(by_tenant())))
    });
    rounds.row("governor, refused", bare, None, || {
        refusals(governor_of(governed(1), Inner))
    });
    rounds.row("tower-resilience, refused", bare, None, || {
        refusals(resilience(WindowType::Fixed, 1))
    });
    rounds.print();
}

/// What is sent after the only request that the limit allows.
fn refusals<S>(mut service: S) -> impl FnMut()
where
    S: Service<Request<()>>,
{
    send(&mut service, Request::new(()));
    calls(service)
}

const KEYS: usize = 1_000;
