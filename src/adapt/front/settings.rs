//! What the layer is set to, and whom a name means.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderName;
use serde_json::{Value, json, value::RawValue};

use crate::{
    adapt::rejection::OpenAiError,
    clock::{Clock, TokioClock},
    fallback::Preferences,
    outline::Outline,
    upstream::Upstream,
};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_body: usize,
    pub(super) body_time: Duration,
    pub(super) answer_time: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sent_on: Vec<HeaderName>,
    pub(super) passed_back: Vec<HeaderName>,
    pub(super) names: Names,
    /// What is answered to who asks for the models.
    pub(super) models: Bytes,
}

impl Settings {
    pub(super) fn new(upstreams: &[Upstream]) -> Self {
        let names = |names: [&'static str; 5]| names.map(HeaderName::from_static).into();
        Self {
            max_body: 4 << 20,
            body_time: Duration::from_secs(30),
            answer_time: Duration::from_secs(300),
            clock: Arc::new(TokioClock),
            sent_on: names(SENT_ON),
            passed_back: names(PASSED_BACK),
            names: Names::of(upstreams),
            models: models(upstreams).into(),
        }
    }
}

/// Who is meant by each name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    embeddings: HashMap<Box<str>, Preferences>,
    others: HashMap<Box<str>, Preferences>,
}

impl Names {
    fn of(upstreams: &[Upstream]) -> Self {
        let [embeddings, others] = [true, false].map(|wanted| {
            let able = upstreams
                .iter()
                .filter(|it| is_for_embeddings(it) == wanted);
            let mut meant: HashMap<Box<str>, Vec<&str>> = HashMap::new();
            for upstream in able {
                for name in names(upstream).chain([AUTO]) {
                    meant.entry(name.into()).or_default().push(upstream.id());
                }
            }
            let only = |(name, ids)| (name, Preferences::new().only(ids));
            meant.into_iter().map(only).collect()
        });
        Self { embeddings, others }
    }

    /// Whom a request for this path asks that has this body, and what was read of it.
    pub(super) fn asked(
        &self,
        path: &str,
        body: &Bytes,
    ) -> Result<(Preferences, Outline), OpenAiError> {
        let (model, outline) = read(body)?;
        let able = match path.ends_with("/embeddings") {
            true => &self.embeddings,
            false => &self.others,
        };
        let asked = able.get(&*model).cloned().ok_or_else(|| {
            let error = OpenAiError::new(http::StatusCode::NOT_FOUND, NO_SUCH_MODEL);
            error.code("model_not_found").param("model")
        });
        Ok((asked?, outline))
    }
}

/// The model that a body names, and the outline that the layers inside need as well. All else in it is for the upstream to
/// understand.
fn read(body: &Bytes) -> Result<(String, Outline), OpenAiError> {
    let invalid = |message: &str| OpenAiError::new(http::StatusCode::BAD_REQUEST, message);
    // The outline reads on over what is wrong.
    serde_json::from_slice::<&RawValue>(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        invalid(&format!(
            "The body is not a JSON object: line {line}, column {column}."
        ))
    })?;
    let outline = Outline::of(body);
    let outline = outline.ok_or_else(|| invalid("The body is not a JSON object."))?;
    let model = outline.models().last();
    let model = model.map_or(&b""[..], |at| &body[at.clone()]);
    let model = serde_json::from_slice(model)
        .map_err(|_| invalid("`model` must be there, and a string.").param("model"))?;
    Ok((model, outline))
}

/// In OpenAI's form, by their names.
fn models(upstreams: &[Upstream]) -> String {
    let mut owners = BTreeMap::from([(AUTO, "gateway")]);
    for upstream in upstreams {
        for name in names(upstream) {
            owners.entry(name).or_insert(upstream.provider().name());
        }
    }
    let models = owners
        .into_iter()
        .map(|(id, owner)| json!({ "id": id, "object": "model", "created": 0, "owned_by": owner }));
    json!({ "object": "list", "data": models.collect::<Value>() }).to_string()
}

/// What an upstream may be called.
fn names(upstream: &Upstream) -> impl Iterator<Item = &str> {
    let model = upstream.model().filter(|model| *model != upstream.id());
    model.into_iter().chain([upstream.id()])
}

fn is_for_embeddings(upstream: &Upstream) -> bool {
    upstream.model().unwrap_or(upstream.id()).contains("embed")
}

const AUTO: &str = "auto";
const NO_SUCH_MODEL: &str =
    "No such model serves this route; `GET /v1/models` lists those of all routes.";

/// What concerns the upstream. What the provider layer sets by itself is not among them.
const SENT_ON: [&str; 5] = [
    "content-type",
    "accept",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// What concerns the caller.
const PASSED_BACK: [&str; 5] = [
    "content-type",
    "content-length",
    "content-encoding",
    "cache-control",
    "retry-after",
];
