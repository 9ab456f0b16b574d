//! An `async_openai::Client` that takes the gateway for OpenAI.

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::{
        chat::{
            ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
            CreateChatCompletionRequestArgs,
        },
        embeddings::CreateEmbeddingRequestArgs,
    },
};
use futures::{StreamExt, future::join_all};
use provider_simulator::{Reply, Simulator};

use super::rig::{GROQ, Rig, within};

fn client(rig: &Rig, key: &str) -> Client<OpenAIConfig> {
    let config = OpenAIConfig::new().with_api_key(key);
    Client::with_config(config.with_api_base(format!("{}/v1", rig.url)))
}

fn question(model: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("Why?")
        .build();
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([message.unwrap().into()])
        .build()
        .unwrap()
}

#[tokio::test]
async fn models_chats_and_embeddings_are_as_it_expects_them() {
    let rig = Rig::new().await;
    let client = client(&rig, "of-nobody");
    let models = within(client.models().list()).await.unwrap();
    assert!(models.data.iter().any(|model| model.id == "auto"));
    let answer = within(client.chat().create(question("auto")))
        .await
        .unwrap();
    assert!(answer.choices[0].message.content.is_some());
    assert_eq!(answer.usage.unwrap().completion_tokens, 16);
    let request = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input(["one", "two"])
        .build();
    let answer = within(client.embeddings().create(request.unwrap()))
        .await
        .unwrap();
    assert_eq!(answer.data.len(), 2);
}

#[tokio::test]
async fn a_stream_is_whole() {
    let rig = Rig::new().await;
    let mut stream = within(client(&rig, "k").chat().create_stream(question("auto")))
        .await
        .unwrap();
    let mut text = String::new();
    while let Some(part) = within(stream.next()).await {
        for choice in part.unwrap().choices {
            text.extend(choice.delta.content);
        }
    }
    assert_eq!(text.split(' ').count(), 17, "{text}");
}

#[tokio::test]
async fn errors_are_its_own() {
    let variables = [("GATEWAY_KEYS", "anna:k-a")];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it).await;
    let ask = async |key: &str, model: &str| {
        let client = client(&rig, key);
        match within(client.chat().create(question(model)))
            .await
            .unwrap_err()
        {
            OpenAIError::ApiError(error) => (error.status_code.as_u16(), error.api_error),
            other => panic!("{other:?}"),
        }
    };
    let (status, error) = ask("wrong", "auto").await;
    assert_eq!(
        (status, error.code.as_deref()),
        (401, Some("invalid_api_key"))
    );
    let (status, error) = ask("k-a", "nobody's").await;
    assert_eq!(
        (status, error.code.as_deref()),
        (404, Some("model_not_found"))
    );
    assert_eq!(error.param.as_deref(), Some("model"));
    rig.groq.script([Reply::Status(400)]);
    assert_eq!(ask("k-a", GROQ).await.0, 400);
}

#[tokio::test]
async fn a_hundred_at_once_are_all_answered() {
    let rig = Rig::new().await;
    let client = client(&rig, "k");
    rig.groq
        .script([Reply::Overloaded, Reply::Answer, Reply::Status(500)]);
    let calls = (0..100).map(|_| async { client.chat().create(question("auto")).await });
    let answers = within(join_all(calls)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(
        rig.groq.counts().answered + rig.openai.counts().answered,
        100
    );
    // The client would have tried again by itself: the gateway gave it no cause to.
    let keys = rig.gateway.stack.stats().snapshot().keys;
    let asked = keys.iter().filter(|(key, _)| key.starts_with("tenant:"));
    assert_eq!(asked.map(|(_, row)| row.admitted).sum::<u64>(), 100);
}
