//! Requests to models: looked at, sent through the stack, and answered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::{Value, json, value::RawValue};
use tower::ServiceExt;
use tower_upstream::{
    Deadline, Error, FailureKind, Outcome, ServedBy, Upstream,
    clock::{Clock, TokioClock},
    error::{RateLimited, RefusalReason},
    fallback::Preferences,
    stack::Caller,
};

use super::{app::Gateway, errors::ApiError, server::within};

/// Who may serve a model's name, for chats and for embeddings.
pub(crate) struct Models {
    served: BTreeMap<(&'static str, String), (Preferences, String)>,
}

impl Models {
    pub(crate) fn new(upstreams: &[Upstream]) -> Self {
        let mut ids = BTreeMap::<_, Vec<&Upstream>>::new();
        for upstream in upstreams {
            let model = upstream.model().unwrap_or(upstream.id());
            // No provider tells which of its models are for embeddings, but all of them are called so.
            let field = if model.contains("embed") {
                "input"
            } else {
                "messages"
            };
            for name in ["auto", model, upstream.id()] {
                let served = ids.entry((field, name.to_owned())).or_default();
                served.push(upstream);
            }
        }
        let served = ids.into_iter().map(|(name, upstreams)| {
            let owner = upstreams[0].provider().name().to_owned();
            let only = Preferences::new().only(upstreams.into_iter().map(Upstream::id));
            (name, (only, owner))
        });
        Self {
            served: served.collect(),
        }
    }

    /// In OpenAI's form.
    pub(crate) fn list(&self) -> Value {
        let served = self.served.iter();
        let names: BTreeMap<_, _> = served
            .map(|((_, name), (_, owner))| (name, owner))
            .collect();
        let names = names.into_iter().map(|(name, owner)| {
            json!({ "id": name, "object": "model", "created": 0, "owned_by": owner })
        });
        json!({ "object": "list", "data": names.collect::<Value>() })
    }
}

/// Both routes: they differ by what a request must have beside a model.
pub(crate) async fn ask(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let is_chat = head.uri.path().ends_with("/completions");
    let field = if is_chat { "messages" } else { "input" };
    let body = read(&gateway, &head.headers, body).await?;
    let model = model_of(&body, field)?;
    let (preferences, _) = gateway.models.served.get(&(field, model)).ok_or_else(|| {
        let message =
            "No such model serves this route; `GET /v1/models` lists those of all routes.";
        ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message).param("model")
    })?;
    let mut request = http::Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut()) = (head.method, head.uri);
    *request.headers_mut() = only(head.headers, &SENT_ON);
    request.extensions_mut().insert(preferences.clone());
    // Limits of the stack itself may be by who asks.
    if let Some(caller) = head.extensions.get::<Caller>() {
        request.extensions_mut().insert(caller.clone());
    }
    // Whose turn would come too late is told so at once, and when to come back.
    let deadline = TokioClock.now() + gateway.settings.answer_time;
    request.extensions_mut().insert(Deadline(deadline));
    let call = gateway.upstreams.clone().oneshot(request);
    match within(gateway.settings.answer_time, call).await {
        Some(Ok(response)) => answered(response).await,
        Some(Err(error)) => Err(ApiError::from(&error)),
        None => Err(ApiError::from(&Error::TimedOut {
            after: gateway.settings.answer_time,
        })),
    }
}

async fn read(gateway: &Gateway, headers: &HeaderMap, mut body: Body) -> Result<Bytes, ApiError> {
    let most = gateway.settings.max_body;
    let is_told = body.size_hint().lower() > most as u64;
    if is_told && headers.contains_key(header::EXPECT) {
        // He waits for a word before he sends it.
        return Err(too_large(most));
    }
    let whole = Limited::new(&mut body, if is_told { 0 } else { most }).collect();
    match within(gateway.settings.body_time, whole).await {
        Some(Ok(body)) => Ok(body.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            // Who is still sending would see a broken connection in place of the answer.
            let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
            tokio::spawn(within(LINGER, rest));
            Err(too_large(most))
        }
        Some(Err(_)) => Err(ApiError::invalid("", "The body broke off.")),
        None => {
            let message = "The body did not arrive in time.";
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                message,
            ))
        }
    }
}

fn too_large(most: usize) -> ApiError {
    let message = format!("The body is larger than {most} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

/// The model that a body names, if it is what the route takes. Its values are skipped, not built.
fn model_of(body: &[u8], field: &'static str) -> Result<String, ApiError> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = format!("The body is not a JSON object: line {line}, column {column}.");
        ApiError::invalid("", message)
    })?;
    let begins = |name: &str| fields.get(name).map_or("", |value| value.get());
    let wrong = |name, wanted| {
        Err(ApiError::invalid(
            name,
            format!("`{name}` must be {wanted}."),
        ))
    };
    if !matches!(begins("stream"), "" | "true" | "false" | "null") {
        return wrong("stream", "true or false");
    }
    if !begins(field).starts_with(if field == "input" {
        &['[', '"'][..]
    } else {
        &['[']
    }) {
        return wrong(field, "there, and a list");
    }
    match serde_json::from_str(begins("model")) {
        Ok(model) => Ok(model),
        Err(_) => wrong("model", "there, and a string"),
    }
}

/// Success passes as it comes, and so does what is wrong with the request itself. The rest is between the gateway and its
/// upstream: what that says of keys, accounts and quotas is nobody else's.
async fn answered(response: http::Response<Body>) -> Result<Response, ApiError> {
    let (head, body) = response.into_parts();
    let served_by = head.extensions.get::<ServedBy>();
    let served_by = served_by.and_then(|ServedBy(it)| HeaderValue::from_str(it.id()).ok());
    let failure = head.extensions.get().and_then(Outcome::failure).cloned();
    // A response of its own: in the extensions of the other are words for the status, which the server would repeat.
    let mut response = Response::new(Body::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = only(head.headers, &PASSED_BACK);
    let served_by = served_by.map(|id| (SERVED_BY, id));
    response.headers_mut().extend(served_by);
    let Some(failure) = failure else {
        return match head.status.is_success() {
            true => Ok(response.map(|_| body)),
            false => Err(failed()),
        };
    };
    // There are errors with the status of a success.
    let status = match head.status.is_client_error() {
        true => head.status,
        false => StatusCode::BAD_REQUEST,
    };
    let refused = |code, words: String| Err(ApiError::new(status, code, words));
    match failure.kind {
        FailureKind::InvalidRequest | FailureKind::ContentFiltered => {
            let body = within(LINGER, Limited::new(body, 64 << 10).collect()).await;
            let body = body.and_then(Result::ok).unwrap_or_default().to_bytes();
            let told = serde_json::from_slice(&body).unwrap_or(Value::Null);
            // Where the crate has left something out of the words, they are not passed on as they were said.
            let words = told["error"]["message"].as_str();
            if words.is_some_and(|words| failure.message.as_deref() == Some(words))
                && told["error"]["type"].is_string()
                && head.status == status
            {
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                return Ok(response.map(|_| body.into()));
            }
            let words = failure.message.as_deref().map(str::to_owned);
            refused(
                "upstream_refused",
                words.unwrap_or_else(|| failure.user_message()),
            )
        }
        FailureKind::RequestTooLarge => refused("request_too_large", failure.user_message()),
        FailureKind::NotFound => refused("model_not_found", failure.user_message()),
        FailureKind::RateLimited => {
            let mut refusal = RateLimited::new(RefusalReason::WaitTooLong);
            refusal.wait = failure.retry_after;
            Err(ApiError::from(&Error::RateLimited(refusal)))
        }
        _ => Err(failed()),
    }
}

fn failed() -> ApiError {
    let message = "The upstream failed. Please try again later.";
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream_error", message)
}

/// Of a head, what concerns the other side.
fn only(mut headers: HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let field = |name: &HeaderName| Some((name.clone(), headers.remove(name)?));
    names.iter().filter_map(field).collect()
}

const SENT_ON: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::ACCEPT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    super::errors::REQUEST_ID,
];

/// Not among them: an upstream's quotas, organisation and cookies, which are the gateway's own.
const PASSED_BACK: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CACHE_CONTROL,
];

const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// How long to go on reading what is of no use.
const LINGER: Duration = Duration::from_secs(5);
