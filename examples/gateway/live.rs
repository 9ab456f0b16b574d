//! The live page, and the events that it shows.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::header::CONTENT_SECURITY_POLICY,
    response::{Html, IntoResponse, Sse, sse::Event},
};
use futures::stream::{self, Stream, StreamExt};
use tower_upstream::clock::{Clock, TokioClock};

use super::{app::Shared, settings::random};

/// The page runs what carries this answer's nonce, and talks to nobody but this server.
pub(crate) async fn page() -> impl IntoResponse {
    let nonce = random();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = include_str!("page.html").replace("{nonce}", &nonce);
    ([(CONTENT_SECURITY_POLICY, policy)], Html(page))
}

/// `state` at once and every 500 ms, and `decision` for each event of the stack. Who reads slowly loses decisions, and holds
/// nobody up.
pub(crate) async fn events(gateway: Shared) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (feed, mut stop) = (gateway.feed.subscribe(), gateway.stop.subscribe());
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
    let stopped = async move { stop.wait_for(|is_stopping| *is_stopping).await.is_ok() };
    Sse::new(
        stream::select(states, decisions)
            .take_until(stopped)
            .map(Ok),
    )
}
