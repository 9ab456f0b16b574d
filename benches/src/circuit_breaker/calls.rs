//! What a breaker adds to a call.

use std::{
    future::Future,
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use http::Request;
use tower_resilience_circuitbreaker::SlidingWindowType;
use tower_upstream::{
    CircuitBreakerPolicy, Scope,
    circuit_breaker::{Answer, Verdict},
};

use super::peers::{
    breaker, by_tenant, failsafe_in_a_row, failsafe_over_time, in_a_row, ours, over_calls,
    over_time, recloser, resilience,
};
use crate::{
    exchange::send,
    harness::Bench,
    least::{LEAST, Least},
    requests::{Inner, Requests, calls, plain, sends},
    rounds::Rounds,
};

pub fn run(bench: &Bench) {
    closed(bench);
    keyed(bench);
    refused(bench);
}

fn closed(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "closed, all succeed");
    let bare = "bare, plain";
    rounds.base("Instant::now()", || {
        || {
            black_box(Instant::now());
        }
    });
    rounds.base(bare, || plain(Inner));
    rounds.row(LEAST, bare, None, || plain(Least::new(u64::MAX)));
    let slow = |policy: CircuitBreakerPolicy| policy.slow_call_rate(0.5, Duration::from_secs(1));
    rounds.row("a row of failures", bare, 35.0, || {
        plain(ours(breaker(in_a_row())))
    });
    rounds.against("failsafe, in a row", None);
    rounds.row("count window", bare, 35.0, || {
        plain(ours(breaker(over_calls())))
    });
    rounds.against("recloser", None);
    // Every fiftieth fails, so that the window is never clean.
    rounds.row("some fail", bare, None, || {
        let calls = AtomicU32::new(0);
        let judge = move |_: &Answer<'_>| match calls.fetch_add(1, Ordering::Relaxed) % 50 {
            0 => Verdict::Failure,
            _ => Verdict::Success,
        };
        plain(ours(breaker(over_calls()).judge(judge)))
    });
    rounds.row("time window", bare, 45.0, || {
        plain(ours(breaker(over_time())))
    });
    rounds.against("failsafe, over time", None);
    rounds.row("the default", bare, 45.0, || {
        plain(ours(breaker(CircuitBreakerPolicy::default())))
    });
    rounds.row("slow ones too, calls", bare, None, || {
        plain(ours(breaker(slow(over_calls()))))
    });
    rounds.row("failsafe, in a row", bare, None, || {
        plain(failsafe_in_a_row())
    });
    rounds.row("failsafe, over time", bare, None, || {
        plain(failsafe_over_time())
    });
    rounds.row("recloser", bare, None, || plain(recloser()));
    rounds.row("tower-resilience, calls", bare, None, || {
        plain(resilience(SlidingWindowType::CountBased).0)
    });
    // Every call looks at all that are kept: the longer the bench, the slower.
    rounds.row("tower-resilience, time", bare, None, || {
        plain(resilience(SlidingWindowType::TimeBased).0)
    });
    rounds.print();
}

fn keyed(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "closed, 1,000 keys");
    let (by_tenants, by_upstreams) = ("bare, tenants", "bare, upstreams");
    let tenants = || Requests::of_tenants(KEYS);
    let upstreams = || Requests::of_upstreams(KEYS);
    rounds.base(by_tenants, || sends(Inner, tenants()));
    rounds.base(by_upstreams, || sends(Inner, upstreams()));
    rounds.row("keyed by Scope::by", by_tenants, None, || {
        sends(ours(breaker(over_calls()).scope(by_tenant())), tenants())
    });
    rounds.row("keyed by Scope::Upstream", by_upstreams, None, || {
        let breaker = breaker(over_calls()).scope(Scope::Upstream);
        sends(ours(breaker), upstreams())
    });
    rounds.row("keyed time", by_upstreams, None, || {
        let breaker = breaker(over_time()).scope(Scope::Upstream);
        sends(ours(breaker), upstreams())
    });
    rounds.print();
}

fn refused(bench: &Bench) {
    let mut rounds = Rounds::new(bench, "open");
    // A refused request does not come back, so one is made each time.
    let bare = "request made and dropped";
    rounds.base(bare, || || drop(black_box(Request::new(()))));
    rounds.row(LEAST, bare, None, || calls(Least::new(0)));
    rounds.row("refused while open", bare, 30.0, || {
        // Its answers, all good, have been judged to be failures.
        let breaker = breaker(in_a_row().open_for(Duration::from_secs(3_600)));
        let mut service = ours(breaker.judge(|_| Verdict::Failure));
        (0..5).for_each(|_| send(&mut service, Request::new(())));
        calls(service)
    });
    rounds.against("failsafe, refused", None);
    rounds.row("refused when forced open", bare, 30.0, || {
        let breaker = breaker(in_a_row());
        breaker.force_open("");
        calls(ours(breaker))
    });
    rounds.row("failsafe, refused", bare, None, || {
        let service = failsafe_in_a_row();
        (0..5).for_each(|_| service.machine.on_error());
        calls(service)
    });
    rounds.row("tower-resilience, refused", bare, None, || {
        let (service, handle) = resilience(SlidingWindowType::CountBased);
        let mut forced = Box::pin(handle.force_open());
        let mut context = Context::from_waker(Waker::noop());
        assert!(forced.as_mut().poll(&mut context).is_ready());
        calls(service)
    });
    rounds.print();
}

const KEYS: usize = 1_000;
