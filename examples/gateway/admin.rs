//! How it stands, and what its admin changes.

use std::collections::HashMap;

use axum::{
    extract::{Path, Query},
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tower_upstream::stack::OPEN_METRICS;

use super::app::{Shared, told};

pub(crate) async fn metrics(gateway: Shared) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], gateway.stack.open_metrics())
}

pub(crate) async fn state(gateway: Shared) -> impl IntoResponse {
    let state = gateway.stack.status().to_json();
    ([(CONTENT_TYPE, "application/json")], state)
}

/// Does what the path says to the upstream that the query names.
pub(crate) async fn act(
    gateway: Shared,
    Path(act): Path<String>,
    uri: Uri,
) -> Result<impl IntoResponse, Response> {
    let stack = &gateway.stack;
    let query = Query::<HashMap<String, String>>::try_from_uri(&uri).unwrap_or_default();
    let is_named = |id| query.get("key").is_some_and(|key| key == id);
    let upstream = stack.upstreams().iter().find(|it| is_named(it.id()));
    let no_key = "The parameter `key` must be the id of an upstream.";
    let upstream = upstream.ok_or_else(|| told(StatusCode::NOT_FOUND, no_key))?;
    match &*act {
        "force-open" => stack.breaker().force_open(upstream.id()),
        "reset" => stack.breaker().reset(upstream.id()),
        // Whatever keeps it from being asked: its whole account may be cooling down, and limiters hold callers back.
        "clear-cooldown" => {
            for key in [upstream.id(), upstream.provider().name()] {
                stack.cooldowns().clear(key);
                stack.limiters().iter().for_each(|it| it.resume(key));
            }
        }
        _ => return Err(told(StatusCode::NOT_FOUND, "There is no such route.")),
    }
    Ok(state(gateway).await)
}
