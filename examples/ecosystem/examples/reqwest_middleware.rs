//! reqwest-middleware, both ways: the layers in a chain of middlewares, and such a chain under the layers.
//!
//! ```sh
//! cargo run -p ecosystem --example reqwest_middleware
//! ```

use bytes::Bytes;
use ecosystem::{Fleet, chat, request, show};
use http::Extensions;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_upstream::{
    CircuitBreakerLayer, FallbackLayer, IntakeLayer, ProviderLayer, RateLimitLayer, RateLimiter,
    RetryLayer, RetryPolicy,
    adapt::{reqwest::ReqwestService, reqwest_middleware::TowerMiddleware},
};

/// A middleware like those that you have: it says what is sent.
struct Say;

#[async_trait::async_trait]
impl Middleware for Say {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let url = request.url().clone();
        let response = next.run(request, extensions).await?;
        println!("  {} from {url}", response.status());
        Ok(response)
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let reqwest = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .build()?;

    println!("the layers in a chain:");
    let fleet = Fleet::start().await?;
    let layers = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(fleet.chain()?)?)
        .layer(RetryLayer::new(RetryPolicy::llm())?)
        .layer(CircuitBreakerLayer::default())
        .layer(RateLimitLayer::new(RateLimiter::default()))
        .layer(ProviderLayer::new())
        .into_inner();
    let client = ClientBuilder::new(reqwest.clone())
        .with(TowerMiddleware::new(layers))
        .with(Say) // inside of the layers: it sees each attempt
        .build();
    for question in ["Why?", "How?", "Why not?"] {
        let question = chat(question, false);
        let response = client
            .post("http://upstream/v1/chat/completions")
            .json(&question);
        let answer: serde_json::Value = response.send().await?.json().await?;
        println!("{}", answer["choices"][0]["message"]["content"]);
    }

    println!("a chain under the layers:");
    let fleet = Fleet::start().await?;
    let chain: ClientWithMiddleware = ClientBuilder::new(reqwest).with(Say).build();
    let client = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(fleet.chain()?)?)
        .layer(RetryLayer::new(RetryPolicy::llm())?)
        .layer(ProviderLayer::new())
        .service(ReqwestService::new(chain));
    let request: http::Request<http_body_util::Full<Bytes>> = request(&chat("Why?", true))?;
    show(client.oneshot(request).await?).await
}
