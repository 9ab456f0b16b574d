//! Requests to models: read, sent through the stack, and answered.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header::EXPECT},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_upstream::{
    Deadline, ServedBy, Upstream, adapt::rejection::OpenAiError, clock::TokioClock,
    fallback::Preferences, stack::Caller,
};

use super::{
    app::{Shared, told},
    gate::REQUEST_ID,
    server::within,
    settings::Settings,
};

/// All else in a body is for the upstream to understand, and skipped.
#[derive(Deserialize)]
struct Asked {
    model: String,
}

/// Chats and embeddings, which differ by who can serve them.
pub(crate) async fn ask(gateway: Shared, request: Request) -> Result<Response, Response> {
    let (mut head, body) = request.into_parts();
    let body = read(&gateway.settings, &head.headers, body).await?;
    let asked: Result<Asked, _> = serde_json::from_slice(&body);
    let Asked { model } =
        asked.map_err(|error| told(StatusCode::BAD_REQUEST, format!("The body: {error}.")))?;
    let is_embedding = head.uri.path().ends_with("/embeddings");
    let is_able = |it: &&Upstream| {
        is_for_embeddings(it) == is_embedding && (model == "auto" || names(it).contains(&&*model))
    };
    let able = gateway.stack.upstreams().iter().filter(is_able);
    let able: Vec<_> = able.map(Upstream::id).collect();
    if able.is_empty() {
        let message = "No such model serves this route; `GET /v1/models` lists those of all.";
        let error = OpenAiError::new(StatusCode::NOT_FOUND, message);
        let error = error.code("model_not_found").param("model");
        return Err(error.response().map(Body::new));
    }
    let mut request = http::Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut()) = (head.method, head.uri);
    *request.headers_mut() = only(&mut head.headers, SENT_ON);
    let extensions = request.extensions_mut();
    extensions.insert(Preferences::new().only(able));
    // Limits of the stack itself may be by who asks.
    if let Some(caller) = head.extensions.remove::<Caller>() {
        extensions.insert(caller);
    }
    // Whose turn would come too late is told so at once, and when to come back.
    extensions.insert(Deadline::after(gateway.settings.answer_time, &TokioClock));
    let Ok(response) = gateway.upstreams.clone().oneshot(request).await;

    // A response of its own: in the extensions of the other are words for the status, which the server would repeat.
    let (mut head, body) = response.into_parts();
    let mut headers = only(&mut head.headers, PASSED_BACK);
    if let Some(ServedBy(upstream)) = head.extensions.get()
        && let Ok(id) = upstream.id().parse()
    {
        headers.insert("x-served-by", id);
    }
    Ok((head.status, headers, body).into_response())
}

/// In OpenAI's form.
pub(crate) async fn models(gateway: Shared) -> Json<Value> {
    let upstreams = gateway.stack.upstreams().iter();
    let named = upstreams.flat_map(|it| names(it).map(|name| (name, it.provider().name())));
    let owners: BTreeMap<_, _> = named.chain([("auto", "gateway")]).collect();
    let model =
        |(id, owner)| json!({ "id": id, "object": "model", "created": 0, "owned_by": owner });
    Json(json!({ "object": "list", "data": owners.into_iter().map(model).collect::<Value>() }))
}

/// What an upstream may be called.
fn names(upstream: &Upstream) -> [&str; 2] {
    [upstream.model().unwrap_or(upstream.id()), upstream.id()]
}

/// No provider tells which of its models are for embeddings, but all of them are called so.
fn is_for_embeddings(upstream: &Upstream) -> bool {
    names(upstream)[0].contains("embed")
}

/// A body as a whole, if it is no larger and no slower than allowed.
async fn read(settings: &Settings, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Response> {
    let most = settings.max_body;
    if body.size_hint().lower() <= most as u64 {
        match within(settings.body_time, Limited::new(&mut body, most).collect()).await {
            Some(Ok(body)) => return Ok(body.to_bytes()),
            // Or it broke off, and nobody hears the answer.
            Some(Err(_)) => {}
            None => {
                return Err(told(
                    StatusCode::REQUEST_TIMEOUT,
                    "The body came too slowly.",
                ));
            }
        }
    }
    // Who is still sending would see a broken connection in place of the answer, unless he waits for a word before he sends.
    if !headers.contains_key(EXPECT) {
        let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
        tokio::spawn(within(Duration::from_secs(5), rest));
    }
    let message = format!("The body is larger than {most} bytes.");
    Err(told(StatusCode::PAYLOAD_TOO_LARGE, message))
}

/// Of a head, what concerns the other side.
fn only(headers: &mut HeaderMap, names: [&'static str; 5]) -> HeaderMap {
    let field = |name| Some((HeaderName::from_static(name), headers.remove(name)?));
    names.into_iter().filter_map(field).collect()
}

const SENT_ON: [&str; 5] = [
    "content-type",
    "accept",
    "traceparent",
    "tracestate",
    REQUEST_ID,
];

/// Not among them: an upstream's quotas, organisation and cookies, which are the gateway's own.
const PASSED_BACK: [&str; 5] = [
    "content-type",
    "content-length",
    "content-encoding",
    "cache-control",
    "retry-after",
];
