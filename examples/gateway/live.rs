//! The live page, and the events that it shows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse, Response, Sse, sse::Event},
};
use futures::stream::{self, Stream};
use serde_json::json;
use tower_upstream::{
    clock::{Clock, TokioClock},
    observe::Received,
};

use super::{
    app::{Gateway, told},
    settings::random,
};

/// The page runs what carries this answer's nonce, and talks to nobody but this server.
pub(crate) async fn page() -> Result<impl IntoResponse, Response> {
    let nonce = random().map_err(|_| {
        let message = "The system gives no random numbers.";
        told(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", message)
    })?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = include_str!("page.html").replace("{nonce}", &nonce);
    Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(page)))
}

/// `state` at once and every 500 ms, and `decision` for each event of the stack. Who reads slowly loses decisions, and holds
/// nobody up.
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (feed, stop) = (gateway.feed.subscribe(), gateway.stop.subscribe());
    let live = (gateway, feed, stop, TokioClock.now());
    Sse::new(stream::unfold(
        live,
        async |(gateway, mut feed, mut stop, due)| {
            let event = Event::default();
            let (event, due) = tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopping| *is_stopping) => return None,
                () = TokioClock.sleep_until(due) => {
                    let state = gateway.stack.status().to_json();
                    (event.event("state").data(state), TokioClock.now() + STATES)
                }
                decision = feed.recv() => {
                    let decision = match decision? {
                        Received::Missed(count) => json!({ "event": "lost", "count": count }).to_string(),
                        event => event.to_string(),
                    };
                    (event.event("decision").data(decision), due)
                }
            };
            Some((Ok(event), (gateway, feed, stop, due)))
        },
    ))
}

const STATES: Duration = Duration::from_millis(500);
