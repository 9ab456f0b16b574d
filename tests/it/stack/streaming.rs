//! Answers that come in pieces.

use bytes::Bytes;
use http_body_util::BodyExt;
use provider_simulator::{Reply, Simulator};
use tower_upstream::{
    CircuitBreakerPolicy, CircuitState, Limit, Provider, Quota, RetryPolicy, ServedBy,
};

use super::harness::{Body, Setup, at, chat, ms, post, post_to, streamed};

/// What came of a body, and the error that it ended with.
async fn read(mut body: Body) -> (Vec<Bytes>, Option<String>) {
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => pieces.extend(frame.into_data().ok()),
            Err(error) => return (pieces, Some(error.to_string())),
        }
    }
    (pieces, None)
}

fn once(policy: RetryPolicy) -> RetryPolicy {
    policy.max_attempts(1)
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece_and_its_usage_is_settled_at_its_end() {
    let openai = Simulator::openai().completion_tokens(4);
    let openai = openai.chunk_interval(ms(60)).start().await.unwrap();
    let quota = Quota::new().limit(Limit::tokens(10_000).per_minute());
    let upstream = at(Provider::openai(), &openai).model("only");
    let stack = Setup::of([upstream.quota(quota).unwrap()]).build();

    let response = stack.send(post(&streamed(chat(8)))).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert!(first.into_data().unwrap().starts_with(b"data: "));
    assert_eq!(openai.counts().in_flight, 1, "the rest is still to come");
    let during = stack.counters("openai/only");
    assert_eq!((during.in_flight, during.counted), (1, (0, 0)));
    assert!(during.used[0] >= 24, "{during:?}");
    assert_eq!(stack.told(), ["admitted openai/only"]);

    let (pieces, error) = read(body).await;
    assert_eq!(error, None);
    assert!(pieces.len() >= 4, "{pieces:?}");
    assert_eq!(pieces.last().unwrap(), "data: [DONE]\n\n");
    assert_eq!(stack.told()[1..], ["settled openai/only: 12 tokens"]);
    let after = stack.counters("openai/only");
    assert_eq!((after.in_flight, after.counted), (0, (1, 0)));
    assert_eq!(after.used, [12]);
    let counts = openai.counts();
    assert_eq!(
        (counts.input_tokens + counts.output_tokens, counts.in_flight),
        (12, 0)
    );
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_served_by_the_next_upstream() {
    let anthropic = Simulator::anthropic().start().await.unwrap();
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    anthropic.script([Reply::ErrorEvent]);
    openai.script([Reply::ErrorEvent]);
    let chain = [
        at(Provider::anthropic(), &anthropic).model("one"),
        at(Provider::openai(), &openai).model("two"),
        at(Provider::groq(), &groq).model("three"),
    ];
    let stack = Setup::of(chain).retry(once).build();
    let response = stack.send(post(&streamed(chat(8)))).await.unwrap();
    let served_by = response.extensions().get().map(|ServedBy(by)| by.id());
    assert_eq!(served_by, Some("groq/three"));
    let (pieces, error) = read(response.into_body()).await;
    assert_eq!(error, None);
    assert!(!pieces.concat().windows(5).any(|bytes| bytes == b"error"));
    for (key, simulator) in [("anthropic/one", &anthropic), ("openai/two", &openai)] {
        assert_eq!(simulator.counts().received, 1);
        assert_eq!(stack.counters(key).counted, (1, 1));
        assert_eq!(
            stack.account.count(&format!("cooling {key}: overloaded")),
            1
        );
    }
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_retried_like_any_overload() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::ErrorEvent; 2]);
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")]).build();
    let response = stack.send(post(&streamed(chat(8)))).await.unwrap();
    let (_, error) = read(response.into_body()).await;
    assert_eq!(error, None);
    assert_eq!(stack.account.count("retrying openai/only: overloaded"), 2);
    assert_eq!(openai.counts().received, 3);
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_content_is_served_by_the_next_upstream() {
    // Of an answer without words in Anthropic's own format, the first half announces content and has none.
    let first = Simulator::anthropic().completion_tokens(0);
    let first = first.start().await.unwrap();
    let next = Simulator::anthropic().start().await.unwrap();
    first.script([Reply::CutBody]);
    let chain = [
        at(Provider::anthropic().named("first"), &first).model("one"),
        at(Provider::anthropic().named("next"), &next).model("two"),
    ];
    let stack = Setup::of(chain).retry(once).build();
    let request = post_to("/v1/messages", &streamed(chat(8)));
    let answer = stack.ask(request).await.unwrap();
    assert_eq!(answer.served_by, "next/two");
    assert_eq!(
        stack.account.count("cooling first/one: connection failed"),
        1
    );
    assert_eq!(stack.account.count("settled next/two: 24 tokens"), 1);
    assert_eq!(stack.counters("first/one").counted, (1, 1));
    assert_eq!((first.counts().received, next.counts().received), (1, 1));
}

#[tokio::test]
async fn a_body_that_is_cut_in_the_middle_is_the_reader_s_error_and_the_circuit_s_failure() {
    for chat in [chat(8), streamed(chat(8))] {
        let openai = Simulator::openai().start().await.unwrap();
        let groq = Simulator::groq().start().await.unwrap();
        openai.script([Reply::CutBody]);
        let chain = [
            at(Provider::openai(), &openai).model("first"),
            at(Provider::groq(), &groq).model("next"),
        ];
        let policy = CircuitBreakerPolicy::never().consecutive_failures(1);
        let stack = Setup::of(chain).breaker(policy).build();
        let response = stack.send(post(&chat)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(stack.breaker.state("openai/first"), CircuitState::Closed);
        let (pieces, error) = read(response.into_body()).await;
        assert!(error.is_some(), "{pieces:?}");
        assert!(!pieces.is_empty());
        assert_eq!(stack.breaker.state("openai/first"), CircuitState::Open);
        assert_eq!(stack.counters("openai/first").in_flight, 0);
        assert_eq!((openai.counts().received, groq.counts().received), (1, 0));
        assert_eq!(
            stack.account.count("retrying") + stack.account.count("switched"),
            0
        );
    }
}
