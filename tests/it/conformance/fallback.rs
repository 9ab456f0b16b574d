//! The cases of the fallback layer. All times are milliseconds from the beginning of a case.

use std::{
    cell::RefCell,
    io,
    pin::pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{self, Either},
    stream,
};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::{Map, Value};
use tower::{Layer, ServiceExt, service_fn};
use tower_upstream::{
    Chain, CircuitBreaker, CircuitBreakerLayer, Cooldowns, Deadline, Error, Failure, FailureKind,
    FallbackLayer, Money, Order, Outcome, Price, Provider, ProviderLayer, Scope, ServedBy,
    Upstream, WhenExhausted,
    clock::{Clock, ManualClock},
    error::BoxError,
    signal::hint,
};

#[test]
fn the_fallback_cases_hold() {
    let cases = super::cases("fallback.json", include_str!("fallback.json"));
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case["id"], play(case).err()?)))
        .collect();
    println!("{} cases played", cases.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn play(case: &Value) -> Result<(), String> {
    let clock = ManualClock::new();
    let start = clock.now();
    let cooldowns = Cooldowns::new().clock(clock.clone());
    let layer = layer(&case["settings"])?.cooldowns(cooldowns);
    let requests = case["requests"].as_array().ok_or("no requests")?;
    let mut all = pin!(future::join_all(
        requests
            .iter()
            .map(|request| send(request, &layer, &clock, start))
    ));
    loop {
        if let Some(results) = (&mut all).now_or_never() {
            return results.into_iter().collect();
        }
        let next = clock.next_deadline().ok_or("a request never ended")?;
        clock.advance(next.saturating_duration_since(clock.now()));
    }
}

fn layer(settings: &Value) -> Result<FallbackLayer, String> {
    let settings = settings.as_object().ok_or("no settings")?;
    let upstreams: Vec<Upstream> = texts(&settings["chain"])
        .iter()
        .map(|id| upstream(id, settings))
        .collect();
    // What a case does not name is off.
    let mut chain = Chain::new(upstreams).cooldown(Duration::ZERO);
    for (name, value) in settings {
        chain = match (name.as_str(), value.as_str()) {
            ("chain" | "contexts" | "local" | "prices", _) | ("order", Some("listed")) => chain,
            ("when_exhausted", Some("fail")) => chain.when_exhausted(WhenExhausted::Fail),
            ("order", Some("local_first")) => chain.order(Order::LocalFirst),
            ("order", Some("cheapest")) => chain.order(Order::Cheapest),
            ("order", Some("fastest")) => chain.order(Order::Fastest),
            ("order", Some("learned")) => chain.order(Order::Learned),
            ("default_cooldown_ms", _) => chain.cooldown(millis(value)),
            ("max_attempts", _) => chain.max_attempts(
                value
                    .as_u64()
                    .and_then(|max| max.try_into().ok())
                    .unwrap_or(0),
            ),
            ("when_exhausted", Some("try_anyway")) => {
                chain.when_exhausted(WhenExhausted::TryAnyway)
            }
            ("when_exhausted", None) => chain.when_exhausted(WhenExhausted::Wait {
                max: millis(&value["wait_ms"]),
            }),
            ("fall_back_on", _) => texts(value)
                .iter()
                .fold(chain, |chain, name| chain.fall_back_on(kind(name))),
            _ => return Err(format!("unknown setting {name}: {value}")),
        };
    }
    FallbackLayer::new(chain).map_err(|error| error.to_string())
}

fn upstream(id: &str, settings: &Map<String, Value>) -> Upstream {
    let (provider, model) = id.split_once('/').expect("provider/model");
    let mut provider = Provider::new(provider, "http://example.com").expect("a URL");
    if settings
        .get("local")
        .is_some_and(|local| texts(local).contains(&id))
    {
        provider = provider.local();
    }
    let mut upstream = provider.model(model);
    let price = settings
        .get("prices")
        .and_then(|prices| prices[id].as_f64());
    if let Some(price) = price {
        upstream =
            upstream.price(Price::default().input(Money::from_cents((price * 100.0) as u64)));
    }
    match settings
        .get("contexts")
        .and_then(|contexts| contexts[id].as_u64())
    {
        Some(context) => upstream.context_tokens(context),
        None => upstream,
    }
}

/// Sends one request of a case at its time, and compares what is seen with what is expected.
async fn send(
    script: &Value,
    layer: &FallbackLayer,
    clock: &ManualClock,
    start: Instant,
) -> Result<(), String> {
    clock.sleep_until(start + millis(&script["at_ms"])).await;
    let tried = RefCell::new(Vec::new());
    let client = service_fn(|request: Request<Full<Bytes>>| {
        let upstream = request
            .extensions()
            .get::<Upstream>()
            .expect("an upstream is chosen");
        tried.borrow_mut().push(upstream.id().to_owned());
        answer(script["answers"].get(upstream.id()), clock)
    });
    let request = Request::post("/").body(Full::<Bytes>::default());
    let mut request = request.expect("a request");
    if let Some(deadline) = script.get("deadline_ms") {
        request
            .extensions_mut()
            .insert(Deadline(start + millis(deadline)));
    }
    // What an event in a stream means, the provider layer knows; it would overrule a meaning that a case gives.
    let is_streamed = script["answers"].to_string().contains("\"sse\"");
    let call = match is_streamed {
        true => {
            let provider = ProviderLayer::new().clock(clock.clone()).layer(client);
            let provider = provider.map_response(|response| response.map(drop));
            layer.layer(provider).oneshot(request).left_future()
        }
        false => {
            let client = client.map_response(|response| response.map(drop));
            layer.layer(client).oneshot(request).right_future()
        }
    };
    let result = match script.get("drop_at_ms") {
        Some(at) => {
            let drop_at = clock.sleep_until(start + millis(at));
            match future::select(pin!(call), drop_at).await {
                Either::Left((result, _)) => Some(result),
                Either::Right(_) => None,
            }
        }
        None => Some(call.await),
    };
    let seen = Seen {
        tried: tried.into_inner(),
        result,
    };
    let expect = script["expect"].as_object().ok_or("nothing is expected")?;
    for (name, value) in expect {
        if !seen.is(name, value) {
            return Err(format!(
                "at {} ms: {name} should be {value}, but {seen:?}",
                script["at_ms"]
            ));
        }
    }
    // What is not expected to fail must be answered.
    let answered = matches!(seen.result, Some(Ok(_)) | None);
    if answered || expect.contains_key("error") {
        Ok(())
    } else {
        Err(format!("at {} ms: {seen:?}", script["at_ms"]))
    }
}

#[derive(Debug)]
struct Seen {
    tried: Vec<String>,
    result: Option<Result<Response<()>, Error>>,
}

impl Seen {
    fn is(&self, name: &str, value: &Value) -> bool {
        let response = self.result.as_ref().and_then(|result| result.as_ref().ok());
        let error = self
            .result
            .as_ref()
            .and_then(|result| result.as_ref().err());
        match name {
            "tried" => self.tried == texts(value),
            "served_by" => {
                let served_by =
                    response.and_then(|response| response.extensions().get::<ServedBy>());
                served_by.map(|served_by| served_by.0.id()) == value.as_str()
            }
            "status" => {
                response.map(|response| u64::from(response.status().as_u16())) == value.as_u64()
            }
            "error" => match error {
                Some(Error::Exhausted(_)) => value == "exhausted",
                Some(Error::CircuitOpen(_)) => value == "circuit_open",
                Some(error) => error.to_string() == value.as_str().unwrap_or_default(),
                None => false,
            },
            "retry_after_ms" => error.and_then(Error::retry_after) == Some(millis(value)),
            _ => false,
        }
    }
}

/// What an upstream does when it is called. One without an answer must not be called: who was is compared afterwards.
async fn answer(
    script: Option<&Value>,
    clock: &ManualClock,
) -> Result<Response<Streamed>, BoxError> {
    let nothing = Value::Null;
    let script = script.unwrap_or(&nothing);
    if script["never"] == true {
        future::pending::<()>().await;
    }
    clock
        .sleep_until(clock.now() + millis(&script["takes_ms"]))
        .await;
    let io_error = |kind, name: &str| Err(io::Error::new(kind, name).into());
    match script["error"].as_str() {
        None => Ok(response(script, clock)),
        Some("circuit_open") => Err(circuit_open().await.into()),
        // All that the layer knows of the refusal of a limiter.
        Some("rate_limited_locally") => {
            let mut response = Response::new(streamed(&[]));
            response
                .extensions_mut()
                .insert(Outcome::from(Failure::new(FailureKind::Refused)));
            Ok(response)
        }
        Some("timeout") => io_error(io::ErrorKind::TimedOut, "timeout"),
        Some("connect") => io_error(io::ErrorKind::ConnectionRefused, "connect"),
        Some(other) => io_error(io::ErrorKind::ConnectionReset, other),
    }
}

fn response(script: &Value, clock: &ManualClock) -> Response<Streamed> {
    let status = script["status"].as_u64().unwrap_or(599);
    let mut response = Response::builder().status(u16::try_from(status).unwrap_or(599));
    for (name, value) in script["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().expect("a header is text"));
    }
    let events = texts(&script["sse"]);
    if !events.is_empty() {
        response = response.header("content-type", "text/event-stream");
    }
    let mut response = response.body(streamed(&events)).expect("a response");
    if let Some(meaning) = script["meaning"].as_str() {
        let hint = hint::retry_after(response.headers(), clock.wall());
        let failure = Failure::new(kind(meaning)).with_retry_after(hint);
        response.extensions_mut().insert(Outcome::from(failure));
    }
    response
}

type Streamed = UnsyncBoxBody<Bytes, BoxError>;

/// A body in which each event comes by itself.
fn streamed(events: &[&str]) -> Streamed {
    let frames: Vec<_> = events
        .iter()
        .map(|name| Ok(Frame::data(event(name).into())))
        .collect();
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// An event of a stream in the OpenAI format.
fn event(name: &str) -> String {
    match name.split_once(':') {
        Some(("error", kind)) => {
            format!("data: {{\"error\":{{\"message\":\"{kind}\",\"type\":\"{kind}_error\"}}}}\n\n")
        }
        _ => "data: {\"choices\":[{\"delta\":{\"content\":\"a word\"}}]}\n\n".to_owned(),
    }
}

/// The error of a circuit breaker that refuses.
async fn circuit_open() -> Error {
    let breaker = CircuitBreaker::default().scope(Scope::All);
    breaker.force_open("");
    let never_called = service_fn(|_: Request<()>| {
        future::ready(Ok::<_, BoxError>(Response::new(Empty::<&[u8]>::new())))
    });
    let service = CircuitBreakerLayer::new(breaker).layer(never_called);
    service
        .oneshot(Request::new(()))
        .await
        .expect_err("the circuit is open")
}

fn kind(name: &str) -> FailureKind {
    let kinds = [
        FailureKind::RateLimited,
        FailureKind::QuotaExhausted,
        FailureKind::Overloaded,
        FailureKind::ServerError,
        FailureKind::RequestTooLarge,
        FailureKind::Auth,
        FailureKind::InvalidRequest,
        FailureKind::ContentFiltered,
        FailureKind::NotFound,
        FailureKind::Timeout,
        FailureKind::Transport,
        FailureKind::Refused,
    ];
    let named = kinds.into_iter().find(|kind| kind.as_str() == name);
    named.unwrap_or_else(|| panic!("unknown kind of failure {name}"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Zero where it is not said.
fn millis(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().unwrap_or(0))
}
