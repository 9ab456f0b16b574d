//! The whole stack over hyper-util's legacy client: HTTP/1 and HTTP/2, TLS by rustls where the URL says `https`.
//!
//! ```sh
//! cargo run -p ecosystem --example hyper
//! ```

use ecosystem::{Fleet, chat, request, show};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_upstream::{
    CircuitBreakerLayer, FallbackLayer, IntakeLayer, ProviderLayer, RateLimitLayer, RateLimiter,
    RetryLayer, RetryPolicy,
};

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let fleet = Fleet::start().await?;

    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http() // the simulators speak no TLS; against the real ones, `https_only()`
        .enable_http1()
        .enable_http2() // where both sides agree in the handshake
        .build();
    let client = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(fleet.chain()?)?)
        .layer(RetryLayer::new(RetryPolicy::llm())?)
        .layer(CircuitBreakerLayer::default())
        .layer(RateLimitLayer::new(RateLimiter::default()))
        .layer(ProviderLayer::new())
        .service(Client::builder(TokioExecutor::new()).build(connector));

    for (question, stream) in [("Why?", false), ("How?", false), ("Why not?", true)] {
        let request = request(&chat(question, stream))?;
        show(client.clone().oneshot(request).await?).await?;
    }
    fleet.tell();
    Ok(())
}
