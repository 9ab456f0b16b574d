//! A server with limits of its own in front of a stack of its own: a limit for each tenant, one for each address, told in
//! every answer; refusals that say when to come back; and upstreams behind it whose refusals say so as well.
//!
//! ```sh
//! cargo run -p ecosystem --example axum
//! ```

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::Response,
    routing::post,
};
use ecosystem::{Fleet, chat, request};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_http::{compression::CompressionLayer, timeout::TimeoutLayer, trace::TraceLayer};
use tower_upstream::{
    CircuitBreakerLayer, Error, FallbackLayer, IntakeLayer, Limit, ProviderLayer, Quota,
    RateLimitLayer, RateLimiter, RejectionLayer, RetryLayer, RetryPolicy, Scope,
    adapt::{peer::peer_key, rejection},
};

/// Whom a request is from, by a key that we have given him: a scope that can be trusted.
#[derive(Clone)]
struct Tenant(Arc<str>);

#[derive(Clone)]
struct App {
    tenants: Arc<HashMap<&'static str, Tenant>>,
    upstreams: BoxCloneSyncService<http::Request<Full<Bytes>>, http::Response<Body>, Error>,
}

fn server(fleet: &Fleet) -> Result<Router, BoxError> {
    // Whoever comes too often is told so at once: a server keeps nobody waiting in line. And what it answers one caller is no
    // news to its limiters.
    let of_tenants = RateLimiter::new(Quota::new().limit(Limit::requests(3).per_minute()))?
        .scope(Scope::by(|head| match head.extensions.get() {
            Some(Tenant(name)) => name.clone(),
            None => "".into(),
        }))
        .max_wait(Duration::ZERO)
        .heed_answers(false);
    let of_peers = RateLimiter::new(Quota::new().limit(Limit::requests(100).per_second()))?
        .scope(Scope::by(|head| match head.extensions.get() {
            Some(ConnectInfo::<SocketAddr>(address)) => peer_key(address.ip()),
            None => "".into(),
        }))
        .max_wait(Duration::ZERO)
        .heed_answers(false);

    let upstreams = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(Body::new))
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(fleet.chain()?)?)
        .layer(RetryLayer::new(RetryPolicy::llm())?)
        .layer(CircuitBreakerLayer::default())
        .layer(RateLimitLayer::new(RateLimiter::default()))
        .layer(ProviderLayer::new())
        .service(Client::builder(TokioExecutor::new()).build_http());
    let tenants = [("key-of-anna", "anna"), ("key-of-ben", "ben")];
    let app = App {
        tenants: Arc::new(tenants.map(|(key, name)| (key, Tenant(name.into()))).into()),
        upstreams: BoxCloneSyncService::new(upstreams),
    };

    // Outermost first: strangers cost one look at their address, and have no say in whose limit they fall under.
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
        .layer(CompressionLayer::new())
        .layer(RejectionLayer::new())
        .layer(RateLimitLayer::new(of_peers))
        .layer(middleware::from_fn_with_state(app.clone(), authenticate))
        .layer(RejectionLayer::new().advertise("tenant", of_tenants.clone())?)
        .layer(RateLimitLayer::new(of_tenants));
    Ok(Router::new()
        .route("/v1/chat/completions", post(answer))
        .layer(layers)
        .with_state(app))
}

async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let key = request.headers().get(AUTHORIZATION);
    let key = key.and_then(|key| key.to_str().ok()?.strip_prefix("Bearer "));
    let tenant = key.and_then(|key| app.tenants.get(key)).cloned();
    let tenant = tenant.ok_or(StatusCode::UNAUTHORIZED)?;
    request.extensions_mut().insert(tenant);
    Ok(next.run(request).await)
}

/// What an upstream answered passes through, as a stream where it is one.
async fn answer(State(app): State<App>, body: Bytes) -> http::Response<Body> {
    let request = http::Request::post("/v1/chat/completions").body(Full::new(body));
    let request = request.expect("a valid request");
    match app.upstreams.oneshot(request).await {
        Ok(response) => response,
        Err(error) => rejection::response(&error).map(Body::new),
    }
}

const TIMEOUT: Duration = Duration::from_secs(120);

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let fleet = Fleet::start().await?;
    let service = server(&fleet)?.into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, service).await });

    let client = Client::builder(TokioExecutor::new()).build_http();
    for (name, times) in [("anna", 4), ("ben", 1), ("eve", 1)] {
        for _ in 0..times {
            let mut request = request(&chat("Why?", false))?;
            *request.uri_mut() = format!("http://{address}/v1/chat/completions").parse()?;
            let key = format!("Bearer key-of-{name}").parse()?;
            request.headers_mut().insert(AUTHORIZATION, key);
            let response = client.request(request).await?;
            println!("{name}: {}", response.status());
            for field in ["ratelimit-policy", "ratelimit", "retry-after"] {
                if let Some(value) = response.headers().get(field) {
                    println!("  {field}: {}", value.to_str()?);
                }
            }
        }
    }
    fleet.tell();
    Ok(())
}
