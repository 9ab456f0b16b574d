//! Under a real `async_openai::Client`.

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::HttpRequestFactory,
    types::chat::{
        ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures::StreamExt;
use provider_simulator::{Reply, Simulator};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_upstream::{
    Error, Limit,
    adapt::reqwest::{ReqwestService, from_http, to_http},
};

use super::{
    clients::reqwest,
    rig::{GROQ, LONG, Rig, at_once, leave_when, ms, until, within},
};

fn client(rig: &Rig) -> Client<OpenAIConfig> {
    let stack = rig.layers.layer(ReqwestService::new(reqwest()));
    let service = service_fn(move |factory: HttpRequestFactory| {
        let stack = stack.clone();
        async move {
            let request = to_http(factory.build().await?)?;
            let response = stack.oneshot(request).await.map_err(BoxError::from)?;
            Ok::<_, OpenAIError>(from_http(response))
        }
    });
    let config = OpenAIConfig::new().with_api_key("of-nobody");
    Client::with_config(config).with_http_service(service)
}

fn question(tokens: u32) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("Why?")
        .build();
    CreateChatCompletionRequestArgs::default()
        .model("any")
        .max_completion_tokens(tokens)
        .messages([message.unwrap().into()])
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_chat_is_answered_after_retries_and_by_the_next_provider() {
    let rig = Rig::new().await;
    let client = client(&rig);
    rig.groq
        .script([Reply::Overloaded, Reply::Answer, Reply::Quota]);
    for _ in 0..2 {
        let answer = within(client.chat().create(question(16))).await.unwrap();
        assert!(answer.choices[0].message.content.is_some());
    }
    assert_eq!(
        (rig.groq.counts().received, rig.openai.counts().received),
        (3, 1)
    );
    let sent = rig.groq.log()[0].authorization.clone();
    assert_eq!(
        sent.as_deref(),
        Some("Bearer a-key-for-tests"),
        "the stack knows the key"
    );
}

#[tokio::test]
async fn a_chat_is_streamed_as_it_comes_after_an_error_in_its_first_event() {
    let slow = Simulator::groq().chunk_interval(ms(20));
    let rig = Rig::with(slow, at_once(4)).await;
    rig.groq.script([Reply::ErrorEvent]);
    let mut stream = within(client(&rig).chat().create_stream(question(16)))
        .await
        .unwrap();
    let mut text = String::new();
    while let Some(part) = within(stream.next()).await {
        if text.is_empty() {
            assert_eq!(rig.groq.counts().in_flight, 1, "it is still being sent");
        }
        for choice in part.unwrap().choices {
            text.extend(choice.delta.content);
        }
    }
    assert!(text.split(' ').count() > 8, "{text}");
    assert_eq!(rig.occupied(GROQ), (0, 0));
    assert_eq!(rig.groq.counts().received, 2);
}

#[tokio::test]
async fn a_refusal_is_found_by_downcast() {
    let rig = Rig::with(Simulator::groq(), |quota| {
        quota.limit(Limit::requests(1).per_hour())
    })
    .await;
    let client = client(&rig);
    for _ in 0..2 {
        within(client.chat().create(question(16))).await.unwrap();
    }
    let error = within(client.chat().create(question(16)))
        .await
        .unwrap_err();
    let OpenAIError::Boxed(error) = error else {
        panic!("{error:?}");
    };
    let error: &Error = error.downcast_ref().expect("one of ours");
    assert!(error.retry_after().is_some(), "{error:?}");
}

#[tokio::test]
async fn what_a_provider_refuses_is_async_openais_own_error() {
    let rig = Rig::new().await;
    rig.groq.script([Reply::Status(400)]);
    let error = within(client(&rig).chat().create(question(16)))
        .await
        .unwrap_err();
    let OpenAIError::ApiError(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.status_code, 400);
}

#[tokio::test]
async fn who_leaves_takes_the_request_along() {
    let slow = Simulator::groq().latency(LONG);
    let rig = Rig::with(slow, at_once(1)).await;
    let client = client(&rig);
    let is_sent = || rig.groq.counts().in_flight == 1;
    leave_when(client.chat().create(question(16)), is_sent).await;
    assert_eq!(rig.occupied(GROQ), (0, 0));
    until(|| rig.groq.counts().abandoned == 1).await;
}

/// Its stream is read by a task of async-openai's own, which ends when it finds nobody there to read.
#[tokio::test]
async fn who_leaves_a_stream_ends_it() {
    let slow = Simulator::groq()
        .chunk_interval(ms(20))
        .completion_tokens(1_000);
    let rig = Rig::with(slow, at_once(1)).await;
    let mut stream = within(client(&rig).chat().create_stream(question(1_000)))
        .await
        .unwrap();
    within(stream.next()).await.unwrap().unwrap();
    drop(stream);
    until(|| rig.groq.counts().in_flight == 0 && rig.occupied(GROQ) == (0, 0)).await;
}
