//! A batch of chat requests through the whole stack, over a real HTTP client.
//!
//! With `GROQ_API_KEY`, `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` or `OLLAMA_HOST` in the environment it asks those
//! providers. Without any, it starts simulators of the first three inside the process: real HTTP servers on loopback ports
//! that enforce real quotas. It prints what happens to each request as it happens, ends with a table, and exits with 1 if
//! a request was lost, or if a simulator was asked while it had asked to be left alone.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

mod board;
mod fleet;

use std::{process::ExitCode, sync::Arc, time::Duration};

use board::Board;
use bytes::Bytes;
use fleet::Fleet;
use futures::{StreamExt, stream};
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_upstream::{
    Chain, CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, Cooldowns, FallbackLayer,
    IntakeLayer, ProviderLayer, Quota, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
    ServedBy, WhenExhausted,
};

const REQUESTS: usize = 40;
const AT_A_TIME: usize = 4;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let fleet = Fleet::from_env().await?;
    let board = Arc::new(Board::new());

    let chain = Chain::new(fleet.upstreams.clone()).when_exhausted(WhenExhausted::Wait {
        max: Duration::from_secs(10),
    });
    let cooldowns = Cooldowns::new().observe(board.clone());
    let breaker = CircuitBreaker::new(CircuitBreakerPolicy::default())?.observe(board.clone());
    // A wait of more than a second is not worth it while another provider stands idle.
    let limiter = RateLimiter::new(Quota::new().max_concurrent(8))?
        .max_wait(Duration::from_secs(1))
        .observe(board.clone());

    let client = ServiceBuilder::new()
        .layer(IntakeLayer::new().output_tokens(32))
        .layer(FallbackLayer::new(chain)?.cooldowns(cooldowns))
        .layer(RetryLayer::new(RetryPolicy::llm())?.observe(board.clone()))
        .layer(CircuitBreakerLayer::new(breaker))
        .layer(RateLimitLayer::new(limiter))
        .layer(ProviderLayer::new())
        .service(Client::builder(TokioExecutor::new()).build(fleet::connector()));

    let calls = (1..=REQUESTS).map(|number| ask(client.clone(), number, board.clone()));
    let answered = stream::iter(calls)
        .buffer_unordered(AT_A_TIME)
        .filter(|answered| std::future::ready(*answered));
    let answered = answered.count().await;

    println!("\n{}", board.table(&fleet));
    println!("{answered} of {REQUESTS} requests answered");
    let obedient = fleet.too_early() == 0;
    if !obedient {
        println!(
            "{} requests were sent to a provider that had asked to be left alone",
            fleet.too_early()
        );
    }
    Ok(if answered == REQUESTS && obedient {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sends one chat request; returns whether it was answered.
async fn ask<S, B>(client: S, number: usize, board: Arc<Board>) -> bool
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>, Error = tower_upstream::Error>,
    B: http_body::Body<Error: std::fmt::Display>,
{
    let question = format!("In one sentence: what is the {number}th prime number good for?");
    let chat = serde_json::json!({ "messages": [{ "role": "user", "content": question }], "max_tokens": 32 });
    let request = Request::post("/v1/chat/completions")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(chat.to_string()))
        .expect("a valid request");
    match client.oneshot(request).await {
        Err(error) => {
            board.say(&format!(
                "#{number} lost: {error}. {}",
                error.user_message()
            ));
            false
        }
        Ok(response) => {
            let status = response.status();
            let served_by = response
                .extensions()
                .get()
                .map(|ServedBy(upstream)| upstream.to_string());
            let served_by = served_by.unwrap_or_default();
            let text = match response.into_body().collect().await {
                Ok(_) if status.is_success() => {
                    board.answered(number, &served_by);
                    return true;
                }
                Ok(_) => format!("{served_by} answered {status}"),
                Err(error) => format!("the answer of {served_by} broke off: {error}"),
            };
            board.say(&format!("#{number} lost: {text}"));
            false
        }
    }
}
