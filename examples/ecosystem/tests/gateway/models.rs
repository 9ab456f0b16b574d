//! What is asked of whom, and what comes back.

use bytes::Bytes;
use provider_simulator::{Limits, Reply, Simulator};
use serde_json::{Value, json};

use super::rig::{GROQ, LONG, OPENAI, Rig, chat, chat_of, ms, streamed, until, within};

#[tokio::test]
async fn a_body_goes_through_as_it_is_but_for_the_model_and_only_with_the_gateways_key() {
    let rig = Rig::new().await;
    let body = r#"{ "model" : "auto","messages":[{"role":"user","content":"W\u0068y?"}],  "seed":1e3, "x":null }"#;
    let request = rig
        .client
        .post(format!("{}/v1/chat/completions?key=k", rig.url));
    let request = request
        .header("content-type", "application/json")
        .header("authorization", "Bearer of-the-caller")
        .header("cookie", "c=1")
        .header("x-forwarded-for", "10.0.0.1")
        .header("traceparent", "00-1-1-01")
        .body(body);
    let response = within(request.send()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-served-by"], GROQ);
    let answer: Value = within(response.json()).await.unwrap();
    assert_eq!(answer["object"], "chat.completion");
    let log = rig.groq.log();
    assert_eq!(log[0].body, body.replace("\"auto\"", "\"small\""));
    assert_eq!(
        log[0].authorization.as_deref(),
        Some("Bearer sk-very-secret")
    );
    assert_eq!(log[0].headers["traceparent"], "00-1-1-01");
    assert!(!log[0].headers.contains_key("cookie"));
    assert!(!log[0].headers.contains_key("x-forwarded-for"));
    assert!(!log[0].query.contains("key"), "{}", log[0].query);
}

#[tokio::test]
async fn what_an_upstream_says_of_its_account_stays_inside() {
    let limits = Limits::new().requests_per_minute(100);
    let rig = Rig::with(&[], Simulator::groq().model("small", limits), |it| it).await;
    let response = rig.chat(&chat()).await;
    let mut names = response.headers().keys().map(|name| name.as_str());
    assert!(!names.any(|name| name.starts_with("x-ratelimit")));
    assert!(
        response.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .contains("tenant")
    );
}

#[tokio::test]
async fn a_model_by_its_name_is_asked_of_who_has_it_and_of_nobody_else() {
    let rig = Rig::new().await;
    for (name, served_by) in [
        ("auto", GROQ),
        ("large", OPENAI),
        (OPENAI, OPENAI),
        ("small", GROQ),
    ] {
        let response = rig.chat(&chat_of(name)).await;
        assert_eq!(response.headers()["x-served-by"], served_by, "{name}");
    }
    rig.groq.script([Reply::Status(500); 3]);
    let response = rig.chat(&chat_of(GROQ)).await;
    assert_eq!(response.status(), 503);
    assert_eq!(rig.openai.counts().received, 2, "nobody else was asked");
}

#[tokio::test]
async fn whoever_can_answer_does() {
    let rig = Rig::new().await;
    rig.groq.script([Reply::Quota]);
    let response = rig.chat(&chat()).await;
    assert_eq!(response.headers()["x-served-by"], OPENAI);
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn models_are_listed_once_each() {
    let rig = Rig::new().await;
    let list: Value = rig.get("/v1/models").await.json().await.unwrap();
    let names = list["data"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|model| model["id"].as_str().unwrap()).collect();
    let all = [
        "auto",
        GROQ,
        "large",
        OPENAI,
        "openai/text-embedding-3-small",
        "small",
        "text-embedding-3-small",
    ];
    assert_eq!(names, all);
}

#[tokio::test]
async fn embeddings_come_from_a_model_that_makes_them() {
    let rig = Rig::new().await;
    for model in ["auto", "text-embedding-3-small"] {
        for input in [json!("one"), json!(["one", "two"])] {
            let response = rig
                .post("/v1/embeddings", &json!({ "model": model, "input": input }))
                .await;
            assert_eq!(
                response.headers()["x-served-by"],
                "openai/text-embedding-3-small"
            );
            let answer: Value = response.json().await.unwrap();
            assert_eq!(
                answer["data"].as_array().unwrap().len(),
                input.as_array().map_or(1, Vec::len)
            );
        }
    }
    assert_eq!(rig.groq.counts().received, 0);
}

#[tokio::test]
async fn a_stream_passes_as_it_comes() {
    let rig = Rig::with(&[], Simulator::groq().chunk_interval(ms(20)), |it| it).await;
    let mut response = rig.chat(&streamed()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first: Bytes = within(response.chunk()).await.unwrap().unwrap();
    assert!(first.starts_with(b"data: {"));
    assert_eq!(rig.groq.counts().in_flight, 1, "it is still being sent");
    let mut text = first.to_vec();
    while let Some(chunk) = within(response.chunk()).await.unwrap() {
        text.extend(chunk);
    }
    assert!(text.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_that_breaks_is_not_told_as_whole() {
    let rig = Rig::new().await;
    rig.groq.script([Reply::CutBody]);
    let mut response = rig.chat(&streamed()).await;
    assert_eq!(response.status(), 200);
    let end = loop {
        match within(response.chunk()).await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "the connection breaks, too");
    assert_eq!(rig.openai.counts().received, 0, "no text twice");
}

#[tokio::test]
async fn who_leaves_takes_his_call_along() {
    let rig = Rig::with(&[], Simulator::groq().latency(LONG), |it| it).await;
    let body = chat().to_string();
    let mut stream = rig.connect().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes())
        .await
        .unwrap();
    until(|| rig.groq.counts().in_flight == 1).await;
    drop(stream);
    until(|| rig.groq.counts().abandoned == 1 && rig.groq.counts().in_flight == 0).await;
    until(|| rig.gateway.stack.limiter().status(GROQ).in_flight == 0).await;
}

#[tokio::test]
async fn who_leaves_a_stream_ends_it() {
    let groq = Simulator::groq()
        .chunk_interval(ms(10))
        .completion_tokens(100_000);
    let rig = Rig::with(&[], groq, |it| it).await;
    let mut body = streamed();
    body["max_tokens"] = 100_000.into();
    let mut response = rig.chat(&body).await;
    within(response.chunk()).await.unwrap().unwrap();
    drop(response);
    until(|| rig.groq.counts().in_flight == 0).await;
    until(|| rig.gateway.stack.stats().snapshot().upstreams[GROQ].cancelled == 1).await;
}

#[tokio::test]
async fn a_hundred_at_once_are_all_answered() {
    let rig = Rig::new().await;
    let calls = (0..100).map(|_| async { rig.chat(&chat()).await.status() });
    let statuses = futures::future::join_all(calls).await;
    assert!(statuses.iter().all(|status| *status == 200));
    assert_eq!(
        rig.groq.counts().answered + rig.openai.counts().answered,
        100
    );
}
