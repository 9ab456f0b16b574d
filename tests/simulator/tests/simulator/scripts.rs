use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use provider_simulator::{Limits, Reply, Simulator};
use tokio::time::timeout;

use crate::client::{Client, MODEL, chat, with};

#[tokio::test]
async fn a_script_comes_before_the_quotas_and_spends_none() {
    let openai = Simulator::openai().model(MODEL, Limits::new().requests_per_minute(1));
    let openai = openai.start().await.unwrap();
    let client = Client::new();
    let script = [503, 500, 429, 404, 200].map(Reply::Status);
    openai.script(script);
    openai.script([Reply::Overloaded, Reply::Quota, Reply::Answer]);
    let mut statuses = Vec::new();
    for _ in 0..9 {
        let answer = client.chat(&openai, chat(1)).await;
        assert_eq!(
            answer.json()["error"]["message"].is_string(),
            answer.status != 200
        );
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [503, 500, 429, 404, 500, 503, 429, 200, 429]);
    let counts = openai.counts();
    assert_eq!(
        (counts.failed, counts.rate_limited, counts.refused),
        (4, 3, 1)
    );
}

#[tokio::test]
async fn every_provider_is_overloaded_and_out_of_money_in_its_shape() {
    let cases = [
        (
            Simulator::groq(),
            (503, "internal_server_error"),
            (429, "insufficient_quota"),
        ),
        (
            Simulator::openai(),
            (503, "server_error"),
            (429, "insufficient_quota"),
        ),
        (
            Simulator::anthropic(),
            (529, "overloaded_error"),
            (400, "invalid_request_error"),
        ),
        (Simulator::ollama(), (503, "api_error"), (429, "api_error")),
    ];
    for (builder, overloaded, quota) in cases {
        let simulator = builder.start().await.unwrap();
        let client = Client::new();
        simulator.script([Reply::Overloaded, Reply::Quota]);
        for expected in [overloaded, quota] {
            let answer = client.chat(&simulator, chat(1)).await;
            let body = answer.json();
            assert_eq!(
                (answer.status, body["error"]["type"].as_str().unwrap()),
                expected
            );
        }
    }
}

#[tokio::test]
async fn a_stalled_request_is_in_flight_until_its_client_gives_up() {
    let openai = Simulator::openai().start().await.unwrap();
    for client in [Client::new(), Client::http2()] {
        openai.script([Reply::Stall]);
        let stalled = timeout(Duration::from_millis(50), client.try_chat(&openai)).await;
        assert!(stalled.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(openai.counts().in_flight, 0);
        assert_eq!(client.chat(&openai, chat(1)).await.status, 200);
    }
    let counts = openai.counts();
    assert_eq!(
        (counts.failed, counts.abandoned, counts.answered),
        (2, 0, 2)
    );
    assert_eq!(openai.log()[0].status, None);
}

#[tokio::test]
async fn a_cut_body_has_a_head_and_no_end() {
    let openai = Simulator::openai().start().await.unwrap();
    for client in [Client::new(), Client::http2()] {
        openai.script([Reply::CutBody]);
        let error = client
            .try_chat(&openai)
            .await
            .err()
            .expect("the body was cut");
        // The error comes from reading the body: the head was there.
        assert!(error.downcast_ref::<hyper::Error>().is_some(), "{error:?}");
        assert_eq!(client.chat(&openai, chat(1)).await.status, 200);
    }
    let log = openai.log();
    assert_eq!((log[0].status, log[1].status), (Some(200), Some(200)));
    let counts = openai.counts();
    assert_eq!(
        (counts.failed, counts.answered, counts.in_flight),
        (2, 2, 0)
    );
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_authorized_takes_nothing_from_the_script() {
    let groq = Simulator::groq().key("right").start().await.unwrap();
    let client = Client::new();
    groq.script([Reply::Overloaded]);
    assert_eq!(client.chat(&groq, chat(1)).await.status, 401);
    let client = client.header("authorization", "Bearer right");
    assert_eq!(
        client
            .chat(&groq, with(chat(1), "messages", 1))
            .await
            .status,
        400
    );
    assert_eq!(client.chat(&groq, chat(1)).await.status, 503);
}

#[tokio::test]
async fn a_cut_stream_has_the_first_half_of_its_events() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::CutBody]);
    let body = with(chat(1), "stream", true);
    let request = http::Request::post(openai.url() + "/chat/completions")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let client = Client::new();
    let mut answer = client
        .connections
        .request(request)
        .await
        .unwrap()
        .into_body();
    let mut text = Vec::new();
    while let Ok(frame) = answer.frame().await.expect("the stream does not end well") {
        text.extend(frame.into_data().unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("data: ").count(), 10);
    assert!(!text.contains("[DONE]") && !text.ends_with('\n'));
}

#[tokio::test]
async fn a_stream_can_begin_and_end_with_an_error() {
    let overloaded = [
        (Simulator::openai(), "data: {\"error\":"),
        (Simulator::anthropic(), "event: error\ndata: {\"error\":"),
    ];
    for (builder, beginning) in overloaded {
        let simulator = builder.start().await.unwrap();
        simulator.script([Reply::ErrorEvent, Reply::ErrorEvent]);
        let body = with(chat(1), "stream", true);
        let stream = Client::new().chat(&simulator, body).await;
        assert_eq!(stream.header("content-type"), "text/event-stream");
        assert!(stream.text.starts_with(beginning), "{}", stream.text);
        let whole = Client::new().chat(&simulator, chat(1)).await;
        assert!(whole.status >= 500);
        assert_eq!(simulator.counts().failed, 2);
    }
}

#[tokio::test]
async fn the_log_holds_the_body_of_each_request() {
    let openai = Simulator::openai().start().await.unwrap();
    let body = chat(3);
    Client::new().chat(&openai, body.clone()).await;
    assert_eq!(openai.log()[0].body, body.to_string());
}
