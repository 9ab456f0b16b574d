use std::time::Duration;

use http::Method;
use provider_simulator::{Limits, Simulator, SimulatorBuilder};
use serde_json::json;

use crate::client::{Client, MODEL, chat, stated_wait, with};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn start(builder: SimulatorBuilder, limits: Limits) -> (Simulator, Client) {
    let simulator = builder
        .model(MODEL, limits)
        .completion_tokens(10)
        .start()
        .await
        .unwrap();
    (simulator, Client::new())
}

#[tokio::test]
async fn groq_tells_what_is_spent_and_when_it_is_back() {
    let limits = Limits::new()
        .requests_per_day(50)
        .tokens_per_minute(5000)
        .tokens_per_day(1000);
    let (groq, client) = start(Simulator::groq(), limits).await;
    assert!(groq.url().ends_with("/openai/v1"));
    let answer = client.chat(&groq, chat(900)).await;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "50");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "49");
    let reset = answer.header("x-ratelimit-reset-requests");
    assert!(
        reset == "24h0m0s" || reset.starts_with("23h59m5"),
        "{reset}"
    );
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "5000");
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), "4090");
    let reset = answer.header("x-ratelimit-reset-tokens");
    assert!(reset == "1m0s" || reset.starts_with("59."), "{reset}");

    let refused = client.chat(&groq, with(chat(60), "max_tokens", 40)).await;
    assert_eq!(refused.status, 429);
    let message = refused.message();
    let start = "Rate limit reached for model `small-model` in organization `org_";
    assert!(message.starts_with(start), "{message}");
    let figures = "` service tier `on_demand` on tokens per day (TPD): Limit 1000, Used 910, \
                   Requested 100.";
    assert!(message.contains(figures), "{message}");
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("tokens"), &json!("rate_limit_exceeded"))
    );
    assert_eq!(refused.header("retry-after"), "86400");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "49");
    assert!(stated_wait(&message) > DAY - Duration::from_secs(5));
}

#[tokio::test]
async fn groq_answers_413_to_what_can_never_fit() {
    let (groq, client) = start(Simulator::groq(), Limits::new().tokens_per_minute(100)).await;
    let answer = client.chat(&groq, chat(101)).await;
    assert_eq!(answer.status, 413);
    let figures = "on tokens per minute (TPM): Limit 100, Requested 101, please reduce";
    assert!(answer.message().contains(figures));
    assert!(!answer.headers.contains_key("retry-after"));
    assert_eq!(groq.counts().refused, 1);
}

#[tokio::test]
async fn openai_tells_its_waits_in_milliseconds_too() {
    let limits = Limits::new()
        .requests_per_minute(1)
        .window(Duration::from_millis(900));
    let (openai, client) = start(Simulator::openai(), limits).await;
    client.chat(&openai, chat(1)).await;
    let refused = client.chat(&openai, chat(1)).await;
    let message = refused.message();
    let start = "Rate limit reached for small-model in organization org-";
    assert!(message.starts_with(start), "{message}");
    let figures = "on requests per min (RPM): Limit 1, Used 1, Requested 1. Please try again in ";
    assert!(message.contains(figures), "{message}");
    assert_eq!(refused.header("retry-after"), "1");
    let milliseconds: u64 = refused.header("retry-after-ms").parse().unwrap();
    assert_eq!(stated_wait(&message), Duration::from_millis(milliseconds));
    assert_eq!(
        refused.header("x-ratelimit-reset-requests"),
        format!("{milliseconds}ms")
    );
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["type"], &error["param"]),
        (&json!("requests"), &json!(null))
    );
}

#[tokio::test]
async fn openai_answers_429_without_a_wait_to_what_can_never_fit() {
    let (openai, client) = start(Simulator::openai(), Limits::new().tokens_per_minute(100)).await;
    let answer = client.chat(&openai, chat(101)).await;
    assert_eq!(answer.status, 429);
    assert!(
        answer
            .message()
            .starts_with("Request too large for small-model in organization")
    );
    assert!(answer.message().contains("Limit 100, Requested 101."));
    assert!(!answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn anthropic_tells_its_quotas_in_its_own_headers() {
    let limits = Limits::new().requests_per_minute(9).tokens_per_minute(2000);
    let (anthropic, client) = start(Simulator::anthropic(), limits).await;
    let answer = client
        .post(&anthropic, "/messages", with(chat(990), "max_tokens", 1000))
        .await;
    let body = answer.json();
    assert_eq!(
        body["usage"],
        json!({"input_tokens": 990, "output_tokens": 10})
    );
    assert_eq!(
        (&body["type"], &body["stop_reason"]),
        (&json!("message"), &json!("end_turn"))
    );
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "9");
    assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), "8");
    assert_eq!(
        answer.header("anthropic-ratelimit-tokens-remaining"),
        "1000"
    );
    let reset = answer.header("anthropic-ratelimit-tokens-reset");
    assert!(reset.len() == 20 && reset.ends_with('Z'), "{reset}");

    let refused = client.chat(&anthropic, chat(1500)).await;
    let body = refused.json();
    assert_eq!((refused.status, &body["type"]), (429, &json!("error")));
    assert_eq!(body["error"]["type"], "rate_limit_error");
    assert!(
        refused
            .message()
            .contains("rate limit of 2,000 tokens per minute (org: ")
    );
    assert_eq!(body["request_id"], refused.header("request-id"));
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(refused.header("x-should-retry"), "true");

    let too_large = client.chat(&anthropic, chat(2001)).await;
    assert_eq!(too_large.status, 400);
    assert_eq!(
        too_large.message(),
        "prompt is too long: 2001 tokens > 2000 maximum"
    );
}

#[tokio::test]
async fn ollama_needs_no_key_and_knows_no_quota() {
    let ollama = Simulator::ollama().start().await.unwrap();
    let answer = Client::new().chat(&ollama, chat(5)).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .headers
            .keys()
            .all(|name| !name.as_str().contains("ratelimit"))
    );
    let limits = Limits::new().concurrent(0);
    let (ollama, client) = start(Simulator::ollama(), limits).await;
    let full = client.chat(&ollama, chat(5)).await;
    assert_eq!(full.status, 503);
    assert!(full.message().starts_with("server busy"));
}

#[tokio::test]
async fn every_provider_refuses_a_wrong_key_in_its_shape() {
    let cases = [
        (
            Simulator::groq(),
            "Invalid API Key",
            json!("invalid_api_key"),
        ),
        (
            Simulator::openai(),
            "Incorrect API key provided",
            json!("invalid_api_key"),
        ),
        (Simulator::anthropic(), "invalid x-api-key", json!(null)),
        (Simulator::ollama(), "Unauthorized", json!(null)),
    ];
    for (builder, message, code) in cases {
        let (simulator, client) = start(builder.key("right"), Limits::new()).await;
        for client in [
            client.clone(),
            client.clone().header("authorization", "Bearer wrong"),
        ] {
            let answer = client.chat(&simulator, chat(1)).await;
            assert_eq!(answer.status, 401);
            assert!(answer.message().starts_with(message));
            assert_eq!(answer.json()["error"]["code"], code);
        }
        for (name, value) in [("authorization", "Bearer right"), ("x-api-key", "right")] {
            let answer = client
                .clone()
                .header(name, value)
                .chat(&simulator, chat(1))
                .await;
            assert_eq!(answer.status, 200);
        }
        assert_eq!(simulator.counts().refused, 2);
    }
}

#[tokio::test]
async fn what_is_unknown_or_unreadable_is_refused_in_the_providers_shape() {
    let (openai, client) = start(Simulator::openai(), Limits::new()).await;
    let unknown = client
        .chat(&openai, with(chat(1), "model", "large-model"))
        .await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
    let elsewhere = client.post(&openai, "/images/generations", chat(1)).await;
    assert_eq!(elsewhere.status, 404);
    let url = openai.url() + "/chat/completions";
    for body in ["{\"model\": ", "{}", "{\"model\":\"small-model\"}"] {
        let answer = client.send(Method::POST, url.clone(), body).await.unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
    let (anthropic, client) = start(Simulator::anthropic(), Limits::new()).await;
    let unknown = client
        .chat(&anthropic, with(chat(1), "model", "large-model"))
        .await;
    assert_eq!(unknown.json()["error"]["type"], "not_found_error");
    assert_eq!(unknown.message(), "model: large-model");
    let without_maximum = client.post(&anthropic, "/messages", chat(1)).await;
    assert_eq!(without_maximum.status, 400);
}

#[tokio::test]
async fn the_models_are_listed() {
    for builder in [Simulator::groq(), Simulator::anthropic()] {
        let (simulator, client) = start(builder, Limits::new()).await;
        let answer = client
            .send(Method::GET, simulator.url() + "/models", "")
            .await
            .unwrap();
        assert_eq!(answer.json()["data"][0]["id"], MODEL);
    }
}

#[tokio::test]
async fn contents_in_parts_and_output_limits_are_counted() {
    let (openai, client) = start(Simulator::openai(), Limits::new()).await;
    let parts = json!([{"type": "text", "text": "abcde"}, {"type": "image_url"}]);
    let body = json!({
        "model": MODEL,
        "messages": [{"role": "system", "content": "äöü"}, {"role": "user", "content": parts}],
        "max_completion_tokens": 4,
    });
    let answer = client.chat(&openai, body).await.json();
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
    assert_eq!(answer["usage"]["completion_tokens"], 4);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "All work and no "
    );
}

#[tokio::test]
async fn openai_embeds_each_text_and_counts_what_they_cost() {
    let (openai, client) = start(Simulator::openai(), Limits::new()).await;
    let ask = |input| json!({"model": MODEL, "input": input});
    let two = ask(json!(["four char", "12345"]));
    let answer = client.post(&openai, "/embeddings", two).await.json();
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["data"][1]["index"], 1);
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 4, "total_tokens": 4})
    );
    let one = client
        .post(&openai, "/embeddings", ask(json!("1234")))
        .await;
    assert_eq!(one.json()["usage"]["total_tokens"], 1);
    let none = client.post(&openai, "/embeddings", ask(json!(7))).await;
    assert_eq!(none.status, 400);
}
