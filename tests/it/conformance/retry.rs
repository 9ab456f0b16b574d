//! The retry layer's cases: what the service inside does on each call, and the calls, waits and result that follow.

use std::{
    fmt,
    future::{pending, ready},
    io,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use http_body_util::Empty;
use serde_json::Value;
use tower::{Layer, Service, ServiceExt};
use tower_upstream::{
    Attempts, CircuitBreaker, CircuitBreakerLayer, Error, FailureKind, Jitter, Priority,
    RetryBudget, RetryLayer, RetryPolicy, Schedule,
    body::Replay,
    clock::{Clock, TokioClock},
    error::{BoxError, RateLimited, RefusalReason},
};

#[tokio::test(start_paused = true)]
async fn every_case_holds() {
    let mut wrong = Vec::new();
    let cases = super::cases("retry.json", include_str!("retry.json"));
    for case in &cases {
        let draws = if has_range(case) { 200 } else { 1 };
        for seed in 0..draws {
            if let Err(why) = play(case, seed).await {
                wrong.push(format!("{}: {why}", case["id"]));
                break;
            }
        }
    }
    let (wrong_count, count) = (wrong.len(), cases.len());
    assert!(
        wrong.is_empty(),
        "{wrong_count} of {count}:\n{}",
        wrong.join("\n")
    );
}

async fn play(case: &Value, seed: u64) -> Result<(), String> {
    let policy = policy(&case["settings"]).seed(seed);
    let layer = RetryLayer::new(policy).map_err(|error| error.to_string())?;
    let script = Script::new(case["attempts"].as_array().expect("attempts"));
    let service = layer.layer(script.clone());
    let result = tell(service.oneshot(request(case)).await);
    script.check(&case["expect"], &result)
}

fn has_range(case: &Value) -> bool {
    let waits = case["expect"]["waits_ms"].as_array();
    waits.is_some_and(|waits| waits.iter().any(Value::is_object))
}

fn policy(settings: &Value) -> RetryPolicy {
    let mut policy = RetryPolicy::llm()
        .without_budget()
        .max_hint_wait(Duration::MAX)
        .max_hint_wait_with_alternatives(Duration::MAX);
    for (name, value) in settings.as_object().expect("settings") {
        policy = match name.as_str() {
            "max_attempts" => policy.max_attempts(count(value)),
            "backoff" => {
                let (base, max) = (ms(&value["base_ms"]), ms(&value["max_ms"]));
                let multiplier = value["multiplier"].as_f64().expect("a multiplier");
                let policy = policy.backoff(base, max).multiplier(multiplier);
                policy.jitter(jitter(&value["jitter"]))
            }
            "max_hint_wait_ms" => policy.max_hint_wait(ms(value)),
            "max_hint_wait_with_alternatives_ms" => {
                policy.max_hint_wait_with_alternatives(ms(value))
            }
            "deadline_ms" => policy.total_deadline(ms(value)),
            "attempt_timeout_ms" => policy.attempt_timeout(ms(value)),
            "idempotent_only" => policy.retry_non_idempotent(value != &Value::Bool(true)),
            "budget" => policy.budget(budget(value)),
            "overloaded" => policy.schedule(FailureKind::Overloaded, schedule(value)),
            // Of the request.
            "priority" | "alternatives" => policy,
            _ => panic!("unknown setting {name}"),
        };
    }
    policy
}

fn schedule(value: &Value) -> Schedule {
    let backoff = &value["backoff"];
    Schedule::new()
        .max_attempts(count(&value["max_attempts"]))
        .backoff(ms(&backoff["base_ms"]), ms(&backoff["max_ms"]))
        .multiplier(backoff["multiplier"].as_f64().expect("a multiplier"))
        .jitter(jitter(&backoff["jitter"]))
}

fn budget(value: &Value) -> RetryBudget {
    let mut budget = RetryBudget::new(count(&value["tokens"])).success_deposit(0.0);
    for (name, value) in value.as_object().expect("a budget") {
        budget = match name.as_str() {
            "tokens" => budget,
            "retry_cost" => budget.retry_cost(count(value)),
            "timeout_cost" => budget.timeout_cost(count(value)),
            _ => panic!("unknown setting budget.{name}"),
        };
    }
    budget
}

fn jitter(value: &Value) -> Jitter {
    match value.as_str() {
        Some("none") => Jitter::None,
        Some("full") => Jitter::Full,
        Some("equal") => Jitter::Equal,
        Some("decorrelated") => Jitter::Decorrelated,
        Some(other) => panic!("unknown jitter {other}"),
        None => Jitter::Fraction(value["fraction"].as_f64().expect("a fraction")),
    }
}

fn request(case: &Value) -> Request<Body> {
    let settings = &case["settings"];
    let replayable = match case["body"].as_str() {
        None => true,
        Some("not-replayable") => false,
        Some(other) => panic!("unknown body {other}"),
    };
    let mut request = Request::builder()
        .method(case["method"].as_str().unwrap_or("GET"))
        .body(Body { replayable })
        .expect("a request");
    let extensions = request.extensions_mut();
    match settings["priority"].as_str() {
        None => {}
        Some("high") => drop(extensions.insert(Priority::High)),
        Some("normal") => drop(extensions.insert(Priority::Normal)),
        Some("low") => drop(extensions.insert(Priority::Low)),
        Some(other) => panic!("unknown priority {other}"),
    }
    if let Some(alternatives) = settings.get("alternatives") {
        let attempts = Attempts::default();
        attempts.set_alternatives(count(alternatives));
        extensions.insert(attempts);
    }
    request
}

/// The result as the cases write it: a status, or `error:kind`.
fn tell(result: Result<Response<String>, Error>) -> Value {
    let kind = match result {
        Ok(response) => return response.status().as_u16().into(),
        Err(Error::RateLimited(_)) => "rate_limited_locally".to_owned(),
        Err(Error::CircuitOpen(_)) => "circuit_open".to_owned(),
        Err(Error::TimedOut { .. }) => "timeout".to_owned(),
        Err(Error::Service(failed)) => match failed.error.downcast::<io::Error>() {
            Ok(error) => error.to_string(),
            Err(error) => panic!("not an error of the script: {error}"),
        },
        Err(error) => panic!("not an error of the script: {error}"),
    };
    format!("error:{kind}").into()
}

fn ms(value: &Value) -> Duration {
    let millis = value.as_u64();
    Duration::from_millis(millis.unwrap_or_else(|| panic!("not milliseconds: {value}")))
}

fn count(value: &Value) -> u32 {
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count.unwrap_or_else(|| panic!("not a count: {value}"))
}

struct Body {
    replayable: bool,
}

impl Replay for Body {
    fn replay(&self) -> Option<Self> {
        self.replayable.then_some(Self { replayable: true })
    }
}

/// The service inside: does what the script says on each call, and notes when each began and ended.
#[derive(Clone)]
struct Script {
    attempts: Arc<[Value]>,
    calls: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Script {
    fn new(attempts: &[Value]) -> Self {
        Self {
            attempts: attempts.into(),
            calls: Arc::default(),
        }
    }

    fn check(&self, expect: &Value, result: &Value) -> Result<(), String> {
        let calls = self.calls.lock().expect("the calls");
        let waits: Vec<_> = calls
            .windows(2)
            .map(|calls| calls[1].0 - calls[0].1)
            .collect();
        let expected = expect["waits_ms"].as_array().expect("waits");
        let wait_holds = |(wait, expected): (&Duration, &Value)| match expected.as_u64() {
            Some(_) => is_between(*wait, ms(expected), ms(expected)),
            None => is_between(*wait, ms(&expected["min"]), ms(&expected["max"])),
        };
        let waits_hold =
            waits.len() == expected.len() && waits.iter().zip(expected).all(wait_holds);
        if calls.len() == count(&expect["calls"]) as usize
            && waits_hold
            && *result == expect["result"]
        {
            Ok(())
        } else {
            let calls = calls.len();
            Err(format!(
                "{calls} calls, waits {waits:?}, result {result}; expected {expect}"
            ))
        }
    }
}

/// Tokio's timer counts whole milliseconds, and is late rather than early.
fn is_between(wait: Duration, min: Duration, max: Duration) -> bool {
    wait >= min && wait <= max + Duration::from_millis(1)
}

impl Service<Request<Body>> for Script {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let call = Call::begin(&self.calls);
        let attempt = self.attempts.get(call.number).cloned();
        Box::pin(async move {
            let _until_the_end = call;
            match attempt {
                Some(attempt) => act(&attempt).await,
                None => Err("a call that the script does not know".into()),
            }
        })
    }
}

/// One call, which ends when it has answered or is dropped.
struct Call {
    calls: Arc<Mutex<Vec<(Instant, Instant)>>>,
    number: usize,
}

impl Call {
    fn begin(calls: &Arc<Mutex<Vec<(Instant, Instant)>>>) -> Self {
        let now = TokioClock.now();
        let mut noted = calls.lock().expect("the calls");
        noted.push((now, now));
        Self {
            calls: calls.clone(),
            number: noted.len() - 1,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.lock().expect("the calls")[self.number].1 = TokioClock.now();
    }
}

async fn act(attempt: &Value) -> Result<Response<String>, BoxError> {
    if attempt["never"] == Value::Bool(true) {
        pending::<()>().await;
    }
    if let Some(takes) = attempt.get("takes_ms") {
        let until = TokioClock.now() + ms(takes);
        TokioClock.sleep_until(until).await;
    }
    if let Some(kind) = attempt.get("error") {
        return Err(error(kind.as_str().expect("a kind of error")));
    }
    let status = u16::try_from(count(&attempt["status"])).expect("a status");
    let mut response = Response::builder().status(status);
    for (name, value) in attempt["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().expect("a header"));
    }
    Ok(response.body(String::new()).expect("a response"))
}

fn error(kind: &str) -> BoxError {
    let io_kind = match kind {
        "rate_limited_locally" => {
            let refusal = RateLimited::new(RefusalReason::WaitTooLong);
            return Error::RateLimited(refusal).into();
        }
        "circuit_open" => return circuit_open().into(),
        "connect" => io::ErrorKind::ConnectionRefused,
        "reset" => io::ErrorKind::ConnectionReset,
        "timeout" => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(io_kind, Scripted(kind.to_owned())).into()
}

/// The refusal of a real breaker.
fn circuit_open() -> Error {
    let breaker = CircuitBreaker::default();
    breaker.force_open("");
    let never_called = tower::service_fn(|_: Request<()>| {
        ready(Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new())))
    });
    let service = CircuitBreakerLayer::new(breaker).layer(never_called);
    let result = service.oneshot(Request::new(())).now_or_never();
    let refusal = result.expect("it refuses at once");
    refusal.map(drop).expect_err("the circuit is open")
}

/// An error that knows its name in the script.
#[derive(Debug)]
struct Scripted(String);

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Scripted {}
