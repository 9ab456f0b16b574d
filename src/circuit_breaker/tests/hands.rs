//! What a person does to a circuit by its handle, and what the handle and its events tell.

use std::sync::{Arc, Mutex};

use super::*;
use crate::clock::ManualClock;

/// A breaker, and what it has told.
fn told() -> (CircuitBreaker, Arc<Mutex<Vec<String>>>) {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let log = told.clone();
    let breaker = breaker().observe(move |event: &Event<'_>| {
        log.lock().unwrap().push(match event {
            Event::Opened { key, wait, reason } => format!("{key} opened for {wait:?}: {reason}"),
            Event::HalfOpened { key, reason } => format!("{key} half-opened: {reason}"),
            Event::Closed { key, reason } => format!("{key} closed: {reason}"),
            Event::Disabled { key } => format!("{key} disabled"),
            other => format!("{other:?}"),
        });
    });
    (breaker, told)
}

#[tokio::test(start_paused = true)]
async fn each_change_by_hand_is_told_and_holds_until_a_reset() {
    let (breaker, told) = told();
    breaker.force_open(HOST);
    call(&breaker, 200).await.unwrap_err();
    breaker.force_closed(HOST);
    for _ in 0..5 {
        call(&breaker, 500).await.unwrap();
    }
    assert_eq!(breaker.state(HOST), CircuitState::ForcedClosed);
    breaker.disable(HOST);
    for _ in 0..5 {
        call(&breaker, 500).await.unwrap();
    }
    assert_eq!(breaker.state(HOST), CircuitState::Disabled);
    breaker.force_half_open(HOST);
    assert_eq!(breaker.state(HOST), CircuitState::HalfOpen);
    breaker.reset(HOST);
    breaker.force_open("other");
    breaker.reset_all();
    breaker.reset("nobody");
    let mut told = told.lock().unwrap().clone();
    let (all, one) = (told.split_off(5), told);
    assert_eq!(
        one,
        [
            "api.example.com opened for None: forced open",
            "api.example.com closed: forced closed",
            "api.example.com disabled",
            "api.example.com half-opened: forced half-open",
            "api.example.com closed: reset",
        ]
    );
    assert!(all.contains(&"api.example.com closed: reset".to_owned()));
    assert!(all.contains(&"other closed: reset".to_owned()));
    assert_eq!(all.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_rates_times_and_how_often() {
    let clock = ManualClock::new();
    let policy = CircuitBreakerPolicy::never()
        .failure_rate(0.5)
        .slow_call_rate(1.0, ms(100))
        .minimum_calls(8)
        .open_for(ms(1_000))
        .jitter(0.0);
    let breaker = CircuitBreaker::new(policy).unwrap().clock(clock.clone());
    assert_eq!(breaker.metrics(HOST), None);
    clock.advance(ms(500));
    for (status, takes) in [(200, 101), (200, 100), (500, 0), (200, 0)] {
        let clock = clock.clone();
        let inner = service_fn(move |_: Request<()>| {
            clock.advance(ms(takes));
            async move { Ok::<_, BoxError>(answer(status)) }
        });
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(inner);
        let response = service.oneshot(request()).await.unwrap();
        response.collect().await.unwrap();
    }
    let metrics = breaker.metrics(HOST).unwrap();
    assert_eq!((metrics.calls, metrics.failures, metrics.slow), (4, 1, 1));
    assert_eq!((metrics.failure_rate, metrics.slow_call_rate), (0.25, 0.25));
    assert_eq!((metrics.consecutive_failures, metrics.opened), (0, 0));
    assert_eq!(metrics.since, ms(201));
    for _ in 0..4 {
        call(&breaker, 500).await.unwrap();
    }
    call(&breaker, 500).await.unwrap_err();
    clock.advance(ms(300));
    let metrics = breaker.metrics(HOST).unwrap();
    assert_eq!(metrics.state, CircuitState::Open);
    assert_eq!((metrics.opened, metrics.refused), (1, 1));
    assert_eq!(metrics.since, ms(300));
    assert_eq!(metrics.retry_after, Some(ms(700)));
    assert_eq!(&*breaker.keys()[0], HOST);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_key_reason_and_when_to_come_back() {
    let breaker = breaker();
    fail_until_open(&breaker).await;
    let Error::CircuitOpen(refusal) = call(&breaker, 200).await.unwrap_err() else {
        panic!("a refusal of the breaker");
    };
    assert_eq!(
        (&*refusal.key, refusal.reason),
        (HOST, "consecutive failures")
    );
    assert_eq!(refusal.retry_after, ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_judge_of_the_users_own_has_the_last_word() {
    let breaker = breaker().judge(|answer| match answer.status.map(|status| status.as_u16()) {
        Some(404) => Verdict::Failure,
        Some(503) => Verdict::Ignore,
        Some(500) => {
            assert!(answer.failure.is_some() && answer.verdict == Verdict::Failure);
            Verdict::Success
        }
        _ => answer.verdict,
    });
    for status in [404, 404, 503, 500, 404, 404] {
        call(&breaker, status).await.unwrap();
        assert_eq!(breaker.state(HOST), CircuitState::Closed, "{status}");
    }
    call(&breaker, 404).await.unwrap();
    assert_eq!(breaker.state(HOST), CircuitState::Open);
}

// SEMANTICS: panics in a predicate leave the layer usable.
#[tokio::test(start_paused = true)]
async fn a_judge_that_panics_takes_nobodys_place() {
    let breaker = breaker().judge(|answer| match answer.status {
        Some(status) if status == 418 => panic!("a bug in the judge"),
        _ => answer.verdict,
    });
    breaker.force_half_open(HOST);
    for _ in 0..3 {
        let call = AssertUnwindSafe(call(&breaker, 418));
        assert!(call.catch_unwind().await.is_err());
    }
    call(&breaker, 200).await.unwrap();
    assert_eq!(breaker.state(HOST), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn rate_limits_count_as_the_policy_says() {
    for (verdict, expected) in [
        (Verdict::Ignore, CircuitState::HalfOpen),
        (Verdict::Degraded, CircuitState::Open),
        (Verdict::Failure, CircuitState::Open),
    ] {
        let policy = CircuitBreakerPolicy::default().rate_limited(verdict);
        let breaker = CircuitBreaker::new(policy).unwrap();
        breaker.force_half_open(HOST);
        call(&breaker, 429).await.unwrap();
        assert_eq!(breaker.state(HOST), expected, "{verdict:?}");
    }
}

/// Keys beyond the bound share one circuit.
#[tokio::test(start_paused = true)]
async fn no_more_keys_than_allowed_are_kept() {
    let breaker = breaker().max_keys(10);
    for host in 0..100 {
        let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(500)) });
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(inner);
        let request = Request::get(format!("http://{host}/")).body(()).unwrap();
        drop(service.oneshot(request).await);
    }
    assert_eq!(breaker.keys().len(), 11);
    assert_eq!(breaker.state(crate::keys::OTHERS), CircuitState::Open);
    assert_eq!(breaker.state("3"), CircuitState::Closed);
    // State and figures of a key beyond the bound are those that its requests meet.
    assert_eq!(breaker.state("50"), CircuitState::Open);
    let metrics = breaker.metrics("50").unwrap();
    assert_eq!(metrics.state, CircuitState::Open);
}

// A thread that had found its way to the circuit of the others kept to it when the key was given one of its own.
#[tokio::test(start_paused = true)]
async fn what_is_set_for_a_key_beyond_the_bound_holds_though_its_thread_knew_the_others_circuit() {
    let breaker = breaker().max_keys(1);
    breaker.force_open("first");
    breaker.force_open("(others)");
    for _ in 0..10 {
        call(&breaker, 200).await.unwrap_err();
    }
    breaker.force_closed(HOST);
    call(&breaker, 200).await.unwrap();
}

// A service that is printed printed the circuits of all keys with the pass that it keeps.
#[tokio::test(start_paused = true)]
async fn a_service_is_printed_without_what_is_known_of_other_keys() {
    let breaker = breaker();
    breaker.force_open("somebody-elses");
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let mut service = CircuitBreakerLayer::new(breaker).layer(inner);
    for _ in 0..10 {
        let response = service.ready().await.unwrap().call(request()).await;
        response.unwrap().collect().await.unwrap();
    }
    assert!(!format!("{service:?}").contains("somebody-elses"));
}
