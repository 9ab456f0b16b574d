use std::time::Duration;

use provider_simulator::{Limits, Simulator};
use tokio::time::{Instant, sleep};

use crate::client::{Client, MODEL, chat, stated_wait, with};

const MINUTE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn no_more_than_the_limit_passes_in_any_window_and_the_stated_wait_is_enough() {
    let limits = Limits::new().requests_per_minute(5).window(MINUTE);
    let openai = Simulator::openai()
        .model(MODEL, limits)
        .start()
        .await
        .unwrap();
    let client = Client::new();
    let mut passed = Vec::new();
    while passed.len() < 13 {
        let answer = client.chat(&openai, chat(1)).await;
        if answer.status == 200 {
            passed.push(Instant::now());
        } else {
            let wait = stated_wait(&answer.message());
            assert!(wait <= MINUTE, "{wait:?}");
            sleep(wait).await;
        }
    }
    let counts = openai.counts_of(MODEL);
    assert_eq!((counts.answered, counts.too_early), (13, 0));
    assert!(counts.rate_limited >= 2, "{counts:?}");
    // The client saw the first a little after the server admitted it.
    let slack = MINUTE / 2;
    assert!(
        passed
            .windows(6)
            .all(|six| six[5] - six[0] > MINUTE - slack)
    );
}

#[tokio::test]
async fn a_refused_request_spends_nothing() {
    let limits = Limits::new().requests_per_minute(2).tokens_per_minute(100);
    let openai = Simulator::openai()
        .model(MODEL, limits)
        .start()
        .await
        .unwrap();
    let client = Client::new();
    assert_eq!(client.chat(&openai, chat(70)).await.status, 200);
    for _ in 0..5 {
        let refused = client.chat(&openai, chat(50)).await;
        assert_eq!(refused.header("x-ratelimit-remaining-requests"), "1");
        assert_eq!(refused.header("x-ratelimit-remaining-tokens"), "14");
    }
    assert_eq!(client.chat(&openai, chat(10)).await.status, 200);
}

#[tokio::test]
async fn the_most_output_is_reserved_and_the_real_output_is_spent() {
    let limits = Limits::new().tokens_per_minute(100);
    let latency = Duration::from_millis(120);
    let groq = Simulator::groq()
        .model(MODEL, limits)
        .latency(latency)
        .completion_tokens(7);
    let groq = groq.start().await.unwrap();
    let client = Client::new();
    let large = with(chat(10), "max_completion_tokens", 80);
    let (first, second) = tokio::join!(client.chat(&groq, large.clone()), async {
        sleep(latency / 2).await;
        client.chat(&groq, large.clone()).await
    });
    assert_eq!((first.status, second.status), (200, 429));
    assert!(
        second
            .message()
            .contains("Limit 100, Used 90, Requested 90.")
    );
    assert_eq!(first.json()["usage"]["total_tokens"], 17);
    assert_eq!(first.header("x-ratelimit-remaining-tokens"), "83");
    assert_eq!(
        client
            .chat(&groq, with(chat(3), "max_tokens", 80))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_answered_at_once() {
    let limits = Limits::new().concurrent(2);
    let latency = Duration::from_millis(120);
    let anthropic = Simulator::anthropic().model(MODEL, limits).latency(latency);
    let anthropic = anthropic.start().await.unwrap();
    for client in [Client::new(), Client::http2()] {
        let answers = tokio::join!(
            client.chat(&anthropic, chat(1)),
            client.chat(&anthropic, chat(1)),
            client.chat(&anthropic, chat(1)),
        );
        let mut statuses = [answers.0.status, answers.1.status, answers.2.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 429]);
        assert_eq!(client.chat(&anthropic, chat(1)).await.status, 200);
    }
}

#[tokio::test]
async fn models_do_not_share_their_quotas() {
    let limits = Limits::new().requests_per_minute(1);
    let groq = Simulator::groq()
        .model(MODEL, limits.clone())
        .model("other", limits);
    let groq = groq.start().await.unwrap();
    let client = Client::new();
    assert_eq!(client.chat(&groq, chat(1)).await.status, 200);
    assert_eq!(client.chat(&groq, chat(1)).await.status, 429);
    assert_eq!(
        client
            .chat(&groq, with(chat(1), "model", "other"))
            .await
            .status,
        200
    );
}
