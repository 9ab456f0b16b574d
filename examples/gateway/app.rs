//! The routes, and what their handlers share.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::watch;
use tower::{BoxError, ServiceBuilder, util::BoxCloneSyncService};
use tower_upstream::{
    Error, Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer, Scope, Stack,
    observe::{AuditLog, Feed, Observer, channel},
    stack::{Caller, StackBuilder},
};

use super::{
    ask::{self, Models},
    errors::{self, ApiError},
    gate, live, metrics,
    settings::Settings,
    upstreams::client,
};

pub(crate) type Upstreams = BoxCloneSyncService<http::Request<Full<Bytes>>, Response, Error>;

pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) stack: Stack,
    pub(crate) models: Models,
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
        let upstreams = ServiceBuilder::new()
            .map_response(|response: http::Response<_>| response.map(Body::new))
            .layer(stack.layer())
            .service(client());
        Ok(Arc::new(Self {
            models: Models::new(stack.upstreams()),
            upstreams: BoxCloneSyncService::new(upstreams),
            stop: watch::Sender::new(false),
            settings,
            stack,
            feed,
            tenants,
        }))
    }

    /// Takes up what an earlier process saved.
    pub(crate) fn load(&self) -> Result<(), BoxError> {
        match self
            .settings
            .state
            .as_ref()
            .map(|path| self.stack.load(path))
        {
            Some(Err(error)) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn save(&self) -> Result<(), BoxError> {
        let path = self.settings.state.as_ref();
        path.map_or(Ok(()), |path| Ok(self.stack.save(path)?))
    }

    pub(crate) fn router(self: &Arc<Self>) -> Result<Router, BoxError> {
        let rejection = RejectionLayer::new().advertise("tenant", self.tenants.clone())?;
        let limited = ServiceBuilder::new()
            .layer(rejection.rewrite(errors::rejected))
            .layer(RateLimitLayer::new(self.tenants.clone()));
        let v1 = Router::new()
            .route("/v1/chat/completions", post(ask::ask))
            .route("/v1/embeddings", post(ask::ask))
            .route_layer(limited)
            .route(
                "/v1/models",
                get(async |State(it): State<Arc<Self>>| Json(it.models.list())),
            )
            .route_layer(from_fn_with_state(self.clone(), gate::tenant));
        let admin = Router::new()
            .route("/admin/state", get(state))
            .route("/admin/force-open", post(act))
            .route("/admin/reset", post(act))
            .route("/admin/clear-cooldown", post(act))
            .route_layer(from_fn_with_state(self.clone(), gate::admin));
        let metrics = async |State(it): State<Arc<Self>>| {
            (
                [(CONTENT_TYPE, metrics::CONTENT_TYPE)],
                metrics::text(&it.stack),
            )
        };
        Ok(Router::new()
            .merge(v1)
            .merge(admin)
            .route("/", get(live::page))
            .route("/events", get(live::events))
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok"))
            .fallback(async || {
                ApiError::new(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "There is no such route.",
                )
            })
            .method_not_allowed_fallback(async || {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                ApiError::new(
                    status,
                    "method_not_allowed",
                    "The route takes another method.",
                )
            })
            .layer(from_fn(errors::identified))
            .with_state(self.clone()))
    }
}

async fn state(State(gateway): State<Arc<Gateway>>) -> Json<serde_json::Value> {
    Json(live::state(&gateway.stack))
}

/// Does what the last part of the path says to the upstream that the query names.
async fn act(State(gateway): State<Arc<Gateway>>, uri: Uri) -> Result<Response, ApiError> {
    let key = gate::key_of(&uri);
    let stack = &gateway.stack;
    let upstream = stack.upstreams().iter().find(|it| it.id() == key);
    match (uri.path(), upstream) {
        ("/admin/force-open", Some(_)) => stack.breaker().force_open(&key),
        ("/admin/reset", Some(_)) => stack.breaker().reset(&key),
        // Whatever keeps it from being asked: its whole account may be cooling down, and limiters hold callers back.
        ("/admin/clear-cooldown", Some(upstream)) => {
            for key in [&key, upstream.provider().name()] {
                stack.cooldowns().clear(key);
                stack.limiters().iter().for_each(|it| it.resume(key));
            }
        }
        _ => {
            let message = "The parameter `key` must be the id of an upstream.";
            return Err(ApiError::new(StatusCode::NOT_FOUND, "unknown_key", message).param("key"));
        }
    }
    Ok(state(State(gateway)).await.into_response())
}
