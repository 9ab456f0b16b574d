//! The live page, and the events that it shows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse, Sse, sse::Event},
};
use futures::{
    FutureExt,
    stream::{self, Stream},
};
use serde_json::{Value, json};
use tower_upstream::{
    CircuitState, Money, Stack,
    clock::{Clock, TokioClock},
    observe::{LimitUse, Received, UpstreamStats},
    rate_limit::LimitStatus,
};

use super::{app::Gateway, errors::ApiError, settings::random};

/// The page runs what carries this answer's nonce, and talks to nobody but this server.
pub(crate) async fn page() -> Result<impl IntoResponse, ApiError> {
    let nonce = random().map_err(|_| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        ApiError::new(status, "unavailable", "The system gives no random numbers.")
    })?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = include_str!("page.html").replace("{nonce}", &nonce);
    Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(page)))
}

/// `state` at once and every 500 ms, `decision` for each event of the stack, and a comment every 15 s. Who reads slowly loses
/// decisions, and holds nobody up.
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let live = (
        gateway.feed.subscribe(),
        gateway.stop.subscribe(),
        TokioClock.now(),
        1_u64,
    );
    Sse::new(stream::unfold(
        live,
        move |(mut feed, mut stop, due, states)| {
            let gateway = gateway.clone();
            async move {
                let event = Event::default();
                tokio::select! {
                    biased;
                    () = stop.wait_for(|is_stopping| *is_stopping).map(drop) => None,
                    () = TokioClock.sleep_until(due) => {
                        let event = event.event("state").data(state(&gateway.stack).to_string());
                        let event = if states % 30 == 0 { event.comment("still here") } else { event };
                        Some((Ok(event), (feed, stop, TokioClock.now() + STATES, states + 1)))
                    }
                    decision = feed.recv() => {
                        let decision = match decision? {
                            Received::Missed(count) => json!({ "event": "lost", "count": count }).to_string(),
                            event => event.to_string(),
                        };
                        let event = event.event("decision").data(decision);
                        Some((Ok(event), (feed, stop, due, states)))
                    }
                }
            }
        },
    ))
}

/// How everything stands.
pub(crate) fn state(stack: &Stack) -> Value {
    let figures = stack.stats().snapshot().upstreams;
    let cooldowns = stack.cooldowns().list();
    let upstreams = stack.upstreams().iter().map(|upstream| {
        let id = upstream.id();
        let figures = figures.get(id).cloned().unwrap_or_default();
        let status = stack.limiter().status(id);
        let circuit = stack.breaker().metrics(id);
        let mut cooling = cooldowns.iter().rev();
        let cooling = cooling.find(|it| *it.key == *id || *it.key == *upstream.provider().name());
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        json!({
            "id": id,
            "circuit": circuit.map_or("closed", |it| name(it.state)),
            "retry_after_ms": millis(circuit.and_then(|it| it.retry_after)),
            "cooling_ms": millis(cooling.map(|it| it.remaining)),
            "cooling_reason": cooling.map(|it| it.kind.as_str()),
            "paused_ms": millis(status.paused),
            "queued": status.queued,
            "in_flight": status.in_flight,
            "answered": figures.answered,
            "failed": figures.failures() + figures.broken,
            "limits": status.limits.iter().map(limit).collect::<Value>(),
        })
    });
    let sum = |of: fn(&UpstreamStats) -> u64| figures.values().map(of).fold(0, u64::saturating_add);
    let cost = sum(|it| it.money.nanos());
    json!({
        "upstreams": upstreams.collect::<Value>(),
        "totals": {
            "answered": sum(|it| it.answered),
            "failed": sum(|it| it.failures() + it.broken),
            "tokens": sum(|it| it.input_tokens + it.output_tokens),
            "cost": format!("${}", Money::from_nanos(cost)),
            "cost_nanos": cost,
        },
    })
}

fn limit(limit: &LimitStatus) -> Value {
    let words = LimitUse::new(limit.dimension, limit.amount, limit.per, limit.used);
    let used = taken(limit).min(1.0);
    let name = format!("{} per {:?}", limit.dimension, limit.per);
    json!({ "name": name, "amount": words.to_string(), "used": used })
}

/// The share of it that is taken: what a bucket holds can be more than its amount.
pub(crate) fn taken(limit: &LimitStatus) -> f64 {
    let capacity = limit.used.saturating_add(limit.remaining).max(1);
    limit.used as f64 / capacity as f64
}

fn name(state: CircuitState) -> &'static str {
    match state {
        CircuitState::Open => "open",
        CircuitState::HalfOpen => "half_open",
        CircuitState::ForcedOpen => "forced_open",
        CircuitState::Disabled => "disabled",
        _ => "closed",
    }
}

const STATES: Duration = Duration::from_millis(500);
