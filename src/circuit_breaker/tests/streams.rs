//! Probes whose answers are streams.

use std::pin::pin;

use futures::{StreamExt, future};

use super::*;

/// A circuit that closes after two probes whose answers have flowed for 10 s, at its first probe.
async fn opened(
    policy: impl FnOnce(CircuitBreakerPolicy) -> CircuitBreakerPolicy,
) -> CircuitBreaker {
    let rules = CircuitBreakerPolicy::never()
        .consecutive_failures(3)
        .jitter(0.0);
    let rules = rules.probes(2).successes(2).open_for(ms(1_000));
    let breaker = CircuitBreaker::new(policy(rules)).unwrap();
    fail_until_open(&breaker).await;
    TokioClock.sleep_until(TokioClock.now() + ms(1_000)).await;
    breaker
}

/// A probe whose answer is a piece a second, and which breaks after so many.
async fn probe(
    breaker: &CircuitBreaker,
    head_after: u64,
    pieces: usize,
) -> impl http_body::Body<Error = &'static str> {
    let inner = service_fn(move |_: Request<()>| async move {
        TokioClock
            .sleep_until(TokioClock.now() + ms(head_after))
            .await;
        let pieces = stream::iter(0..=pieces).then(move |number| async move {
            TokioClock.sleep_until(TokioClock.now() + ms(1_000)).await;
            match number == pieces {
                true => Err("the connection broke"),
                false => Ok(Frame::data(Bytes::from_static(b"a piece"))),
            }
        });
        Ok::<_, BoxError>(Response::new(StreamBody::new(Box::pin(pieces))))
    });
    let service = CircuitBreakerLayer::new(breaker.clone()).layer(inner);
    service.oneshot(request()).await.unwrap().into_body()
}

/// Reads so many pieces of both; returns where the circuit stands.
async fn read(
    breaker: &CircuitBreaker,
    pieces: usize,
    bodies: [&mut (impl http_body::Body<Error = &'static str> + Unpin); 2],
) -> CircuitState {
    let [one, two] = bodies;
    for _ in 0..pieces {
        let (one, two) = future::join(one.frame(), two.frame()).await;
        assert!(one.unwrap().is_ok() && two.unwrap().is_ok());
    }
    breaker.state(HOST)
}

// After an outage, probes that streamed for two minutes kept everybody else out for as long.
#[tokio::test(start_paused = true)]
async fn a_circuit_closes_when_its_probes_have_flowed_for_so_long_and_not_before() {
    let breaker = opened(|it| it).await;
    let mut one = pin!(probe(&breaker, 5_000, 99).await);
    let mut two = pin!(probe(&breaker, 0, 99).await);
    assert!(call(&breaker, 200).await.is_err(), "both places are taken");
    let state = read(&breaker, 9, [&mut one, &mut two]).await;
    assert_eq!(state, CircuitState::HalfOpen);
    let state = read(&breaker, 1, [&mut one, &mut two]).await;
    assert_eq!(state, CircuitState::Closed);
    // Their ends are those of an earlier state.
    while one.frame().await.unwrap().is_ok() {}
    assert_eq!(breaker.metrics(HOST).unwrap().consecutive_failures, 0);
    call(&breaker, 200).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_flowed_and_broke_while_the_circuit_was_half_open_opens_it_again() {
    let breaker = opened(|it| it).await;
    let mut one = pin!(probe(&breaker, 0, 15).await);
    while one.frame().await.unwrap().is_ok() {}
    assert_eq!(breaker.state(HOST), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn where_only_the_end_tells_or_the_head_was_slow_no_flow_counts() {
    let never = opened(|it| it.probe_flow(std::time::Duration::MAX)).await;
    let slow = opened(|it| it.slow_call_rate(1.0, ms(100))).await;
    for (breaker, head_after) in [(never, 0), (slow, 200)] {
        let mut one = pin!(probe(&breaker, head_after, 99).await);
        let mut two = pin!(probe(&breaker, head_after, 99).await);
        let state = read(&breaker, 30, [&mut one, &mut two]).await;
        assert_eq!(state, CircuitState::HalfOpen);
    }
    let first = opened(|it| it.probe_flow(ms(0))).await;
    let mut one = pin!(probe(&first, 0, 99).await);
    let mut two = pin!(probe(&first, 0, 99).await);
    assert_eq!(
        read(&first, 1, [&mut one, &mut two]).await,
        CircuitState::Closed
    );
}
