use std::time::Duration;

use provider_simulator::{Limits, Simulator};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Client, MODEL, chat, with};

fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn a_stream_ends_with_the_usage_if_asked_for() {
    let openai = Simulator::openai()
        .completion_tokens(3)
        .start()
        .await
        .unwrap();
    let body = with(chat(5), "stream", true);
    for client in [Client::new(), Client::http2()] {
        let asked = with(
            body.clone(),
            "stream_options",
            json!({"include_usage": true}),
        );
        let answer = client.chat(&openai, asked).await;
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert!(answer.text.ends_with("\n\ndata: [DONE]\n\n"));
        let events = events(&answer.text);
        assert!(
            events
                .iter()
                .all(|event| event["object"] == "chat.completion.chunk")
        );
        let text = events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
        assert_eq!(text.collect::<String>(), "All work and ");
        let [.., end, usage] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(end["choices"][0]["finish_reason"], "stop");
        let expected = json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8});
        assert_eq!(
            (&usage["usage"], &usage["choices"]),
            (&expected, &json!([]))
        );
    }
    let silent = Client::new().chat(&openai, body).await;
    assert!(!silent.text.contains("usage"));
}

#[tokio::test]
async fn groq_tells_the_usage_of_a_stream_unasked() {
    let groq = Simulator::groq()
        .completion_tokens(3)
        .start()
        .await
        .unwrap();
    let answer = Client::new()
        .chat(&groq, with(chat(5), "stream", true))
        .await;
    let events = events(&answer.text);
    assert_eq!(events.last().unwrap()["x_groq"]["usage"]["total_tokens"], 8);
}

#[tokio::test]
async fn anthropic_streams_its_own_events() {
    let anthropic = Simulator::anthropic()
        .completion_tokens(3)
        .start()
        .await
        .unwrap();
    let body = with(with(chat(5), "stream", true), "max_tokens", 3);
    let answer = Client::new().post(&anthropic, "/messages", body).await;
    let events = events(&answer.text);
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 5);
    let [.., end, stop] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(end["delta"]["stop_reason"], "max_tokens");
    assert_eq!(end["usage"]["output_tokens"], 3);
    assert_eq!(stop["type"], "message_stop");
    assert!(answer.text.starts_with("event: message_start\ndata: {"));
}

#[tokio::test]
async fn a_stream_is_in_flight_until_its_last_event() {
    let interval = Duration::from_millis(30);
    let openai = Simulator::openai().model(MODEL, Limits::new().concurrent(1));
    let openai = openai
        .completion_tokens(5)
        .chunk_interval(interval)
        .start()
        .await
        .unwrap();
    let client = Client::new();
    let start = Instant::now();
    let body = with(chat(5), "stream", true);
    let (stream, refused) = tokio::join!(client.chat(&openai, body), async {
        tokio::time::sleep(3 * interval).await;
        assert_eq!(openai.counts().in_flight, 1);
        client.chat(&openai, chat(1)).await
    });
    assert_eq!((stream.status, refused.status), (200, 429));
    assert!(start.elapsed() >= 7 * interval);
    assert_eq!(openai.counts().in_flight, 0);
}
