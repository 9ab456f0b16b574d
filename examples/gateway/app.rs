//! What the handlers share, and the routes.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::watch;
use tower::{
    BoxError, Layer, Service, ServiceBuilder, timeout::TimeoutLayer, util::BoxCloneSyncService,
};
use tower_upstream::{
    Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer, Scope, Stack,
    adapt::rejection,
    observe::{AuditLog, Feed, Observer, channel},
    stack::{Caller, OPEN_METRICS, StackBuilder},
};

use super::{ask, gate, live, settings::Settings, upstreams::client};

pub(crate) type Upstreams = BoxCloneSyncService<http::Request<Full<Bytes>>, Response, Infallible>;

pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) stack: Stack,
    /// What the stack cannot answer is an error in OpenAI's form, and what upstreams say of the gateway's account stays here.
    pub(crate) upstreams: Upstreams,
    pub(crate) feed: Feed,
    /// Whether it stops.
    pub(crate) stop: watch::Sender<bool>,
    tenants: RateLimiter,
}

impl Gateway {
    pub(crate) fn new(settings: Settings, builder: StackBuilder) -> Result<Arc<Self>, BoxError> {
        let (feed, _) = channel(1_024);
        let mut observers: Vec<Arc<dyn Observer>> = vec![Arc::new(feed.clone())];
        if let Some(path) = &settings.audit {
            observers.push(Arc::new(AuditLog::options(path).open()?));
        }
        let stack = builder.observe(observers.clone()).build()?;
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
        observers.push(Arc::new(stack.stats().clone()));
        // Nobody is kept waiting in line, and what one tenant is answered is no news to the others.
        let quota = Limit::requests(settings.tenant_requests_per_minute).per_minute();
        let tenants = RateLimiter::new(Quota::new().limit(quota))?
            .scope(Scope::by(|head| match head.extensions.get() {
                // A name of its own kind: a tenant cannot share a row with an upstream.
                Some(Caller(tenant)) => format!("tenant:{tenant}").into(),
                None => "".into(),
            }))
            .max_wait(Duration::ZERO)
            .heed_answers(false)
            .max_keys(10_000)
            .observe(observers);
        Ok(Arc::new(Self {
            upstreams: answering(settings.answer_time, stack.layer().layer(client())),
            stop: watch::Sender::new(false),
            settings,
            stack,
            feed,
            tenants,
        }))
    }

    pub(crate) fn router(self: &Arc<Self>) -> Result<Router, BoxError> {
        let rejection = RejectionLayer::new().advertise("tenant", self.tenants.clone())?;
        let limited = ServiceBuilder::new()
            .layer(rejection.openai())
            .layer(RateLimitLayer::new(self.tenants.clone()));
        let v1 = Router::new()
            .route("/v1/chat/completions", post(ask::ask))
            .route("/v1/embeddings", post(ask::ask))
            .route_layer(limited)
            .route("/v1/models", get(ask::models))
            .route_layer(from_fn_with_state(self.clone(), gate::tenant));
        let admin = Router::new()
            .route("/admin/state", get(state))
            .route("/admin/force-open", post(act))
            .route("/admin/reset", post(act))
            .route("/admin/clear-cooldown", post(act))
            .route_layer(from_fn_with_state(self.clone(), gate::admin));
        let metrics = async |State(it): State<Arc<Self>>| {
            ([(CONTENT_TYPE, OPEN_METRICS)], it.stack.open_metrics())
        };
        let no_route = async || {
            told(
                StatusCode::NOT_FOUND,
                "not_found",
                "There is no such route.",
            )
        };
        let no_method = async || {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            told(
                status,
                "method_not_allowed",
                "The route takes another method.",
            )
        };
        Ok(v1
            .merge(admin)
            .route("/", get(live::page))
            .route("/events", get(live::events))
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok"))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(from_fn(gate::identified))
            .with_state(self.clone()))
    }
}

/// What handlers ask: it ends in time, and its errors and failures are answers.
pub(crate) fn answering<S, B>(time: Duration, service: S) -> Upstreams
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>, Future: Send>,
    S: Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(Body::new))
        .layer(RejectionLayer::new().openai().hide_failures())
        .layer(TimeoutLayer::new(time))
        .service(service);
    BoxCloneSyncService::new(service)
}

async fn state(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let json = [(CONTENT_TYPE, "application/json")];
    (json, gateway.stack.status().to_json())
}

/// Does what the last part of the path says to the upstream that the query names.
async fn act(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<impl IntoResponse, Response> {
    let key = query.ok().and_then(|Query(mut query)| query.remove("key"));
    let stack = &gateway.stack;
    let upstream = stack
        .upstreams()
        .iter()
        .find(|it| Some(it.id()) == key.as_deref());
    let upstream = upstream.ok_or_else(|| {
        let message = "The parameter `key` must be the id of an upstream.";
        told(StatusCode::NOT_FOUND, "unknown_key", message)
    })?;
    match uri.path() {
        "/admin/force-open" => stack.breaker().force_open(upstream.id()),
        "/admin/reset" => stack.breaker().reset(upstream.id()),
        // Whatever keeps it from being asked: its whole account may be cooling down, and limiters hold callers back.
        _ => {
            for key in [upstream.id(), upstream.provider().name()] {
                stack.cooldowns().clear(key);
                stack.limiters().iter().for_each(|it| it.resume(key));
            }
        }
    }
    Ok(state(State(gateway)).await)
}

/// An error of the gateway's own, in OpenAI's form.
pub(crate) fn told(status: StatusCode, code: &str, message: &str) -> Response {
    rejection::openai_error(status, code, None, message).map(Body::new)
}
