//! What the handlers share, and the routes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, get_service, post, post_service},
};
use tokio::sync::watch;
use tower::{BoxError, ServiceBuilder, util::BoxCloneSyncService};
use tower_upstream::{
    FrontLayer, Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer, Scope, Stack,
    adapt::rejection::OpenAiError,
    observe::{Feed, channel},
    stack::{Caller, StackBuilder},
};

use super::{admin, gate, live, settings::Settings, upstreams::client};

pub(crate) type Upstreams = BoxCloneSyncService<Request, Response, Infallible>;

/// What every handler is given.
pub(crate) type Shared = State<Arc<Gateway>>;

pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) stack: Stack,
    pub(crate) upstreams: Upstreams,
    pub(crate) feed: Feed,
    /// Whether it stops.
    pub(crate) stop: watch::Sender<bool>,
    tenants: RateLimiter,
}

impl Gateway {
    pub(crate) fn new(settings: Settings, builder: StackBuilder) -> Result<Arc<Self>, BoxError> {
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
        let quota = Limit::requests(settings.tenant_requests_per_minute.into()).per_minute();
        let tenants = RateLimiter::new(Quota::new().limit(quota))?
            .scope(Scope::by(|head| match head.extensions.get() {
                // A name of its own kind: a tenant cannot share a row with an upstream.
                Some(Caller(tenant)) => format!("tenant:{tenant}").into(),
                None => "".into(),
            }))
            .max_wait(Duration::ZERO)
            .heed_answers(false)
            .max_keys(10_000)
            .observe((feed.clone(), stack.stats().clone()));
        Ok(Arc::new(Self {
            upstreams: BoxCloneSyncService::new(upstreams),
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
            .route("/v1/chat/completions", post_service(self.upstreams.clone()))
            .route("/v1/embeddings", post_service(self.upstreams.clone()))
            .route_layer(limited)
            .route("/v1/models", get_service(self.upstreams.clone()))
            .route_layer(from_fn_with_state(self.clone(), gate::tenant));
        let admin = Router::new()
            .route("/admin/state", get(admin::state))
            .route("/admin/{act}", post(admin::act))
            .route_layer(from_fn_with_state(self.clone(), gate::admin));
        let no_method = async || told(StatusCode::METHOD_NOT_ALLOWED, "Not with this method.");
        Ok(v1
            .merge(admin)
            .route("/", get(live::page))
            .route("/events", get(live::events))
            .route("/metrics", get(admin::metrics))
            .route("/healthz", get(async || "ok"))
            .fallback(async || told(StatusCode::NOT_FOUND, "There is no such route."))
            .method_not_allowed_fallback(no_method)
            .layer(from_fn(gate::identified))
            .with_state(self.clone()))
    }
}

/// An error of the gateway's own, in OpenAI's form.
pub(crate) fn told(status: StatusCode, message: impl Into<String>) -> Response {
    OpenAiError::new(status, message).response().map(Body::new)
}
