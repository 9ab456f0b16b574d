//! Mistakes that others made in breaking circuits, each as a test that fails where it is made again. `PITFALLS` and a number
//! stand for a mistake in the list that the crate was built against. Those that lie in a state or a window alone are tested
//! there: 31 and 33 (tower-resilience) and 52 (liter-llm) in the state, 35 and 39 in the window, 32 among the settings.

use super::*;
use crate::clock::ManualClock;

// PITFALLS 34: failsafe and recloser let everybody through a half-open circuit.
#[tokio::test(start_paused = true)]
async fn no_more_than_the_probes_are_under_way_at_once() {
    let breaker = breaker();
    breaker.force_half_open(HOST);
    let (client, mut server) = client();
    server.allow(99);
    let mut service = guarded(client, &breaker);
    let mut calls: Vec<_> = (0..50)
        .map(|_| {
            let _ = service.ready().now_or_never();
            Box::pin(service.call(request()))
        })
        .collect();
    let refused = calls.iter_mut().filter_map(|call| call.now_or_never());
    assert_eq!(refused.filter(|result| result.is_err()).count(), 49);
}

// PITFALLS 36: tower-resilience reads std's clock, which paused time does not move.
#[tokio::test]
async fn all_times_are_those_of_the_clock_that_was_given() {
    let clock = ManualClock::new();
    let breaker = breaker().clock(clock.clone());
    fail_until_open(&breaker).await;
    clock.advance(ms(999));
    call(&breaker, 200).await.unwrap_err();
    clock.advance(ms(1));
    call(&breaker, 200).await.unwrap();
}

// PITFALLS 37: calls that a timeout outside cut off were never recorded.
#[tokio::test(start_paused = true)]
async fn calls_that_an_outer_timeout_cut_off_count_where_the_policy_says_so() {
    let (client, mut server) = client();
    server.allow(99);
    for (dropped_after, expected) in [
        (None, CircuitState::Closed),
        (Some(ms(501)), CircuitState::Closed),
        (Some(ms(500)), CircuitState::Open),
        (Some(ms(0)), CircuitState::Open),
    ] {
        let mut policy = CircuitBreakerPolicy::never().consecutive_failures(3);
        if let Some(time) = dropped_after {
            policy = policy.dropped_after(time);
        }
        let breaker = CircuitBreaker::new(policy).unwrap();
        let mut service = guarded(client.clone(), &breaker);
        for _ in 0..3 {
            // One that nobody polled was not sent.
            drop(service.ready().await.unwrap().call(request()));
            let mut call = Box::pin(service.ready().await.unwrap().call(request()));
            assert!((&mut call).now_or_never().is_none());
            TokioClock.sleep_until(TokioClock.now() + ms(500)).await;
            drop(call);
        }
        assert_eq!(breaker.state(HOST), expected, "{dropped_after:?}");
    }
}

// PITFALLS 38, opencode-go PR #6: one bad request's deterministic 500 opened the breaker of every key.
// dsh-llm-fallbacks#106: a context that was too long cooled a healthy route.
#[tokio::test(start_paused = true)]
async fn one_key_is_not_another_and_a_request_that_is_too_large_is_no_ill_health() {
    let scope = crate::Scope::by(|head| head.uri.path().into());
    let breaker = breaker().scope(scope);
    let send = |path: &'static str, status| {
        let inner =
            service_fn(move |_: Request<()>| async move { Ok::<_, BoxError>(answer(status)) });
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(inner);
        service.oneshot(Request::get(path).body(()).unwrap())
    };
    for _ in 0..3 {
        send("/bad", 500).await.unwrap();
        send("/long", 413).await.unwrap();
    }
    send("/bad", 200).await.unwrap_err();
    send("/long", 200).await.unwrap();
    send("/good", 200).await.unwrap();
}

// PITFALLS 40: a gauge of the state that stuck, and events that were made though nobody listened.
#[tokio::test(start_paused = true)]
async fn the_state_that_is_told_is_the_state_and_calls_tell_nothing() {
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = told.clone();
    let breaker = breaker().observe(move |event: &Event<'_>| {
        let state = match event {
            Event::Opened { .. } => CircuitState::Open,
            Event::HalfOpened { .. } => CircuitState::HalfOpen,
            Event::Closed { .. } => CircuitState::Closed,
            other => panic!("{other:?}"),
        };
        log.lock().unwrap().push(state);
    });
    for _ in 0..100 {
        call(&breaker, 200).await.unwrap();
    }
    assert!(told.lock().unwrap().is_empty());
    fail_until_open(&breaker).await;
    for status in [500, 500, 200] {
        TokioClock.sleep_until(TokioClock.now() + ms(1_000)).await;
        call(&breaker, status).await.unwrap();
        assert_eq!(told.lock().unwrap().last(), Some(&breaker.state(HOST)));
    }
}

// PITFALLS 53, liter-llm: whether a call is a probe was asked in `call`, and its place was taken at the first poll.
#[tokio::test(start_paused = true)]
async fn a_future_that_is_never_polled_gives_its_place_back_and_no_verdict() {
    let policy = CircuitBreakerPolicy::never().dropped_after(ms(0)).probes(1);
    let breaker = CircuitBreaker::new(policy.successes(1)).unwrap();
    breaker.force_half_open(HOST);
    let (client, mut server) = client();
    server.allow(9);
    let mut service = guarded(client, &breaker);
    drop(service.ready().await.unwrap().call(request()));
    assert_eq!(breaker.state(HOST), CircuitState::HalfOpen);
    call(&breaker, 200).await.unwrap();
    assert_eq!(breaker.state(HOST), CircuitState::Closed);
}
