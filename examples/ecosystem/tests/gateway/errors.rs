//! Every error in OpenAI's form, with the right status.

use axum::{Json, Router};
use provider_simulator::{Limits, Reply, Simulator};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_upstream::{Limit, Provider, Quota, RateLimiter, RetryPolicy};

use super::rig::{GROQ, Rig, chat, chat_of, error, within};

#[tokio::test]
async fn each_mistake_of_a_caller_is_told_by_its_status_and_code() {
    let rig = Rig::new().await;
    let messages = json!([{ "role": "user", "content": "Why?" }]);
    let chats = "/v1/chat/completions";
    for (path, body, status, code) in [
        (chats, "", 400, "invalid_request"),
        (chats, "{", 400, "invalid_request"),
        (chats, "[]", 400, "invalid_request"),
        (chats, "null", 400, "invalid_request"),
        (chats, "\"text\"", 400, "invalid_request"),
        (chats, "{}", 400, "invalid_request"),
        (chats, "\u{feff}{}", 400, "invalid_request"),
        (
            chats,
            &json!({ "messages": messages }).to_string(),
            400,
            "invalid_request",
        ),
        (
            chats,
            &json!({ "model": 7, "messages": messages }).to_string(),
            400,
            "invalid_request",
        ),
        (
            chats,
            &json!({ "model": null, "messages": messages }).to_string(),
            400,
            "invalid_request",
        ),
        (
            chats,
            &json!({ "model": "nobody's", "messages": messages }).to_string(),
            404,
            "model_not_found",
        ),
        (
            chats,
            &json!({ "model": "text-embedding-3-small", "messages": messages }).to_string(),
            404,
            "model_not_found",
        ),
        (chats, &"[".repeat(100_000), 400, "invalid_request"),
        (
            "/v1/embeddings",
            &json!({ "model": "large", "input": "x" }).to_string(),
            404,
            "model_not_found",
        ),
        ("/v1/completions", "{}", 404, "not_found"),
        ("/v1/models", "{}", 405, "method_not_allowed"),
        ("/nowhere", "{}", 404, "not_found"),
    ] {
        let request = rig
            .client
            .post(format!("{}{path}", rig.url))
            .body(body.to_owned());
        let told = error(within(request.send()).await.unwrap()).await;
        assert_eq!(told, (status, code.to_owned()), "{path} {body}");
    }
    assert_eq!(rig.groq.counts().received + rig.openai.counts().received, 0);
}

#[tokio::test]
async fn what_is_wrong_beyond_the_model_is_found_by_the_upstream_and_asked_of_nobody_else() {
    let rig = Rig::new().await;
    let (chats, embeddings) = ("/v1/chat/completions", "/v1/embeddings");
    for (path, body) in [
        (chats, json!({ "model": "auto" })),
        (chats, json!({ "model": "auto", "messages": {} })),
        (embeddings, json!({ "model": "auto" })),
        (embeddings, json!({ "model": "auto", "input": 3 })),
    ] {
        let told = error(rig.post(path, &body).await).await;
        assert_eq!(told, (400, "invalid_request".to_owned()), "{path} {body}");
    }
    assert_eq!(rig.groq.counts().received + rig.openai.counts().received, 4);
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let rig = Rig::new().await;
    for (method, path) in [
        (Method::GET, "/v1/chat/completions"),
        (Method::DELETE, "/v1/models"),
        (Method::POST, "/metrics"),
        (Method::GET, "/admin/force-open"),
    ] {
        let request = rig.client.request(method, format!("{}{path}", rig.url));
        let response = within(request.bearer_auth(super::rig::ADMIN).send())
            .await
            .unwrap();
        assert!(response.headers().contains_key("allow"), "{path}");
        assert_eq!(error(response).await.0, 405, "{path}");
    }
}

/// What the caller can mend is between him and the model.
#[tokio::test]
async fn what_an_upstream_says_of_the_request_goes_to_the_caller() {
    let rig = Rig::new().await;
    rig.groq.script([Reply::Status(400)]);
    let response = rig.chat(&chat_of(GROQ)).await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-served-by"], GROQ);
    let told: Value = response.json().await.unwrap();
    assert_eq!(
        told["error"]["message"],
        "Simulated failure with status 400."
    );
}

/// Words of an upstream that are not about the request name its owner's account.
#[tokio::test]
async fn what_an_upstream_says_of_the_gateways_account_stays_inside() {
    for (status, words, wanted) in [
        (
            400,
            "Your credit balance is too low to access the API.",
            (429, "rate_limit_exceeded"),
        ),
        (
            400,
            "API key not valid. Please pass a valid API key.",
            (502, "upstream_error"),
        ),
        (
            404,
            "The model `m` does not exist or project proj_1234567890 may not use it.",
            (503, "unavailable"),
        ),
        (
            413,
            "Request too large for model in organization org_1234567890 on tokens per minute (TPM): Limit 6000, Requested 9000",
            (413, "request_too_large"),
        ),
    ] {
        let odd = Provider::new("odd", &says(status, words).await).unwrap();
        let rig = Rig::with(&[], Simulator::groq(), |it| it.upstream(odd.model("m"))).await;
        let response = rig.chat(&chat_of("odd/m")).await;
        let status = response.status().as_u16();
        let text = within(response.text()).await.unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, told["error"]["code"].as_str().unwrap()),
            wanted,
            "{words}"
        );
        for secret in ["credit", "API key", "proj_", "org_"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// A stream that begins with an error has the status of a success.
#[tokio::test]
async fn an_error_in_place_of_a_stream_is_no_success_to_the_caller() {
    let words = "Invalid value for the parameter temperature.";
    let error_event = json!({ "error": { "message": words, "type": "invalid_request_error" } });
    let event = format!("data: {error_event}\n\n");
    let answer = move || async move { ([("content-type", "text/event-stream")], event) };
    let odd = Provider::new("odd", &serve(Router::new().fallback(answer)).await).unwrap();
    let rig = Rig::with(&[], Simulator::groq(), |it| it.upstream(odd.model("m"))).await;
    let mut chat = chat_of("odd/m");
    chat["stream"] = true.into();
    let told = error(rig.chat(&chat).await).await;
    assert_eq!(told, (400, "invalid_request".to_owned()));
}

/// The URL of a server that says this to everybody.
async fn says(status: u16, words: &'static str) -> String {
    let answer = move || async move {
        let error = json!({ "error": { "message": words, "type": "odd" } });
        (StatusCode::from_u16(status).unwrap(), Json(error))
    };
    serve(Router::new().fallback(answer)).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

/// A 401 of an upstream means the gateway's key: the caller would change his own, and its words repeat a part of it.
#[tokio::test]
async fn what_an_upstream_says_of_the_gateways_key_stays_inside() {
    let rig = Rig::with(&[], Simulator::groq().key("another"), |it| it).await;
    let told = error(rig.chat(&chat_of(GROQ)).await).await;
    assert_eq!(told, (502, "upstream_error".to_owned()));
}

#[tokio::test]
async fn a_limit_is_told_with_the_time_to_come_back() {
    let limits = Limits::new().requests_per_day(1);
    let rig = Rig::with(&[], Simulator::groq().model("small", limits), |it| it).await;
    assert_eq!(rig.chat(&chat_of(GROQ)).await.status(), 200);
    for _ in 0..2 {
        let response = rig.chat(&chat_of(GROQ)).await;
        let wait: u64 = response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((60..=86_400).contains(&wait), "{wait}");
        let (status, code) = error(response).await;
        assert_eq!((status, &*code), (429, "rate_limit_exceeded"));
    }
    let received = rig.groq.counts().received;
    assert_eq!(received, 1, "its fields had told that nothing is left");
}

#[tokio::test]
async fn a_wait_that_would_take_too_long_is_not_begun() {
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let limiter = RateLimiter::new(quota).unwrap();
    let variables = [("GATEWAY_ANSWER_SECONDS", "10")];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it.limiter(limiter)).await;
    assert_eq!(rig.chat(&chat_of(GROQ)).await.status(), 200);
    let response = rig.chat(&chat_of(GROQ)).await;
    assert!(response.headers().contains_key("retry-after"));
    let told = error(response).await;
    assert_eq!(told, (429, "rate_limit_exceeded".to_owned()));
}

#[tokio::test]
async fn an_upstream_that_fails_stalls_or_is_gone_has_a_status_each() {
    let variables = [("GATEWAY_ANSWER_SECONDS", "1")];
    let once = |stack: tower_upstream::stack::StackBuilder| {
        stack.retry(RetryPolicy::llm().max_attempts(1))
    };
    let rig = Rig::with(&variables, Simulator::groq(), once).await;
    let ask = async || {
        rig.gateway.stack.cooldowns().clear_all();
        rig.gateway.stack.breaker().reset_all();
        error(rig.chat(&chat_of(GROQ)).await).await
    };
    rig.groq
        .script([Reply::Stall, Reply::Status(500), Reply::Overloaded]);
    assert_eq!(ask().await, (503, "unavailable".to_owned()));
    assert_eq!(ask().await, (503, "unavailable".to_owned()));
    assert_eq!(ask().await, (503, "unavailable".to_owned()));
    rig.gateway.stack.breaker().force_open(GROQ);
    let told = error(rig.chat(&chat_of(GROQ)).await).await;
    assert_eq!(told, (503, "unavailable".to_owned()));
    rig.groq.go_down().await;
    assert_eq!(ask().await.0 / 100, 5);
    assert_eq!(rig.chat(&chat()).await.status(), 200, "there is another");
}

#[tokio::test]
async fn a_silent_upstream_has_half_of_the_time_and_then_the_next_is_asked() {
    let variables = [("GATEWAY_ANSWER_SECONDS", "2")];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it).await;
    rig.groq.script([Reply::Stall]);
    let response = rig.chat(&chat()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-served-by"], "openai/large");
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_one() {
    let rig = Rig::new().await;
    let ask = async |id: &[u8]| {
        let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
        let id = reqwest::header::HeaderValue::from_bytes(id).unwrap();
        let request = request.header("x-request-id", id).json(&chat());
        let response = within(request.send()).await.unwrap();
        response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(ask(b"mine-7").await, "mine-7");
    assert_eq!(rig.groq.log()[0].headers["x-request-id"], "mine-7");
    let made = [
        ask(b"").await,
        ask(b"two words").await,
        ask(&[b'x'; 200]).await,
        ask(&[0xff]).await,
    ];
    for id in &made {
        assert!(id.starts_with("req_") && id.len() == 36, "{id}");
    }
    assert_ne!(made[0], made[1]);
}
