//! What is particular to reqwest.

use std::time::Duration;

use axum::{Router, body::Bytes, http::StatusCode, response::Redirect, routing::post};
use http::Request;
use http_body_util::{BodyExt, Full};
use provider_simulator::{Reply, Simulator};
use reqwest::Client;
use tower::{ServiceBuilder, ServiceExt};
use tower_upstream::{
    Attempts, Error, FailureKind, RetryLayer, RetryPolicy,
    adapt::reqwest::{ReqwestService, from_http, to_http},
};

use super::{
    clients::reqwest,
    rig::{LONG, Rig, chat, ms, send_and_tell, streamed},
};

#[tokio::test]
async fn a_timeout_of_the_client_is_known_as_one() {
    let slow = Simulator::groq().latency(LONG);
    let rig = Rig::with(slow, |quota| quota).await;
    let client = Client::builder().read_timeout(ms(50)).build().unwrap();
    let (response, failed) = send_and_tell(&rig.over(ReqwestService::new(client)), &chat())
        .await
        .unwrap();
    assert!(!failed.is_empty());
    assert!(
        failed
            .iter()
            .all(|attempt| attempt.failure.kind == FailureKind::Timeout)
    );
    assert_eq!(response.status(), 200, "from the other one");
}

#[tokio::test]
async fn an_error_is_reqwests_own_without_the_query() {
    let closed = Simulator::groq().start().await.unwrap();
    closed.go_down().await;
    let request = Request::get(format!("{}?key=secret", closed.url()));
    let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default().max_attempts(1)).unwrap())
        .service(ReqwestService::new(reqwest()));
    let error = client.oneshot(request).await.unwrap_err();
    assert!(error.is_unsent());
    let Error::Service(inner) = &error else {
        panic!("{error:?}");
    };
    let inner: &reqwest::Error = inner.error.downcast_ref().expect("reqwest's own");
    assert!(inner.is_connect());
    assert_eq!(inner.url().map(reqwest::Url::path), Some("/openai/v1"));
    let told = format!("{error} {error:?} {:?}", error.failure());
    assert!(!told.contains("secret"), "{told}");
}

#[tokio::test]
async fn a_url_that_reqwest_does_not_take_is_an_error_of_the_call() {
    let request = Request::get("/no/host").body(Full::<bytes::Bytes>::default());
    let error = ReqwestService::new(reqwest())
        .oneshot(request.unwrap())
        .await
        .unwrap_err();
    assert!(error.is_builder());
}

/// A stream cannot be sent a second time, a body in memory can.
#[tokio::test]
async fn a_body_in_memory_follows_a_redirect() {
    let app = Router::new()
        .route("/old", post(async || Redirect::temporary("/new")))
        .route(
            "/new",
            post(async |body: Bytes| (StatusCode::CREATED, body)),
        );
    let url = super::axum::serve(app).await;
    let request = Request::post(format!("{url}/old"))
        .body(Full::from("hello"))
        .unwrap();
    let response = ReqwestService::new(reqwest())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
}

#[tokio::test]
async fn requests_and_answers_of_reqwest_go_through_the_layers() {
    let groq = Simulator::groq().start().await.unwrap();
    groq.script([Reply::Status(500)]);
    let policy = RetryPolicy::llm().backoff(ms(1), ms(1));
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy).unwrap())
        .service(ReqwestService::new(reqwest()));
    let url = format!("{}/chat/completions", groq.url());
    let request = reqwest()
        .post(&url)
        .json(&streamed())
        .timeout(Duration::from_secs(20));
    let request = to_http(request.build().unwrap()).unwrap();
    let response = from_http(client.oneshot(request).await.unwrap());
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.extensions().get::<Attempts>().unwrap().count(), 1);
    assert!(response.text().await.unwrap().ends_with("data: [DONE]\n\n"));
}
