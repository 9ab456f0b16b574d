//! The circuit breaker's cases: calls and hands-on changes at their times, and who is admitted and where the circuit stands.

use std::{
    collections::HashMap,
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{future::BoxFuture, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::Value;
use tokio::task::JoinHandle;
use tower::{Layer, Service};
use tower_upstream::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, CircuitState, Error,
    circuit_breaker::{CircuitBreak, Over, Verdict},
    clock::{Clock, TokioClock},
    error::{BoxError, RateLimited, RefusalReason},
};

#[tokio::test(start_paused = true)]
async fn every_case_holds() {
    let cases = super::cases("circuit_breaker.json", include_str!("circuit_breaker.json"));
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(why) = play(case).await {
            wrong.push(format!("{}: {why}", case["id"]));
        }
    }
    let (wrong_count, count) = (wrong.len(), cases.len());
    assert!(
        wrong.is_empty(),
        "{wrong_count} of {count}:\n{}",
        wrong.join("\n")
    );
}

async fn play(case: &Value) -> Result<(), String> {
    let mut stage = Stage::new(policy(&case["settings"]))?;
    let start = TokioClock.now();
    for step in case["steps"].as_array().expect("steps") {
        TokioClock.sleep_until(start + ms(&step["at_ms"])).await;
        settle().await;
        for _ in 0..step["repeat"].as_u64().unwrap_or(1) {
            stage.act(step).await;
            let expect = &step["expect"];
            let seen = [
                (
                    "admitted",
                    stage.was_admitted.map_or(Value::Null, Value::from),
                ),
                ("state", stage.state().into()),
                ("state_after", stage.state().into()),
            ];
            for (name, seen) in seen {
                let is_other = |expected: &Value| !expected.is_null() && *expected != seen;
                if expect.get(name).is_some_and(is_other) {
                    return Err(format!("{name} is {seen} after {step}"));
                }
            }
        }
    }
    Ok(())
}

fn policy(settings: &Value) -> CircuitBreakerPolicy {
    let mut policy = CircuitBreakerPolicy::never()
        .minimum_calls(1)
        .jitter(0.0)
        .probe_flow(Duration::MAX);
    let (mut growth, mut open_max) = (1.0, None);
    for (name, value) in settings.as_object().expect("settings") {
        policy = match name.as_str() {
            "consecutive_failures" => policy.consecutive_failures(count(value)),
            "window" => policy.window(match value.get("count") {
                Some(calls) => Over::Calls(count(calls)),
                None => Over::Time(ms(&value["time_ms"])),
            }),
            "failure_rate" => policy.failure_rate(share(value)),
            "slow_call_rate" => policy.slow_call_rate(share(value), ms(&settings["slow_call_ms"])),
            "slow_call_ms" => policy,
            "minimum_calls" => policy.minimum_calls(count(value)),
            "open_ms" => policy.open_for(ms(value)),
            "open_multiplier" => {
                growth = share(value);
                policy
            }
            "open_max_ms" => {
                open_max = Some(ms(value));
                policy
            }
            "jitter" => policy.jitter(share(value)),
            "probes" => policy.probes(count(value)),
            "successes" => policy.successes(count(value)),
            "probe_failure_rate" => policy.probe_failure_rate(share(value)),
            "probe_timeout_ms" => policy.probe_timeout(ms(value)),
            "dropped_after_ms" => policy.dropped_after(ms(value)),
            "ramp_ms" => policy.ramp(ms(value)),
            "rate_limited" => policy.rate_limited(match value.as_str() {
                Some("ignore") => Verdict::Ignore,
                Some("degraded") => Verdict::Degraded,
                Some("failure") => Verdict::Failure,
                _ => panic!("unknown verdict {value}"),
            }),
            _ => panic!("unknown setting {name}"),
        };
    }
    let open_for = ms(&settings["open_ms"]);
    policy.open_growth(growth, open_max.unwrap_or(open_for).max(open_for))
}

/// A breaker, the service behind it, and the calls that have not ended.
struct Stage {
    breaker: CircuitBreaker,
    service: CircuitBreak<Script>,
    sent: Arc<AtomicUsize>,
    was_admitted: Option<bool>,
    calls: HashMap<String, Call>,
}

type Ending = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A call under way, or one that nobody polls.
#[expect(dead_code, reason = "they are dropped")]
enum Call {
    Polled(Dropped),
    NeverPolled(Ending),
}

struct Dropped(JoinHandle<Result<(), BoxError>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    fn new(policy: CircuitBreakerPolicy) -> Result<Self, String> {
        let breaker = CircuitBreaker::new(policy).map_err(|error| error.to_string())?;
        let sent = Arc::new(AtomicUsize::new(0));
        let script = Script { sent: sent.clone() };
        Ok(Self {
            service: CircuitBreakerLayer::new(breaker.clone()).layer(script),
            breaker,
            sent,
            was_admitted: None,
            calls: HashMap::new(),
        })
    }

    async fn act(&mut self, step: &Value) {
        self.was_admitted = None;
        if let Some(call) = step.get("call") {
            self.call(call).await;
        }
        if let Some(id) = step.get("drop") {
            let call = self.calls.remove(id.as_str().expect("an id"));
            assert!(call.is_some(), "no call {id}");
            drop(call);
            settle().await;
        }
        match step["admin"].as_str() {
            None => {}
            Some("force_open") => self.breaker.force_open(""),
            Some("force_closed") => self.breaker.force_closed(""),
            Some("force_half_open") => self.breaker.force_half_open(""),
            Some("disable") => self.breaker.disable(""),
            Some("reset") => self.breaker.reset(""),
            Some("reset_all") => self.breaker.reset_all(),
            Some(other) => panic!("unknown change {other}"),
        }
    }

    async fn call(&mut self, call: &Value) {
        let before = self.sent.load(Ordering::SeqCst);
        let response = self.service.call(Request::new(call.clone()));
        let is_sent = self.sent.load(Ordering::SeqCst) > before;
        let ending: Ending = Box::pin(async {
            let body = response.await?.into_body();
            body.collect().await?;
            Ok(())
        });
        self.was_admitted = Some(is_sent);
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        if call["never_polled"] == Value::Bool(true) {
            self.calls.insert(id, Call::NeverPolled(ending));
            return;
        }
        let task = tokio::spawn(ending);
        settle().await;
        if !task.is_finished() {
            // One without an id goes on until the case ends.
            let id = if id.is_empty() {
                format!("{before}")
            } else {
                id
            };
            self.calls.insert(id, Call::Polled(Dropped(task)));
        } else if let Ok(Err(error)) = task.await
            && let Ok(error) = error.downcast::<Error>()
        {
            let is_refused = matches!(*error, Error::CircuitOpen(_));
            assert_eq!(is_refused, !is_sent, "{error}");
        }
    }

    fn state(&self) -> &'static str {
        match self.breaker.state("") {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half_open",
            CircuitState::ForcedOpen => "forced_open",
            CircuitState::ForcedClosed => "forced_closed",
            CircuitState::Disabled => "disabled",
            other => panic!("unknown state {other:?}"),
        }
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The service inside: does what the call says.
#[derive(Clone)]
struct Script {
    sent: Arc<AtomicUsize>,
}

impl Service<Request<Value>> for Script {
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Value>) -> Self::Future {
        self.sent.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let call = request.into_body();
            let takes = call["takes_ms"].as_u64().unwrap_or_default();
            if takes > 0 {
                let until = TokioClock.now() + Duration::from_millis(takes);
                TokioClock.sleep_until(until).await;
            }
            let outcome = call["outcome"].as_str().expect("an outcome");
            match outcome.split_once(':') {
                None if outcome == "ok" => Ok(answer(200, &call)),
                None if outcome == "fail" => Ok(answer(500, &call)),
                None if outcome == "never" => pending().await,
                None if outcome == "panic" => panic!("as the script says"),
                None if outcome == "body_fails" => Ok(broken()),
                Some(("status", status)) => Ok(answer(status.parse()?, &call)),
                Some(("error", "rate_limited_locally")) => {
                    let refusal = RateLimited::new(RefusalReason::WaitTooLong);
                    Err(Error::RateLimited(refusal).into())
                }
                Some(("error", "connect")) => Err(io_error(io::ErrorKind::ConnectionRefused)),
                Some(("error", "timeout")) => Err(io_error(io::ErrorKind::TimedOut)),
                Some(("error", _)) => Err(io_error(io::ErrorKind::ConnectionReset)),
                _ => panic!("unknown outcome {outcome}"),
            }
        })
    }
}

fn io_error(kind: io::ErrorKind) -> BoxError {
    io::Error::from(kind).into()
}

fn answer(status: u16, call: &Value) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in call["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().expect("a header"));
    }
    let body = Full::new(Bytes::from_static(b"a body"));
    let body = body.map_err(|never| match never {}).boxed_unsync();
    response.body(body).expect("a response")
}

/// A good head, and a body that fails.
fn broken() -> Answer {
    let cut = io::Error::from(io::ErrorKind::ConnectionReset);
    let frames = stream::iter([Ok(Frame::data(Bytes::from_static(b"half"))), Err(cut)]);
    Response::new(StreamBody::new(frames).boxed_unsync())
}

/// Calls whose time has come end.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

fn ms(value: &Value) -> Duration {
    let millis = value.as_u64();
    Duration::from_millis(millis.unwrap_or_else(|| panic!("not milliseconds: {value}")))
}

fn count(value: &Value) -> u32 {
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count.unwrap_or_else(|| panic!("not a count: {value}"))
}

fn share(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("not a number: {value}"))
}
