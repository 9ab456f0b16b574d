//! The whole stack under a real `async_openai::Client`: chat, and a chat that is streamed.
//!
//! ```sh
//! cargo run -p ecosystem --example async_openai
//! ```

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
use ecosystem::Fleet;
use futures::StreamExt;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_upstream::{
    CircuitBreakerLayer, FallbackLayer, IntakeLayer, ProviderLayer, RateLimitLayer, RateLimiter,
    RetryLayer, RetryPolicy,
    adapt::reqwest::{ReqwestService, from_http, to_http},
};

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let fleet = Fleet::start().await?;

    let reqwest = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let stack = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(fleet.chain()?)?)
        .layer(RetryLayer::new(RetryPolicy::llm())?)
        .layer(CircuitBreakerLayer::default())
        .layer(RateLimitLayer::new(RateLimiter::default()))
        .layer(ProviderLayer::new())
        .service(ReqwestService::new(reqwest));
    // A service of one's own takes the place of async-openai's own retries.
    let service = service_fn(move |factory: HttpRequestFactory| {
        let stack = stack.clone();
        async move {
            let request = to_http(factory.build().await?)?;
            let response = stack.oneshot(request).await.map_err(BoxError::from)?;
            Ok::<_, OpenAIError>(from_http(response))
        }
    });
    let config = OpenAIConfig::new().with_api_key("the stack knows the keys");
    let client = Client::with_config(config).with_http_service(service);

    for text in ["Why?", "How?"] {
        let answer = client.chat().create(question(text)?).await?;
        println!(
            "{}",
            answer.choices[0]
                .message
                .content
                .as_deref()
                .unwrap_or_default()
        );
    }
    let mut stream = client.chat().create_stream(question("Why not?")?).await?;
    while let Some(part) = stream.next().await {
        let choice = part?.choices.into_iter().next();
        let text = choice.and_then(|choice| choice.delta.content);
        print!("{}|", text.unwrap_or_default());
    }
    println!();
    fleet.tell();
    Ok(())
}

fn question(text: &str) -> Result<CreateChatCompletionRequest, OpenAIError> {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content(text)
        .build()?;
    CreateChatCompletionRequestArgs::default()
        .model("any")
        .max_completion_tokens(16_u32)
        .messages([message.into()])
        .build()
}
