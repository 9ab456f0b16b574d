//! Requests to models: read, sent through the stack, and answered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json, value::RawValue};
use tower::ServiceExt;
use tower_upstream::{
    Deadline, ServedBy, Upstream, adapt::rejection, clock::TokioClock, fallback::Preferences,
    stack::Caller,
};

use super::{
    app::{Gateway, told},
    server::within,
    settings::Settings,
};

/// Chats and embeddings, which differ by who can serve them.
pub(crate) async fn ask(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Response> {
    let (mut head, body) = request.into_parts();
    let body = read(&gateway.settings, &head.headers, body).await?;
    let invalid = |message: String| told(StatusCode::BAD_REQUEST, "invalid_request", &message);
    let model = model_of(&body).map_err(invalid)?;
    let is_embedding = head.uri.path().ends_with("/embeddings");
    let able = gateway.stack.upstreams().iter();
    let able = able.filter(|it| is_for_embeddings(it) == is_embedding);
    let able = able.filter(|it| model == "auto" || names(it).contains(&&*model));
    let able: Vec<&str> = able.map(Upstream::id).collect();
    if able.is_empty() {
        let message =
            "No such model serves this route; `GET /v1/models` lists those of all routes.";
        let (status, param) = (StatusCode::NOT_FOUND, Some("model"));
        return Err(
            rejection::openai_error(status, "model_not_found", param, message).map(Body::new),
        );
    }
    let mut request = http::Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut()) = (head.method, head.uri);
    *request.headers_mut() = only(&mut head.headers, &SENT_ON);
    let extensions = request.extensions_mut();
    extensions.insert(Preferences::new().only(able));
    // Limits of the stack itself may be by who asks.
    head.extensions
        .remove::<Caller>()
        .map(|it| extensions.insert(it));
    // Whose turn would come too late is told so at once, and when to come back.
    extensions.insert(Deadline::after(gateway.settings.answer_time, &TokioClock));
    let Ok(response) = gateway.upstreams.clone().oneshot(request).await;

    // A response of its own: in the extensions of the other are words for the status, which the server would repeat.
    let (mut head, body) = response.into_parts();
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = only(&mut head.headers, &PASSED_BACK);
    let id = head.extensions.get().map(|ServedBy(it)| it.id());
    let id = id.and_then(|id| HeaderValue::from_str(id).ok());
    response.headers_mut().extend(id.map(|id| (SERVED_BY, id)));
    Ok(response)
}

/// In OpenAI's form.
pub(crate) async fn models(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let mut models = BTreeMap::from([("auto", "gateway")]);
    for upstream in gateway.stack.upstreams() {
        for name in names(upstream) {
            models.entry(name).or_insert(upstream.provider().name());
        }
    }
    let models = models
        .into_iter()
        .map(|(id, owner)| json!({ "id": id, "object": "model", "created": 0, "owned_by": owner }));
    Json(json!({ "object": "list", "data": models.collect::<Value>() }))
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
                let message = "The body did not arrive in time.";
                return Err(told(StatusCode::REQUEST_TIMEOUT, "timeout", message));
            }
        }
    }
    // Who is still sending would see a broken connection in place of the answer, unless he waits for a word before he sends.
    if !headers.contains_key(header::EXPECT) {
        let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
        tokio::spawn(within(Duration::from_secs(5), rest));
    }
    let message = format!("The body is larger than {most} bytes.");
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    Err(told(status, "request_too_large", &message))
}

/// The model that a body names, or what is wrong. All else in it is for the upstream to understand, and skipped.
fn model_of(body: &[u8]) -> Result<String, String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("The body is not a JSON object: line {line}, column {column}.")
    })?;
    let model = fields.get("model").map_or("", |model| model.get());
    serde_json::from_str(model).map_err(|_| "`model` must be there, and a string.".to_owned())
}

/// Of a head, what concerns the other side.
fn only(headers: &mut HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let field = |name: &HeaderName| Some((name.clone(), headers.remove(name)?));
    names.iter().filter_map(field).collect()
}

const SENT_ON: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::ACCEPT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    super::gate::REQUEST_ID,
];

/// Not among them: an upstream's quotas, organisation and cookies, which are the gateway's own.
const PASSED_BACK: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
];

const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
