//! For whoever runs it: the live page with its events, the metrics, and what the admin changes.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use axum::{
    extract::{Path, Query},
    http::StatusCode,
    response::{Html, IntoResponse, Response, Sse, sse::Event},
};
use futures::stream::{self, Stream, StreamExt};
use tower_upstream::{
    clock::{Clock, TokioClock},
    stack::OPEN_METRICS,
};
use uuid::Uuid;

use super::app::{Shared, told};

/// The page runs what carries this answer's nonce, and talks to nobody but this server.
pub(crate) async fn page() -> impl IntoResponse {
    let nonce = Uuid::new_v4().simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = include_str!("page.html").replace("{nonce}", &nonce);
    ([("content-security-policy", policy)], Html(page))
}

/// `state` at once and every 500 ms, and `decision` for each event of the stack. Who reads slowly loses decisions, and holds
/// nobody up.
pub(crate) async fn events(gateway: Shared) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (feed, stop) = (gateway.feed.subscribe(), gateway.stop.clone());
    let decisions = stream::unfold(feed, async |mut feed| {
        let decision = feed.recv().await?.to_string();
        Some((Event::default().event("decision").data(decision), feed))
    });
    let states = stream::unfold((gateway, TokioClock.now()), async |(gateway, due)| {
        TokioClock.sleep_until(due).await;
        let state = gateway.stack.status().to_json();
        let next = (gateway, TokioClock.now() + Duration::from_millis(500));
        Some((Event::default().event("state").data(state), next))
    });
    let events = stream::select(states, decisions).map(Ok);
    Sse::new(events.take_until(stop.cancelled_owned()))
}

pub(crate) async fn metrics(gateway: Shared) -> impl IntoResponse {
    let metrics = gateway.stack.open_metrics();
    ([("content-type", OPEN_METRICS)], metrics)
}

pub(crate) async fn state(gateway: Shared) -> impl IntoResponse {
    let state = gateway.stack.status().to_json();
    ([("content-type", "application/json")], state)
}

/// Does what the path says to the upstream that the query names, and tells how all stand then.
pub(crate) async fn act(
    gateway: Shared,
    Path(act): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<impl IntoResponse, Response> {
    let stack = &gateway.stack;
    let key = query.get("key").map_or("", |key| key);
    let is_known = stack.upstreams().iter().any(|it| it.id() == key);
    match &*act {
        "force-open" if is_known => stack.breaker().force_open(key),
        "reset" if is_known => stack.breaker().reset(key),
        "clear-cooldown" if stack.release(key) => {}
        _ => return Err(told(StatusCode::NOT_FOUND, UNKNOWN)),
    }
    Ok(state(gateway).await)
}

const UNKNOWN: &str =
    "There is no such act, or no upstream has the id that the parameter `key` is.";
