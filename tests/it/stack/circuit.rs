//! An upstream that is down.

use std::time::Duration;

use provider_simulator::{Reply, Simulator};
use tower_upstream::{
    Chain, CircuitBreakerPolicy, CircuitState, Error, FailureKind, Provider, RetryPolicy,
};

use super::harness::{Setup, at, chat, ms, post, sleep};

fn two_failures(open_for: Duration) -> CircuitBreakerPolicy {
    CircuitBreakerPolicy::never()
        .consecutive_failures(2)
        .open_for(open_for)
        .jitter(0.0)
        .probes(1)
        .successes(2)
}

fn once(policy: RetryPolicy) -> RetryPolicy {
    policy.max_attempts(1)
}

#[tokio::test]
async fn an_upstream_that_is_down_is_left_alone_then_probed_then_trusted() {
    let openai = Simulator::openai().start().await.unwrap();
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")])
        .breaker(two_failures(ms(1_000)))
        .retry(once)
        .build();
    stack.ask(post(&chat(8))).await.unwrap();
    openai.go_down().await;
    for _ in 0..2 {
        let error = stack.ask(post(&chat(8))).await.unwrap_err();
        assert!(matches!(error, Error::Service(_)), "{error:?}");
        assert_eq!(error.failure().kind, FailureKind::Transport);
    }
    assert_eq!(stack.breaker.state("openai/only"), CircuitState::Open);

    // Back, but the circuit is open: nothing is sent.
    openai.come_back().await.unwrap();
    let error = stack.ask(post(&chat(8))).await.unwrap_err();
    let Error::CircuitOpen(refusal) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(&*refusal.key, "openai/only");
    assert!(refusal.retry_after <= ms(1_000));
    assert_eq!(openai.counts().received, 1);

    sleep(error.retry_after().unwrap()).await;
    stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(stack.breaker.state("openai/only"), CircuitState::HalfOpen);
    stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(stack.breaker.state("openai/only"), CircuitState::Closed);
    assert_eq!(openai.counts().answered, 3);
    let mut told = stack.told();
    told.retain(|line| line.contains("opened") || line.contains("closed"));
    assert_eq!(
        told,
        [
            "opened openai/only: consecutive failures",
            "half-opened openai/only",
            "closed openai/only",
        ]
    );
}

#[tokio::test]
async fn a_probe_that_fails_opens_the_circuit_again_for_longer() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::Status(500); 3]);
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")])
        .breaker(two_failures(ms(300)).open_growth(10.0, ms(5_000)))
        .retry(once)
        .build();
    for _ in 0..2 {
        assert_eq!(stack.ask(post(&chat(8))).await.unwrap().status, 500);
    }
    let wait = stack.breaker.metrics("openai/only").unwrap().retry_after;
    sleep(wait.unwrap()).await;
    assert_eq!(stack.ask(post(&chat(8))).await.unwrap().status, 500);
    let error = stack.ask(post(&chat(8))).await.unwrap_err();
    assert!(error.retry_after().unwrap() > ms(300), "{error}");
    assert_eq!(openai.counts().received, 3);
    assert_eq!(stack.account.count("opened openai/only: a probe failed"), 1);
}

#[tokio::test]
async fn an_open_circuit_sends_requests_to_the_next_upstream_without_a_connection() {
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    let chain = Chain::new([
        at(Provider::openai(), &openai).model("first"),
        at(Provider::groq(), &groq).model("next"),
    ]);
    // Without cooldowns the circuit alone keeps requests away.
    let stack = Setup::chain(chain.cooldown(Duration::ZERO))
        .breaker(two_failures(Duration::from_secs(600)))
        .retry(once)
        .build();
    openai.go_down().await;
    for _ in 0..2 {
        let answer = stack.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.served_by, "groq/next");
    }
    openai.come_back().await.unwrap();
    for _ in 0..3 {
        let answer = stack.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.served_by, "groq/next");
    }
    assert_eq!((openai.counts().received, groq.counts().answered), (0, 5));
    assert_eq!(stack.account.count("switched from openai/first"), 5);
    // Of the requests that were refused, none was admitted by the limiter.
    assert_eq!(stack.account.count("admitted openai/first"), 2);
    assert_eq!(stack.cooldowns.list(), []);
}

#[tokio::test]
async fn rate_limits_and_wrong_requests_do_not_open_the_circuit() {
    let openai = Simulator::openai().start().await.unwrap();
    let statuses = [429, 400, 401, 404, 422, 429];
    openai.script(statuses.map(Reply::Status));
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")])
        .breaker(two_failures(Duration::from_secs(600)))
        .retry(once)
        .build();
    for status in statuses {
        assert_eq!(stack.ask(post(&chat(8))).await.unwrap().status, status);
    }
    assert_eq!(stack.breaker.state("openai/only"), CircuitState::Closed);
    assert_eq!(openai.counts().received, 6);
}
