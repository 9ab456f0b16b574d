//! Callers who go away.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use provider_simulator::{Limits, Reply, Simulator, SimulatorBuilder};
use tower::{Layer, ServiceExt};
use tower_upstream::{
    Chain, CircuitBreakerPolicy, CircuitState, IntakeLayer, Limit, Provider, Quota, WhenExhausted,
};

use super::harness::{
    Counters, Setup, Stack, at, chat, client, leave_when, ms, post, streamed, until,
};

const KEY: &str = "openai/only";
const LONG: Duration = Duration::from_secs(600);

/// A stack over one model of one provider, with limits that count.
async fn over(
    simulator: SimulatorBuilder,
    setup: impl FnOnce(Setup) -> Setup,
) -> (Stack, Simulator) {
    let simulator = simulator.start().await.expect("a port");
    let upstream = at(Provider::openai(), &simulator).model("only");
    let quota = Quota::new()
        .limit(Limit::requests(100).per_minute())
        .limit(Limit::tokens(10_000).per_minute())
        .max_concurrent(1);
    let stack = setup(Setup::of([upstream]).quota(quota)).build();
    (stack, simulator)
}

fn untouched() -> Counters {
    Counters {
        in_flight: 0,
        queued: 0,
        used: vec![0, 0],
        circuit: CircuitState::Closed,
        counted: (0, 0),
        cooling: Vec::new(),
        budget: 500,
    }
}

#[tokio::test]
async fn who_leaves_the_queue_was_never_there() {
    let (stack, openai) = over(Simulator::openai().latency(ms(200)), |setup| setup).await;
    let first = stack.ask(post(&chat(8)));
    let second = async {
        until(|| openai.counts().in_flight == 1).await;
        let before = stack.counters(KEY);
        let waits = || stack.limiter.status(KEY).queued == 1;
        leave_when(stack.ask(post(&chat(8))), waits).await;
        assert_eq!(stack.counters(KEY), before);
    };
    let (answer, ()) = tokio::join!(first, second);
    assert_eq!(answer.unwrap().status, 200);
    stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(openai.counts().received, 2);
    assert_eq!(stack.counters(KEY).used, [2, 48]);
}

/// The upstream has counted the request, so the estimate stands.
#[tokio::test]
async fn who_leaves_in_flight_leaves_only_the_estimate() {
    let (stack, openai) = over(Simulator::openai().latency(LONG), |setup| setup).await;
    let is_sent = || openai.counts().in_flight == 1;
    leave_when(stack.ask(post(&chat(8))), is_sent).await;
    let counters = stack.counters(KEY);
    assert!(counters.used[1] >= 24, "{counters:?}");
    assert_eq!(
        counters,
        Counters {
            used: vec![1, counters.used[1]],
            ..untouched()
        }
    );
    until(|| openai.counts().abandoned == 1).await;
    assert_eq!(openai.counts().received, 1);
    assert_eq!(stack.told(), ["admitted openai/only"]);
}

#[tokio::test]
async fn who_leaves_in_the_body_ends_the_request_and_the_circuit_counts_a_success() {
    let openai = Simulator::openai().chunk_interval(ms(20));
    let (stack, openai) = over(openai.completion_tokens(1_000), |setup| setup).await;
    let mut chat = streamed(chat(8));
    chat["max_tokens"] = 1_000.into();
    let mut response = stack.send(post(&chat)).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    let during = stack.counters(KEY);
    assert_eq!((during.in_flight, during.counted), (1, (0, 0)));
    drop(response);
    let after = stack.counters(KEY);
    assert_eq!(
        after,
        Counters {
            used: during.used,
            counted: (1, 0),
            ..untouched()
        }
    );
    until(|| openai.counts().in_flight == 0).await;
    assert_eq!(openai.counts().received, 1);
    assert_eq!(stack.account.count("settled"), 0);
}

#[tokio::test]
async fn who_leaves_in_the_wait_for_a_retry_gives_the_budget_its_tokens_back() {
    let (stack, openai) = over(Simulator::openai(), |setup| {
        setup.retry(|policy| policy.backoff(LONG, LONG))
    })
    .await;
    openai.script([Reply::Status(500)]);
    let waits = || {
        let waits = stack.account.count("retrying") == 1;
        assert!(!waits || stack.budget.available() == 495);
        waits
    };
    leave_when(stack.ask(post(&chat(8))), waits).await;
    let counters = stack.counters(KEY);
    let used = counters.used.clone();
    // The one failure did happen.
    assert_eq!(
        counters,
        Counters {
            used,
            counted: (1, 1),
            ..untouched()
        }
    );
    assert_eq!(counters.used[0], 1);
    let counts = openai.counts();
    assert_eq!((counts.received, counts.in_flight), (1, 0));
}

#[tokio::test]
async fn who_leaves_as_a_probe_makes_room_for_the_next_one() {
    let policy = CircuitBreakerPolicy::never()
        .probes(1)
        .successes(1)
        .probe_timeout(LONG);
    let (stack, openai) = over(Simulator::openai(), |setup| setup.breaker(policy)).await;
    stack.breaker.force_half_open(KEY);
    openai.script([Reply::Stall]);
    let is_sent = || openai.counts().in_flight == 1;
    leave_when(stack.ask(post(&chat(8))), is_sent).await;
    assert_eq!(stack.breaker.state(KEY), CircuitState::HalfOpen);
    stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(stack.breaker.state(KEY), CircuitState::Closed);
    assert_eq!(openai.counts().received, 2);
}

#[tokio::test]
async fn who_leaves_while_all_are_cooling_down_changes_nothing() {
    let limits = Limits::new().requests_per_minute(1);
    // Its headers tell nothing of this limit, so that only 429s do.
    let groq = Simulator::groq()
        .model("only", limits.clone())
        .model("other", limits);
    let openai = groq.start().await.unwrap();
    let provider = at(Provider::openai(), &openai);
    let chain = Chain::new([provider.model("only"), provider.model("other")]);
    let stack = Setup::chain(chain.when_exhausted(WhenExhausted::Wait { max: LONG }))
        .retry(|policy| policy.max_attempts(1))
        .build();
    for _ in 0..2 {
        stack.ask(post(&chat(8))).await.unwrap();
    }
    stack.ask(post(&chat(8))).await.unwrap_err();
    let (before, told, received) = (stack.counters(KEY), stack.told(), openai.counts().received);
    let mut polls = 0;
    let a_while = || {
        polls += 1;
        polls > 20
    };
    leave_when(stack.ask(post(&chat(8))), a_while).await;
    assert_eq!(stack.counters(KEY), before);
    assert_eq!((stack.told(), openai.counts().received), (told, received));
    assert_eq!(before.cooling.len(), 2);
}

#[tokio::test]
async fn who_leaves_while_the_body_arrives_has_sent_nothing() {
    let openai = Simulator::openai().start().await.unwrap();
    let beginning = Frame::data(Bytes::from_static(b"{\"model\":"));
    let beginning = stream::iter([Ok::<_, Infallible>(beginning)]);
    let body = StreamBody::new(futures::StreamExt::chain(beginning, stream::pending()));
    let url = format!("{}/chat/completions", openai.url());
    let request = Request::post(url).body(body).unwrap();
    let mut polls = 0;
    let a_while = || {
        polls += 1;
        polls > 20
    };
    let service = IntakeLayer::new().layer(client());
    leave_when(service.oneshot(request), a_while).await;
    assert_eq!(openai.counts().received, 0);
}
