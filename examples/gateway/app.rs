//! The gateway: what its handlers share, the routes, and who may come in.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_upstream::{
    FrontLayer, Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer, Scope, Stack,
    adapt::{bearer::is_bearer, peer::peer_key, rejection::OpenAiError},
    observe::{Feed, channel},
    stack::{Caller, StackBuilder},
};
use uuid::Uuid;

use super::{operator, settings::Settings, upstreams::client};

pub(crate) type Upstreams = BoxCloneSyncService<Request, Response, Infallible>;

/// What every handler is given.
pub(crate) type Shared = State<Arc<Gateway>>;

pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) stack: Stack,
    pub(crate) upstreams: Upstreams,
    pub(crate) feed: Feed,
    /// It stops when this is cancelled.
    pub(crate) stop: CancellationToken,
    tenants: RateLimiter,
}

impl Gateway {
    pub(crate) fn new(settings: Settings, builder: StackBuilder) -> Result<Arc<Self>> {
        let (feed, _) = channel(1_024);
        let stack = builder.observe(feed.clone()).build()?;
        // Half of it for an upstream, so that there is time to ask another where one is silent.
        let (retry, half) = (stack.retry().policy(), settings.answer_time / 2);
        let attempt = retry.longest_attempt().map_or(half, |set| set.min(half));
        stack.retry().set_policy(retry.attempt_timeout(attempt))?;
        if let Some(path) = &settings.state {
            // What an earlier process saved, if there was one. That it cannot be saved is to be known now, and not at the end.
            match stack.load(path) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => stack.save(path)?,
            }
        }
        let front = FrontLayer::new(stack.upstreams())
            .max_body(settings.max_body)
            .body_time(settings.body_time)
            .answer_time(settings.answer_time);
        let upstreams = ServiceBuilder::new()
            .map_response(IntoResponse::into_response)
            .layer(front)
            .layer(stack.layer())
            .service(client());
        // Nobody is kept waiting in line, and what one tenant is answered is no news to the others.
        let quota = Limit::requests(settings.tenant_requests_per_minute).per_minute();
        let tenants = RateLimiter::new(Quota::new().limit(quota))?
            .scope(Scope::by_caller("tenant:"))
            .max_wait(Duration::ZERO)
            .heed_answers(false)
            .max_keys(10_000)
            .observe((feed.clone(), stack.stats().clone()));
        Ok(Arc::new(Self {
            upstreams: BoxCloneSyncService::new(upstreams),
            stop: CancellationToken::new(),
            settings,
            stack,
            feed,
            tenants,
        }))
    }

    pub(crate) fn router(self: &Arc<Self>) -> Result<Router> {
        let rejection = RejectionLayer::new().advertise("tenant", self.tenants.clone())?;
        let limited = ServiceBuilder::new()
            .layer(rejection.openai())
            .layer(RateLimitLayer::new(self.tenants.clone()));
        let v1 = Router::new()
            .route("/v1/chat/completions", post(ask))
            .route("/v1/embeddings", post(ask))
            .route_layer(limited)
            .route("/v1/models", get(ask))
            .route_layer(from_fn_with_state(self.clone(), tenant));
        let admin = Router::new()
            .route("/admin/state", get(operator::state))
            .route("/admin/{act}", post(operator::act))
            .route_layer(from_fn_with_state(self.clone(), admin));
        let no_method = async || told(StatusCode::METHOD_NOT_ALLOWED, "Not with this method.");
        Ok(v1
            .merge(admin)
            .route("/", get(operator::page))
            .route("/events", get(operator::events))
            .route("/metrics", get(operator::metrics))
            .route("/healthz", get(async || "ok"))
            .fallback(async || told(StatusCode::NOT_FOUND, "There is no such route."))
            .method_not_allowed_fallback(no_method)
            .layer(from_fn(identified))
            .with_state(self.clone()))
    }
}

/// Passes on what was asked. A route of the service itself would clone all of it more often.
async fn ask(gateway: Shared, request: Request) -> Result<Response, Infallible> {
    gateway.upstreams.clone().oneshot(request).await
}

/// Tenants are those to whom a key was given: nobody else can take part in their limits. Without keys everybody may ask, and
/// an address is a tenant.
async fn tenant(
    gateway: Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let (keys, headers) = (&gateway.settings.keys, request.headers());
    let caller = match (keys.caller(headers), headers.get("sec-fetch-site")) {
        (Some(caller), _) => caller,
        _ if !keys.is_empty() => {
            return told(StatusCode::UNAUTHORIZED, "The API key is missing or wrong.");
        }
        // A browser says who sent it: no page of somebody else is to spend from here.
        (_, Some(site)) if site == "cross-site" => {
            return told(StatusCode::FORBIDDEN, "Other sites may not ask here.");
        }
        _ => Caller(peer_key(peer.ip())),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn admin(gateway: Shared, request: Request, next: Next) -> Response {
    match is_bearer(request.headers(), &gateway.settings.admin_token) {
        true => next.run(request).await,
        false => told(StatusCode::UNAUTHORIZED, "The admin token is wrong."),
    }
}

/// Gives each request an id where it has none, and each answer that of its request.
async fn identified(mut request: Request, next: Next) -> impl IntoResponse {
    let is_sane = |id: &HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = request.headers().get(REQUEST_ID).cloned();
    let id = given.filter(is_sane).unwrap_or_else(|| {
        let made = format!("req_{}", Uuid::new_v4().simple());
        HeaderValue::try_from(made).expect("letters and digits")
    });
    request.headers_mut().insert(REQUEST_ID, id.clone());
    ([(REQUEST_ID, id)], next.run(request).await)
}

/// An error of the gateway's own, in OpenAI's form.
pub(crate) fn told(status: StatusCode, message: &str) -> Response {
    OpenAiError::new(status, message).response().map(Body::new)
}

const REQUEST_ID: &str = "x-request-id";
