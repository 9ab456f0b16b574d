//! Real threads on one breaker.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::*;
use crate::{circuit_breaker::passes::Found, clock::ManualClock};

/// Calls at once a service that answers with this status.
fn send(breaker: &CircuitBreaker, host: &str, status: u16) -> Result<(), Error> {
    let inner = service_fn(move |_: Request<()>| async move { Ok::<_, BoxError>(answer(status)) });
    let service = CircuitBreakerLayer::new(breaker.clone()).layer(inner);
    let request = Request::get(format!("http://{host}/")).body(()).unwrap();
    let call = service.oneshot(request).now_or_never();
    drop(call.expect("it answers at once")?);
    Ok(())
}

#[test]
fn every_result_of_every_thread_counts_once() {
    let policy = CircuitBreakerPolicy::never()
        .failure_rate(1.0)
        .window(Over::Calls(MAX_CALLS))
        .minimum_calls(MAX_CALLS);
    let breaker = CircuitBreaker::new(policy)
        .unwrap()
        .clock(ManualClock::new());
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let breaker = &breaker;
            scope.spawn(move || {
                for call in 0..4_000 {
                    let host = if call % 3 == 0 { "one" } else { "two" };
                    let has_failed = (call + thread) % 100 == 0;
                    send(breaker, host, if has_failed { 500 } else { 200 }).unwrap();
                    if call % 500 == 0 {
                        breaker.metrics(host);
                    }
                }
            });
        }
    });
    let count = |host| {
        breaker
            .metrics(host)
            .map(|told| (told.calls, told.failures))
    };
    let (one, two) = (count("one").unwrap(), count("two").unwrap());
    assert_eq!(one.0, 4 * 1_334);
    assert_eq!(two.0, 4 * 2_666);
    assert_eq!(one.1 + two.1, 160);
}

#[test]
fn who_has_made_some_good_calls_meets_no_lock_until_a_failure_gives_something_to_decide() {
    let breaker = CircuitBreaker::default().clock(ManualClock::new());
    let meets_no_lock = || matches!(breaker.find(HOST), Found::Open(..));
    assert!(!meets_no_lock());
    for _ in 0..10 {
        send(&breaker, HOST, 200).unwrap();
    }
    assert!(meets_no_lock());
    assert_eq!(breaker.metrics(HOST).unwrap().calls, 10);
    assert!(meets_no_lock(), "to look at it shuts it for nobody");
    send(&breaker, HOST, 500).unwrap();
    assert!(!meets_no_lock());
    breaker.reset(HOST);
    // A time window begins with a call.
    assert!(!meets_no_lock());
    send(&breaker, HOST, 200).unwrap();
    assert!(meets_no_lock());
}

#[test]
fn threads_that_come_together_send_no_more_than_the_probes() {
    let clock = ManualClock::new();
    let policy = CircuitBreakerPolicy::never()
        .consecutive_failures(1)
        .open_for(ms(1_000))
        .open_growth(1.0, ms(1_000))
        .jitter(0.0)
        .probes(2)
        .successes(2);
    let breaker = CircuitBreaker::new(policy).unwrap().clock(clock.clone());
    for _ in 0..200 {
        breaker.reset(HOST);
        send(&breaker, HOST, 500).unwrap();
        clock.advance(ms(1_000));
        let sent = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let ended = send(&breaker, HOST, 500);
                        sent.fetch_add(u32::from(ended.is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        let sent = sent.into_inner();
        assert!((1..=2).contains(&sent), "{sent} were sent");
        assert_eq!(breaker.state(HOST), CircuitState::Open);
    }
}
