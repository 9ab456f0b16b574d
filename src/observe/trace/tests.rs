//! What a subscriber is given.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing::{
    Event as Told, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::with_default,
};

use super::*;
use crate::{
    Chain, FallbackLayer, Provider, ProviderLayer, Quota, RateLimitLayer, RateLimiter, RetryLayer,
    RetryPolicy,
    error::BoxError,
    observe::{
        SpanLayer,
        examples::{examples, with_events},
    },
};

/// Keeps every event and span.
#[derive(Clone, Default)]
struct Collector(Arc<Kept>);

#[derive(Default)]
struct Kept {
    next: AtomicU64,
    entered: Mutex<Vec<u64>>,
    spans: Mutex<Vec<Kind>>,
    events: Mutex<Vec<Kind>>,
}

/// A span or an event.
#[derive(Clone, Debug)]
struct Kind {
    name: String,
    target: String,
    level: Level,
    parent: Option<u64>,
    fields: Map<String, Value>,
}

impl Kind {
    fn new(metadata: &Metadata<'_>, parent: Option<u64>) -> Self {
        Self {
            name: metadata.name().to_owned(),
            target: metadata.target().to_owned(),
            level: *metadata.level(),
            parent,
            fields: Map::new(),
        }
    }
}

impl Visit for Kind {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.name = text,
            name => _ = self.fields.insert(name.to_owned(), text.into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let parent = self.0.entered.lock().unwrap().last().copied();
        let mut span = Kind::new(attributes.metadata(), parent);
        attributes.record(&mut span);
        self.0.spans.lock().unwrap().push(span);
        Id::from_u64(self.0.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.0.spans.lock().unwrap();
        values.record(&mut spans[span.into_u64() as usize - 1]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Told<'_>) {
        let parent = self.0.entered.lock().unwrap().last().copied();
        let mut told = Kind::new(event.metadata(), parent);
        event.record(&mut told);
        self.0.events.lock().unwrap().push(told);
    }

    fn enter(&self, span: &Id) {
        self.0.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let left = self.0.entered.lock().unwrap().pop();
        assert_eq!(left, Some(span.into_u64()));
    }
}

/// What a line says, as `tracing` has it: all but the limits, money as text.
fn as_traced(fields: &str) -> Map<String, Value> {
    let mut fields: Map<String, Value> = serde_json::from_str(fields).unwrap();
    fields.remove("limits");
    for (name, value) in &mut fields {
        if name.ends_with("_s") {
            *value = value.as_f64().into();
        }
    }
    fields
}

#[test]
fn a_subscriber_is_told_what_a_line_says_under_the_same_names() {
    let collector = Collector::default();
    with_default(collector.clone(), || with_events(|event| event.trace()));
    let told = collector.0.events.lock().unwrap().clone();
    let mut levels = Vec::new();
    with_events(|event| levels.push(event.level()));
    let examples = examples();
    assert_eq!(told.len(), examples.len());
    for ((told, (name, fields)), level) in told.iter().zip(examples).zip(levels) {
        assert_eq!((&*told.name, &*told.target), (name, "tower_upstream"));
        assert_eq!(told.level, level, "{name}");
        let mut fields = as_traced(fields);
        for (name, value) in &told.fields {
            let expected = fields.remove(name);
            if name.ends_with("money") {
                let money: f64 = value.as_str().unwrap().parse().unwrap();
                assert_eq!(Some(money), expected.unwrap().as_f64());
            } else {
                assert_eq!(Some(value), expected.as_ref(), "{name}");
            }
        }
        assert!(fields.is_empty(), "not told: {fields:?}");
    }
}

#[test]
fn the_table_in_the_docs_is_what_is_told() {
    let docs = include_str!("../mod.rs");
    let mut levels: std::collections::BTreeMap<&str, Vec<String>> = Default::default();
    with_events(|event| {
        let level = event.level().as_str().to_lowercase();
        levels.entry(event.name()).or_default().push(level);
    });
    for (name, fields) in examples() {
        let begins = format!("//! | `{name}` | ");
        let row = docs.lines().find_map(|line| line.strip_prefix(&begins));
        let (level, told) = row.expect(name).split_once(" | ").unwrap();
        assert!(levels[name].iter().all(|one| level.contains(one)), "{name}");
        let fields: Map<String, Value> = serde_json::from_str(fields).unwrap();
        for field in fields.keys() {
            assert!(told.contains(&format!("`{field}`")), "{name}: {field}");
        }
    }
}

/// What upstreams and clients say may carry what is secret.
#[test]
fn no_words_of_upstreams_are_told() {
    let collector = Collector::default();
    with_default(collector.clone(), || with_events(|event| event.trace()));
    let told = format!("{:?}", collector.0.events.lock().unwrap());
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_request_is_a_span_its_attempts_are_children_and_what_is_told_is_told_within() {
    let collector = Collector::default();
    let dispatch = tracing::Dispatch::new(collector.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _default = tracing::dispatcher::set_default(&dispatch);
    runtime.block_on(async {
        let statuses = Arc::new(Mutex::new([503, 503, 200].into_iter()));
        let client = service_fn(move |_: Request<Full<Bytes>>| {
            let status = statuses.lock().unwrap().next().unwrap();
            let usage = r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            std::future::ready(Ok::<_, BoxError>(answer.body(Full::<Bytes>::from(usage)).unwrap()))
        });
        let chain = Chain::new([Provider::gemini().model("one"), Provider::groq().model("two")]);
        let service = ServiceBuilder::new()
            .layer(SpanLayer::new())
            .layer(FallbackLayer::new(chain).unwrap())
            .layer(RetryLayer::new(RetryPolicy::llm().max_attempts(2)).unwrap())
            .layer(ProviderLayer::new())
            .service(client);
        let request = Request::post("/v1/chat/completions?key=secret");
        let request = request.body(Full::from(r#"{"model":"x"}"#)).unwrap();
        let response = service.oneshot(request).await.unwrap();
        response.collect().await.unwrap();
    });
    let spans = collector.0.spans.lock().unwrap().clone();
    let names: Vec<_> = spans
        .iter()
        .map(|span| (&*span.name, span.parent))
        .collect();
    let attempt = ("attempt", Some(1));
    assert_eq!(names, [("request", None), attempt, attempt, attempt]);
    assert!(
        spans
            .iter()
            .all(|span| span.target == TARGET && span.level == Level::INFO)
    );
    let fields = |index: usize| Value::from(spans[index].fields.clone()).to_string();
    assert_eq!(
        fields(0),
        r#"{"failed_attempts":2,"http.request.method":"POST","http.response.status_code":200,"upstream":"groq/two"}"#
    );
    assert_eq!(
        fields(1),
        r#"{"end":"failed","error.type":"overloaded","gen_ai.operation.name":"chat","gen_ai.provider.name":"gcp.gemini","gen_ai.request.model":"one","http.response.status_code":503,"upstream":"gemini/one"}"#
    );
    assert_eq!(
        fields(3),
        r#"{"end":"answered","gen_ai.operation.name":"chat","gen_ai.provider.name":"groq","gen_ai.request.model":"two","gen_ai.usage.input_tokens":7,"gen_ai.usage.output_tokens":2,"http.response.status_code":200,"upstream":"groq/two"}"#
    );
    let events = collector.0.events.lock().unwrap().clone();
    let told: Vec<_> = events
        .iter()
        .map(|event| (&*event.name, event.parent))
        .collect();
    assert_eq!(
        told,
        [
            ("ended", Some(2)),
            ("retrying", Some(1)),
            ("ended", Some(3)),
            ("gave_up", Some(1)),
            ("cooling_down", Some(1)),
            ("switched", Some(1)),
            ("ended", Some(4)),
        ]
    );
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn what_a_dropped_call_tells_is_told_within_its_span() {
    let collector = Collector::default();
    let dispatch = tracing::Dispatch::new(collector.clone());
    let _default = tracing::dispatcher::set_default(&dispatch);
    let limiter = RateLimiter::new(Quota::new().max_concurrent(1)).unwrap();
    let client = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(
            "held",
        ))))
    });
    let layers = ServiceBuilder::new()
        .layer(SpanLayer::new())
        .layer(RateLimitLayer::new(limiter.max_wait(None)));
    let service = layers.service(client);
    let call = || service.clone().oneshot(Request::new(()));
    let held = call().now_or_never().unwrap().unwrap();
    let mut waits = Box::pin(call());
    assert!((&mut waits).now_or_never().is_none());
    drop(waits);
    let events = collector.0.events.lock().unwrap().clone();
    let left = events.iter().find(|event| event.name == "left").unwrap();
    let queued = events.iter().find(|event| event.name == "queued").unwrap();
    assert!(left.parent.is_some());
    assert_eq!(left.parent, queued.parent);
    drop(held);
}
