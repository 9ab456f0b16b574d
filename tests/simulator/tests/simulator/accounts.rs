use std::time::Duration;

use http::Method;
use provider_simulator::{Counts, Limits, Simulator};
use tokio::time::{Instant, sleep};

use crate::client::{Client, MODEL, chat, stated_wait, with};

#[tokio::test]
async fn every_request_is_counted_once_in_all_and_for_its_model() {
    let groq = Simulator::groq().model(MODEL, Limits::new().requests_per_minute(2));
    let groq = groq.model("other", Limits::new()).start().await.unwrap();
    let client = Client::new();
    for _ in 0..3 {
        client.chat(&groq, chat(5)).await;
    }
    client.chat(&groq, with(chat(7), "model", "other")).await;
    client.chat(&groq, with(chat(1), "model", "unknown")).await;
    client
        .send(Method::GET, groq.url() + "/models", "")
        .await
        .unwrap();
    let expected = Counts {
        received: 3,
        answered: 2,
        rate_limited: 1,
        input_tokens: 10,
        output_tokens: 32,
        peak_in_flight: 1,
        ..Counts::default()
    };
    assert_eq!(groq.counts_of(MODEL), expected);
    assert_eq!(groq.counts_of("other").answered, 1);
    assert_eq!(groq.counts_of("unknown").refused, 1);
    assert_eq!(groq.counts_of("never asked for"), Counts::default());
    let total = groq.counts();
    assert_eq!((total.received, total.answered, total.refused), (6, 4, 1));
    assert_eq!((total.input_tokens, total.output_tokens), (17, 48));
}

#[tokio::test]
async fn who_does_not_wait_as_told_is_too_early_at_that_model_only() {
    let limits = Limits::new()
        .requests_per_minute(1)
        .window(Duration::from_millis(500));
    let openai = Simulator::openai()
        .model(MODEL, limits.clone())
        .model("other", limits);
    let openai = openai.start().await.unwrap();
    let client = Client::new();
    client.chat(&openai, chat(1)).await;
    let wait = stated_wait(&client.chat(&openai, chat(1)).await.message());
    assert_eq!(openai.counts().too_early, 0);
    client.chat(&openai, chat(1)).await;
    client.chat(&openai, with(chat(1), "model", "other")).await;
    assert_eq!(openai.counts().too_early, 1);
    assert!(openai.log()[2].too_early);
    sleep(wait).await;
    assert_eq!(client.chat(&openai, chat(1)).await.status, 200);
    assert_eq!(
        (
            openai.counts().too_early,
            openai.counts_of("other").too_early
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn where_only_seconds_are_told_they_are_what_counts() {
    let limits = Limits::new()
        .requests_per_minute(1)
        .window(Duration::from_millis(30));
    let anthropic = Simulator::anthropic()
        .model(MODEL, limits)
        .start()
        .await
        .unwrap();
    let client = Client::new();
    client.chat(&anthropic, chat(1)).await;
    assert_eq!(
        client.chat(&anthropic, chat(1)).await.header("retry-after"),
        "1"
    );
    sleep(Duration::from_millis(50)).await;
    assert_eq!(client.chat(&anthropic, chat(1)).await.status, 200);
    assert_eq!(anthropic.counts().too_early, 1);
}

#[tokio::test]
async fn in_the_grace_after_a_refusal_nobody_is_too_early() {
    let grace = Duration::from_millis(300);
    let openai = Simulator::openai().model(MODEL, Limits::new().requests_per_minute(1));
    let openai = openai.grace(grace).start().await.unwrap();
    let client = Client::new();
    for _ in 0..3 {
        client.chat(&openai, chat(1)).await;
    }
    assert_eq!(openai.counts().too_early, 0);
    sleep(grace).await;
    client.chat(&openai, chat(1)).await;
    assert_eq!(openai.counts().too_early, 1);
}

#[tokio::test]
async fn the_log_shows_when_who_came_with_what() {
    let anthropic = Simulator::anthropic().start().await.unwrap();
    let client = Client::http2().header("authorization", "Bearer of-groq");
    let start = Instant::now();
    let client = client.header("x-api-key", "of-anthropic");
    client.chat(&anthropic, chat(1)).await;
    client.post(&anthropic, "/nowhere", chat(1)).await;
    let log = anthropic.log();
    assert_eq!(log[0].model.as_deref(), Some(MODEL));
    assert_eq!(log[0].path, "/v1/chat/completions");
    assert_eq!((log[0].status, log[1].status), (Some(200), Some(404)));
    assert_eq!(log[0].authorization.as_deref(), Some("Bearer of-groq"));
    assert_eq!(log[0].headers["x-api-key"], "of-anthropic");
    assert!(start <= log[0].at && log[0].at <= log[1].at && log[1].at <= Instant::now());
    assert_eq!(log[1].model, None);
}

#[tokio::test]
async fn the_peak_of_requests_in_flight_is_kept() {
    let openai = Simulator::openai()
        .latency(Duration::from_millis(100))
        .start()
        .await
        .unwrap();
    let client = Client::http2();
    tokio::join!(
        client.chat(&openai, chat(1)),
        client.chat(&openai, chat(1)),
        client.chat(&openai, chat(1)),
    );
    client.chat(&openai, chat(1)).await;
    assert_eq!(
        (openai.counts().peak_in_flight, openai.counts().in_flight),
        (3, 0)
    );
}
