//! What the most trusted breakers do, case by case: the anchors `CB-*` of the conformance cases that need the layer. Those of a
//! state or a window are beside it; CB-01, CB-05, CB-11 are also cases of the conformance runner.

use std::sync::{Arc, Mutex};

use super::*;

// CB-17: Polly, tower-resilience, failsafe-go.
#[tokio::test(start_paused = true)]
async fn a_refused_call_does_not_reach_the_service_inside() {
    let breaker = breaker();
    fail_until_open(&breaker).await;
    TokioClock.sleep_until(TokioClock.now() + ms(1)).await;
    let inner = service_fn(
        |_: Request<()>| -> std::future::Ready<Result<Answer, BoxError>> {
            panic!("it was called")
        },
    );
    let service = CircuitBreakerLayer::new(breaker).layer(inner);
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(999)));
}

// CB-18, CB-19: the instant is exact, and so is the number of those who pass at it.
#[tokio::test(start_paused = true)]
async fn at_the_end_of_the_open_time_as_many_as_the_probes_pass_and_the_next_is_told_so() {
    let policy = CircuitBreakerPolicy::never().probes(4).open_for(ms(5_000));
    let breaker = CircuitBreaker::new(policy.consecutive_failures(3)).unwrap();
    fail_until_open(&breaker).await;
    let wait = call(&breaker, 200)
        .await
        .unwrap_err()
        .retry_after()
        .unwrap();
    TokioClock.sleep_until(TokioClock.now() + wait).await;
    let (client, mut server) = client();
    server.allow(9);
    let mut service = guarded(client, &breaker);
    let mut probes = Vec::new();
    for _ in 0..4 {
        let mut probe = Box::pin(service.ready().await.unwrap().call(request()));
        assert!((&mut probe).now_or_never().is_none());
        probes.push(probe);
    }
    for _ in 0..2 {
        let Error::CircuitOpen(refusal) = call(&breaker, 200).await.unwrap_err() else {
            panic!("a refusal of the breaker");
        };
        assert_eq!(refusal.reason, "probes are under way");
    }
    probes.pop();
    call(&breaker, 200).await.unwrap();
}

// CB-31: a probe that never ends. resilience4j opens again when its time is over; here others pass beside it, and the place of
// the old one is nobody's.
#[tokio::test(start_paused = true)]
async fn a_probe_that_never_ends_makes_way_and_its_place_comes_back_once() {
    let breaker = breaker();
    fail_until_open(&breaker).await;
    TokioClock.sleep_until(TokioClock.now() + ms(1_000)).await;
    let (client, mut server) = client();
    server.allow(9);
    let mut service = guarded(client, &breaker);
    let mut old = Box::pin(service.ready().await.unwrap().call(request()));
    assert!((&mut old).now_or_never().is_none());
    TokioClock.sleep_until(TokioClock.now() + ms(1_000)).await;
    let mut probe = Box::pin(service.ready().await.unwrap().call(request()));
    assert!((&mut probe).now_or_never().is_none());
    drop(old);
    call(&breaker, 200).await.unwrap_err();
}

// CB-47: tower's ConcurrencyLimit, tower-resilience's contract. Readiness takes nothing.
#[tokio::test(start_paused = true)]
async fn a_service_that_was_made_ready_and_dropped_held_no_place() {
    let breaker = breaker();
    breaker.force_half_open(HOST);
    let (client, mut server) = client();
    server.allow(9);
    let mut service = guarded(client, &breaker);
    service.ready().await.unwrap();
    drop(service);
    call(&breaker, 200).await.unwrap();
    assert_eq!(breaker.state(HOST), CircuitState::Closed);
}

// CB-49: failsafe-go calls its listeners with the mutex free, Polly from a task of their own.
#[tokio::test(start_paused = true)]
async fn an_observer_may_ask_and_change_the_breaker_and_is_told_in_order() {
    let told = Arc::<Mutex<Vec<&'static str>>>::default();
    let own = Arc::<Mutex<Option<CircuitBreaker>>>::default();
    let (log, handle) = (told.clone(), own.clone());
    let breaker = breaker().observe(move |event: &Event<'_>| {
        let breaker = handle.lock().unwrap().clone().unwrap();
        match event {
            Event::Opened { key, .. } => {
                log.lock().unwrap().push("closed to open");
                assert_eq!(breaker.state(key), CircuitState::Open);
                breaker.reset(key);
            }
            Event::Closed { key, .. } => {
                log.lock().unwrap().push("open to closed");
                assert_eq!(breaker.state(key), CircuitState::Closed);
            }
            _ => {}
        }
    });
    *own.lock().unwrap() = Some(breaker.clone());
    for _ in 0..3 {
        call(&breaker, 500).await.unwrap();
    }
    assert_eq!(*told.lock().unwrap(), ["closed to open", "open to closed"]);
    own.lock().unwrap().take();
}
