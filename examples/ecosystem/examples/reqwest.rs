//! The whole stack over a reqwest client, for requests of the `http` crate and for reqwest's own.
//!
//! ```sh
//! cargo run -p ecosystem --example reqwest
//! ```

use ecosystem::{Fleet, chat, request, show};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_upstream::{
    CircuitBreakerLayer, FallbackLayer, IntakeLayer, ProviderLayer, RateLimitLayer, RateLimiter,
    RetryLayer, RetryPolicy,
    adapt::reqwest::{ReqwestService, from_http, to_http},
};

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let fleet = Fleet::start().await?;

    // The layers alone repeat requests: what reqwest sends by itself, the limiter cannot count.
    let reqwest = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let client = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(fleet.chain()?)?)
        .layer(RetryLayer::new(RetryPolicy::llm())?)
        .layer(CircuitBreakerLayer::default())
        .layer(RateLimitLayer::new(RateLimiter::default()))
        .layer(ProviderLayer::new())
        .service(ReqwestService::new(reqwest.clone()));

    for (question, stream) in [("Why?", false), ("How?", true)] {
        let request = request(&chat(question, stream))?;
        show(client.clone().oneshot(request).await?).await?;
    }

    // The stack puts the upstream's host in the place of this one.
    let request = reqwest
        .post("http://upstream/v1/chat/completions")
        .json(&chat("Why not?", false))
        .build()?;
    let response = from_http(client.oneshot(to_http(request)?).await?);
    let answer: serde_json::Value = response.json().await?;
    println!("{}", answer["choices"][0]["message"]["content"]);
    fleet.tell();
    Ok(())
}
