use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, ready},
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_layer::Layer;
use tower_test::mock::{self, Handle, Mock, SendResponse};

use super::*;
use crate::{
    clock::{Clock, ManualClock, TokioClock},
    error::{RateLimited, RefusalReason},
    observe::Event,
    outcome::{Failure, FailureKind, Outcome},
    request::{AttemptDeadline, Attempts, Next, RequestHead},
    retry::{Jitter, RetryBudget, RetryLayer, RetryPolicy, Verdict},
    upstream::Provider,
};

#[path = "tests/anchors.rs"]
mod anchors;
#[path = "tests/requests.rs"]
mod requests;
#[path = "tests/uploads.rs"]
mod uploads;

type Answer = Response<String>;
type Client = Retry<Mock<Request<Bytes>, Answer>>;
type Upstream = Handle<Request<Bytes>, Answer>;

fn policy() -> RetryPolicy {
    RetryPolicy::default().jitter(Jitter::None)
}

fn layer(policy: RetryPolicy) -> RetryLayer {
    RetryLayer::new(policy).unwrap()
}

fn pair(layer: &RetryLayer) -> (Client, Upstream) {
    let (mock, handle) = mock::pair();
    (layer.layer(mock), handle)
}

fn get() -> Request<Bytes> {
    Request::get("http://example.com/a")
        .body(Bytes::new())
        .unwrap()
}

fn answer(status: u16) -> Answer {
    Response::builder()
        .status(status)
        .body(String::new())
        .unwrap()
}

async fn send(service: &mut Client, request: Request<Bytes>) -> Result<Answer, Error> {
    service.ready().await?.call(request).await
}

/// The service, if it is ready for a request now.
fn ready_now<S: Service<Request<Bytes>>>(service: &mut S) -> Option<&mut S> {
    ServiceExt::<Request<Bytes>>::ready(service)
        .now_or_never()?
        .ok()
}

async fn next(handle: &mut Upstream) -> (Request<Bytes>, SendResponse<Answer>) {
    handle
        .next_request()
        .await
        .expect("the service was dropped")
}

/// A client that answers each call in turn, and counts them.
fn scripted(answers: &'static [u16]) -> (Arc<AtomicU32>, Script) {
    let calls = Arc::new(AtomicU32::new(0));
    let script = Script {
        answers,
        calls: calls.clone(),
    };
    (calls, script)
}

#[derive(Clone)]
struct Script {
    answers: &'static [u16],
    calls: Arc<AtomicU32>,
}

impl<B> Service<Request<B>> for Script {
    type Response = Answer;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(answer(self.answers[call as usize])))
    }
}

/// A client that holds one request at a time and never answers.
fn stuck() -> impl Service<
    Request<Bytes>,
    Response = Answer,
    Error = Infallible,
    Future: Future<Output = Result<Answer, Infallible>>,
> + Clone {
    service_fn(|_| std::future::pending())
}

/// PITFALLS 26. octocrab PR #842: retries were sent without the body.
#[tokio::test(start_paused = true)]
async fn the_request_arrives_whole_on_every_attempt() {
    let (mut service, mut handle) = pair(&layer(RetryPolicy::llm().jitter(Jitter::None)));
    let mut request = Request::post("http://example.com/a?b=c")
        .header("x-trace", "1")
        .body(Bytes::from_static(b"hello"))
        .unwrap();
    request
        .extensions_mut()
        .insert(Provider::groq().model("llama"));
    let upstream = async {
        for status in [500, 502, 200] {
            let (request, respond) = next(&mut handle).await;
            assert_eq!(request.method(), "POST");
            assert_eq!(request.uri(), "http://example.com/a?b=c");
            assert_eq!(request.headers()["x-trace"], "1");
            assert_eq!(request.body(), "hello");
            assert_eq!(
                RequestHead::of(&request).upstream().unwrap().id(),
                "groq/llama"
            );
            respond.send_response(answer(status));
        }
    };
    let (result, ()) = tokio::join!(send(&mut service, request), upstream);
    assert_eq!(result.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_last_response_is_passed_on_unchanged_and_without_a_wait() {
    let (mut service, mut handle) = pair(&layer(policy().max_attempts(2)));
    let start = TokioClock.now();
    let upstream = async {
        next(&mut handle).await.1.send_response(answer(500));
        let mut last = Response::new("the last words".to_owned());
        *last.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        last.headers_mut()
            .insert("x-last", HeaderValue::from_static("1"));
        next(&mut handle).await.1.send_response(last);
    };
    let (result, ()) = tokio::join!(send(&mut service, get()), upstream);
    let response = result.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(response.headers()["x-last"], "1");
    assert_eq!(response.body(), "the last words");
    assert_eq!(TokioClock.now() - start, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_passed_on_as_itself() {
    let (mut service, mut handle) = pair(&layer(policy().max_attempts(2)));
    let upstream = async {
        for message in ["first", "second"] {
            let reset = io::Error::new(io::ErrorKind::ConnectionReset, message);
            next(&mut handle).await.1.send_error(reset);
        }
    };
    let (result, ()) = tokio::join!(send(&mut service, get()), upstream);
    let Err(Error::Service(failed)) = result else {
        panic!("{result:?}");
    };
    let error = failed.error;
    assert_eq!(error.downcast::<io::Error>().unwrap().to_string(), "second");
}

#[tokio::test(start_paused = true)]
async fn the_statuses_of_the_module_docs_are_repeated_and_no_others() {
    let layer = layer(policy().max_attempts(2).without_budget());
    let mut repeated = Vec::new();
    for status in 400..600 {
        let calls = Cell::new(0);
        let calls = &calls;
        let client = service_fn(|_: Request<Bytes>| {
            calls.set(calls.get() + 1);
            ready(Ok::<_, Infallible>(answer(status)))
        });
        layer.layer(client).oneshot(get()).await.unwrap();
        repeated.extend((calls.get() == 2).then_some(status));
    }
    let below_500 = [408, 409, 423, 424, 425, 429, 498];
    let from_500 = (500..600).filter(|status| ![501, 505].contains(status));
    assert_eq!(
        repeated,
        below_500.into_iter().chain(from_500).collect::<Vec<_>>()
    );
}

/// PITFALLS 29. tensorzero#3554: the caller's own rate limit was retried.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_our_own_layers_is_passed_on_at_once() {
    let (mut service, mut handle) = pair(&layer(policy()));
    let upstream = async {
        let refusal = RateLimited::new(RefusalReason::QueueFull);
        next(&mut handle)
            .await
            .1
            .send_error(Error::RateLimited(refusal));
    };
    let (result, ()) = tokio::join!(send(&mut service, get()), upstream);
    assert!(matches!(result, Err(Error::RateLimited(_))), "{result:?}");
}

/// PITFALLS 23. openai-python#1671: an account without money was asked until the attempts were used up.
#[tokio::test(start_paused = true)]
async fn the_outcome_in_the_extensions_wins_over_the_status() {
    let (mut service, mut handle) = pair(&layer(policy()));
    let upstream = async {
        let mut empty_account = answer(429);
        let outcome = Outcome::from(Failure::new(FailureKind::QuotaExhausted));
        empty_account.extensions_mut().insert(outcome);
        next(&mut handle).await.1.send_response(empty_account);

        let mut error_in_stream = answer(200);
        let outcome = Outcome::from(Failure::new(FailureKind::Overloaded));
        error_in_stream.extensions_mut().insert(outcome);
        next(&mut handle).await.1.send_response(error_in_stream);
        next(&mut handle).await.1.send_response(answer(204));
    };
    let calls = async {
        let first = send(&mut service, get()).await.unwrap();
        (first, send(&mut service, get()).await.unwrap())
    };
    let ((first, second), ()) = tokio::join!(calls, upstream);
    assert_eq!(first.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(second.status(), StatusCode::NO_CONTENT);
}

/// PITFALLS 21. Helicone's ai-gateway never parsed a date.
#[tokio::test(start_paused = true)]
async fn a_hint_that_is_a_date_is_read_against_the_upstreams_own_clock() {
    let (mut service, mut handle) = pair(&layer(policy()));
    let start = TokioClock.now();
    let upstream = async {
        let busy = Response::builder()
            .status(503)
            .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("retry-after", "Sun, 06 Nov 1994 08:49:44 GMT")
            .body(String::new())
            .unwrap();
        next(&mut handle).await.1.send_response(busy);
        next(&mut handle).await.1.send_response(answer(200));
    };
    let (result, ()) = tokio::join!(send(&mut service, get()), upstream);
    assert_eq!(result.unwrap().status(), StatusCode::OK);
    assert_eq!(TokioClock.now() - start, Duration::from_secs(7));
}

/// PITFALLS 54. liter-llm: one clone was made ready and another one called, which panics over a concurrency limit.
#[tokio::test(start_paused = true)]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    let (calls, script) = scripted(&[500, 200]);
    let mut service = layer(policy()).layer(ConcurrencyLimit::new(script, 1));
    ready_now(&mut service).unwrap();
    let clone = ready_now(&mut service.clone()).is_some();
    assert!(!clone, "one slot was given twice");
    let response = service.call(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert!(ready_now(&mut service).is_some(), "the slot is lost");
}

#[tokio::test(start_paused = true)]
async fn a_wait_holds_no_slot_of_the_service_inside() {
    let (_, script) = scripted(&[500, 200, 200]);
    let limited = ConcurrencyLimit::new(script, 1);
    let mut service = layer(policy()).layer(limited.clone());
    let mut first = Box::pin(ready_now(&mut service).unwrap().call(get()));
    assert!(
        (&mut first).now_or_never().is_none(),
        "it waits for its retry"
    );
    let second = limited.oneshot(get()).now_or_never();
    assert_eq!(second.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
}

/// PITFALLS 27. ComfyUI PR #16204: the caller had gone, and four submissions were paid for.
#[test]
fn a_caller_that_goes_away_while_it_waits_leaves_nothing_behind() {
    let (clock, budget) = (ManualClock::new(), RetryBudget::new(5));
    let (calls, script) = scripted(&[500]);
    let layer = layer(policy().budget(budget.clone())).clock(clock.clone());
    let mut call = Box::pin(layer.layer(script).oneshot(get()));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!((clock.sleepers(), budget.available()), (1, 0));
    drop(call);
    assert_eq!((clock.sleepers(), budget.available()), (0, 5));
    clock.advance(Duration::from_secs(60));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_caller_that_goes_away_before_or_in_a_call_gives_its_slot_back() {
    let limited = ConcurrencyLimit::new(stuck(), 1);
    let mut service = layer(policy()).layer(limited.clone());
    ready_now(&mut service).unwrap();
    let never_polled = service.call(get());
    drop(never_polled);
    ready_now(&mut service).unwrap();
    let mut under_way = Box::pin(service.call(get()));
    assert!((&mut under_way).now_or_never().is_none());
    assert!(ready_now(&mut limited.clone()).is_none());
    drop(under_way);
    assert!(ready_now(&mut limited.clone()).is_some());
}

#[test]
fn a_caller_that_goes_away_while_the_service_gets_ready_leaves_nothing_behind() {
    let (clock, budget) = (ManualClock::new(), RetryBudget::new(5));
    let (calls, script) = scripted(&[500]);
    let limited = ConcurrencyLimit::new(script, 1);
    let layer = layer(policy().budget(budget.clone())).clock(clock.clone());
    let mut call = Box::pin(layer.layer(limited.clone()).oneshot(get()));
    assert!((&mut call).now_or_never().is_none());
    let mut other = limited.clone();
    ready_now(&mut other).unwrap();
    clock.advance(Duration::from_secs(1));
    assert!((&mut call).now_or_never().is_none(), "the slot is taken");
    drop(call);
    drop(other);
    assert_eq!(budget.available(), 5);
    assert!(ready_now(&mut limited.clone()).is_some());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_caller_that_goes_away_in_a_retry_gives_its_budget_back() {
    let (clock, budget) = (ManualClock::new(), RetryBudget::new(5));
    let first = Arc::new(AtomicU32::new(0));
    let inner = service_fn(move |_: Request<Bytes>| {
        let is_first = first.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(answer(500))
        }
    });
    let layer = layer(policy().budget(budget.clone())).clock(clock.clone());
    let mut call = Box::pin(layer.layer(inner).oneshot(get()));
    assert!((&mut call).now_or_never().is_none());
    clock.advance(Duration::from_secs(1));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(budget.available(), 0);
    drop(call);
    assert_eq!(budget.available(), 5);
}

/// A body without an end, of which it is known whether it lives. It is not `Send`.
struct Pinned(Rc<Cell<bool>>);

impl Body for Pinned {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// PITFALLS 25: the failed response was kept through the backoff, and its connection with it.
#[test]
fn a_failed_response_that_does_not_end_is_dropped_in_the_wait_or_before_it() {
    for (bytes, lives) in [(0, false), (1, true)] {
        let alive = Rc::new(Cell::new(true));
        let clock = ManualClock::new();
        let inner = service_fn(|_: Request<Bytes>| {
            let mut response = Response::new(Pinned(alive.clone()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            ready(Ok::<_, Infallible>(response))
        });
        let policy = policy().backoff(Duration::from_secs(9), Duration::from_secs(9));
        let layer = layer(policy.drain(bytes, Duration::from_millis(500)));
        let mut call = Box::pin(layer.clock(clock.clone()).layer(inner).oneshot(get()));
        assert!((&mut call).now_or_never().is_none());
        assert_eq!(alive.get(), lives);
        clock.advance(Duration::from_millis(499));
        assert!((&mut call).now_or_never().is_none());
        assert_eq!(alive.get(), lives);
        clock.advance(Duration::from_millis(1));
        assert!((&mut call).now_or_never().is_none());
        assert!(!alive.get());
        assert_eq!(clock.sleepers(), 1);
    }
}

/// A body that counts its copies, or allows none.
struct Counted {
    copies: Arc<AtomicU32>,
    replayable: bool,
}

impl Replay for Counted {
    fn replay(&self) -> Option<Self> {
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.replayable.then(|| Self {
            copies: self.copies.clone(),
            replayable: true,
        })
    }
}

async fn copies(policy: RetryPolicy, replayable: bool, answers: &'static [u16]) -> (u32, u32) {
    let copies = Arc::new(AtomicU32::new(0));
    let (calls, script) = scripted(answers);
    let body = Counted {
        copies: copies.clone(),
        replayable,
    };
    let service = layer(policy).layer(script);
    let response = service.oneshot(Request::new(body)).await.unwrap();
    assert_eq!(response.status().as_u16(), answers[answers.len() - 1]);
    (
        calls.load(Ordering::Relaxed),
        copies.load(Ordering::Relaxed),
    )
}

#[tokio::test(start_paused = true)]
async fn the_request_is_copied_only_while_another_attempt_is_possible() {
    assert_eq!(copies(policy().max_attempts(1), true, &[500]).await, (1, 0));
    assert_eq!(copies(policy(), true, &[200]).await, (1, 1));
    assert_eq!(copies(policy(), true, &[500, 500, 500]).await, (3, 2));
}

/// PITFALLS 26. reqwest-middleware#44: a request that cannot be replayed was refused.
#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_replayed_is_sent_once() {
    assert_eq!(copies(policy(), false, &[503]).await, (1, 1));
    assert_eq!(copies(policy(), false, &[200]).await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_with_an_idempotency_key_is_repeated_whatever_its_method() {
    for (key, sent) in [(None, 1), (Some("k"), 2)] {
        let (calls, script) = scripted(&[500, 200]);
        let mut request = get();
        *request.method_mut() = http::Method::POST;
        let key = key.map(HeaderValue::from_static);
        request
            .headers_mut()
            .extend(key.map(|key| (http::HeaderName::from_static("idempotency-key"), key)));
        layer(policy())
            .layer(script)
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_cut_off_and_the_last_one_too() {
    let dropped = Rc::new(Cell::new(0));
    struct OnDrop(Rc<Cell<u32>>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let inner = service_fn(|_: Request<Bytes>| {
        let guard = OnDrop(dropped.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, Infallible>(answer(200))
        }
    });
    let timeout = Duration::from_millis(500);
    let layer = layer(policy().max_attempts(2).attempt_timeout(timeout));
    let start = TokioClock.now();
    let mut call = Box::pin(layer.layer(inner).oneshot(get()));
    let error = (&mut call).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { after, .. } if after == timeout));
    assert_eq!(error.failure().kind, FailureKind::Timeout);
    assert_eq!(TokioClock.now() - start, Duration::from_millis(2_000));
    assert_eq!(dropped.get(), 2, "a cut off call lives on");
}

/// PITFALLS 37: a timeout outside a breaker was never recorded, because its future is dropped without a word.
#[tokio::test(start_paused = true)]
async fn an_attempt_carries_the_time_at_which_it_is_cut_off() {
    let ends = |request: &Request<Bytes>| {
        let end = request.extensions().get();
        let now = TokioClock.now();
        end.map(|end: &AttemptDeadline| end.ends(now) - now)
    };
    let second = Duration::from_secs(1);
    // Without a timeout; with one; and with one below that of a layer outside, which this layer does not stretch.
    for (timeout, outside, expected) in [
        (None, None, [None, None]),
        (Some(second), None, [Some(second), Some(second)]),
        (None, Some(3 * second), [Some(3 * second), Some(2 * second)]),
        (
            Some(2 * second),
            Some(3 * second),
            [Some(2 * second), Some(2 * second)],
        ),
        (
            Some(2 * second),
            Some(second),
            [Some(second), Some(Duration::ZERO)],
        ),
    ] {
        let policy = match timeout {
            Some(timeout) => policy().attempt_timeout(timeout),
            None => policy(),
        };
        let (mut service, mut handle) = pair(&layer(policy));
        let mut request = get();
        if let Some(outside) = outside {
            let end = AttemptDeadline::new(TokioClock.now() + outside, None);
            request.extensions_mut().insert(end);
        }
        let upstream = async {
            let (request, respond) = next(&mut handle).await;
            assert_eq!(ends(&request), expected[0], "{timeout:?} in {outside:?}");
            respond.send_response(answer(500));
            let (request, respond) = next(&mut handle).await;
            assert_eq!(ends(&request), expected[1], "{timeout:?} in {outside:?}");
            respond.send_response(answer(200));
        };
        let (result, ()) = tokio::join!(send(&mut service, request), upstream);
        assert_eq!(result.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn the_clones_of_a_layer_and_of_its_services_share_one_budget() {
    let budget = RetryBudget::new(10);
    let layer = layer(policy().budget(budget.clone()));
    let mut sent = 0;
    for service in [layer.clone(), layer.clone(), layer] {
        let (calls, script) = scripted(&[500, 500, 500]);
        let first = service.layer(script);
        first.clone().oneshot(get()).await.unwrap();
        sent += calls.load(Ordering::Relaxed);
    }
    assert_eq!(sent, 3 + 2, "three requests, and two retries for 10 tokens");
    assert_eq!(budget.available(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_gives_back_what_it_took() {
    let budget = RetryBudget::new(500);
    let service = layer(policy().budget(budget.clone()));
    let (_, script) = scripted(&[500, 502, 200, 200]);
    let service = service.layer(script);
    service.clone().oneshot(get()).await.unwrap();
    assert_eq!(budget.available(), 495, "the first retry failed");
    service.oneshot(get()).await.unwrap();
    assert_eq!(budget.available(), 496);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_costs_what_it_took_where_the_budget_says_so() {
    let budget = RetryBudget::ratio(0.0, 10);
    let service = layer(policy().budget(budget.clone()));
    let service = service.layer(scripted(&[500, 200]).1);
    service.oneshot(get()).await.unwrap();
    assert_eq!(budget.available(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_success_brings_its_share_where_a_rule_of_the_users_own_has_seen_it_too() {
    let budget = RetryBudget::new(5);
    let policy = policy().budget(budget.clone());
    let policy = policy.verdict(|_, _| Verdict::AsUsual);
    let service = layer(policy).layer(scripted(&[500, 500, 200]).1);
    service.clone().oneshot(get()).await.unwrap();
    assert_eq!(budget.available(), 0);
    service.oneshot(get()).await.unwrap();
    assert_eq!(budget.available(), 1);
}

type Told = Arc<Mutex<Vec<String>>>;

fn observed(policy: RetryPolicy) -> (RetryLayer, Told) {
    let told = Told::default();
    let events = told.clone();
    let observer = move |event: &Event<'_>| {
        let line = match *event {
            Event::Retrying {
                upstream,
                attempt,
                wait,
                failure,
            } => {
                format!("{upstream} {attempt} {wait:?} {}", failure.kind)
            }
            Event::GaveUp {
                upstream,
                attempts,
                failure,
                reason,
            } => {
                format!("{upstream} {attempts} {}: {reason}", failure.kind)
            }
            _ => unreachable!("not an event of this layer: {event:?}"),
        };
        events.lock().unwrap().push(line);
    };
    (layer(policy).observe(observer), told)
}

#[tokio::test(start_paused = true)]
async fn every_decision_is_told_once() {
    let told = async |policy: RetryPolicy, answers| {
        let (layer, told) = observed(policy);
        let mut request = get();
        request
            .extensions_mut()
            .insert(Provider::groq().model("llama"));
        layer
            .layer(scripted(answers).1)
            .oneshot(request)
            .await
            .unwrap();
        told.lock().unwrap().clone()
    };
    assert_eq!(
        told(policy().max_attempts(2), &[500, 500]).await,
        [
            "groq/llama 1 1s server error",
            "groq/llama 2 server error: attempts used up"
        ]
    );
    assert_eq!(
        told(
            policy().budget(RetryBudget::new(5).retry_cost(5)),
            &[500, 500]
        )
        .await,
        [
            "groq/llama 1 1s server error",
            "groq/llama 2 server error: the retry budget is empty"
        ]
    );
    assert!(told(policy(), &[200]).await.is_empty());
    assert!(
        told(policy(), &[400]).await.is_empty(),
        "nothing could cure it"
    );
}

/// PITFALLS 28. caura PR #859: 2 providers × 2 attempts × 3 tries came to 12 requests, and 4 were logged. One ledger, one cap.
#[tokio::test(start_paused = true)]
async fn a_ledger_caps_the_attempts_over_all_layers() {
    let (calls, script) = scripted(&[500, 500, 500, 500]);
    let inner = layer(policy().max_attempts(2)).layer(script);
    let outer = layer(policy().max_attempts(2)).layer(inner);
    let attempts = Attempts::new(3);
    let mut request = get();
    request.extensions_mut().insert(attempts.clone());
    let response = outer.oneshot(request).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    let next: Vec<_> = attempts
        .failed()
        .iter()
        .map(|attempt| attempt.next)
        .collect();
    let retry = |seconds| Next::Retry {
        wait: Duration::from_secs(seconds),
    };
    assert_eq!(next, [retry(1), retry(1), Next::Stop]);
    assert_eq!(response.extensions().get::<Attempts>().unwrap().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_somebody_outside_keeps_is_left_without_its_last_entry() {
    let (_, script) = scripted(&[500, 500]);
    let attempts = Attempts::default();
    attempts.begin(TokioClock.now());
    let mut request = get();
    request.extensions_mut().insert(attempts.clone());
    let service = layer(policy().max_attempts(2)).layer(script);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(attempts.count(), 1);
    assert!(response.extensions().get::<Attempts>().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_came_after_retries_tells_of_them() {
    let response = async |answers| {
        let service = layer(policy()).layer(scripted(answers).1);
        service.oneshot(get()).await.unwrap()
    };
    let attempts = |response: &Answer| response.extensions().get::<Attempts>().cloned();
    let answered = attempts(&response(&[503, 200]).await).unwrap();
    assert_eq!(answered.failed()[0].failure.kind, FailureKind::Overloaded);
    assert_eq!(answered.count(), 1);
    assert_eq!(
        attempts(&response(&[500, 500, 500]).await).unwrap().count(),
        3
    );
    assert!(attempts(&response(&[200]).await).is_none());
    assert!(attempts(&response(&[400]).await).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_each_attempt_is_its_own_without_the_waits() {
    let inner = service_fn(async |_: Request<Bytes>| {
        let clock = TokioClock;
        clock
            .sleep_until(clock.now() + Duration::from_millis(30))
            .await;
        Ok::<_, Infallible>(answer(500))
    });
    let response = layer(policy()).layer(inner).oneshot(get()).await.unwrap();
    let attempts = response.extensions().get::<Attempts>().unwrap().failed();
    for attempt in attempts {
        assert_eq!(attempt.took, Duration::from_millis(30));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_dies_before_the_retry_ends_the_call() {
    let (mut service, mut handle) = pair(&layer(policy()));
    let upstream = async {
        next(&mut handle).await.1.send_response(answer(500));
        handle.send_error(io::Error::other("gone"));
        drop(handle);
    };
    let (result, ()) = tokio::join!(send(&mut service, get()), upstream);
    assert!(matches!(result, Err(Error::Service(_))), "{result:?}");
}

#[test]
fn a_seed_repeats_the_jitter_and_calls_do_not_share_one_draw() {
    let waits = |seed| {
        let (layer, told) = observed(RetryPolicy::default().seed(seed));
        for _ in 0..3 {
            let mut call = Box::pin(layer.clone().layer(scripted(&[500]).1).oneshot(get()));
            assert!((&mut call).now_or_never().is_none());
        }
        told.lock().unwrap().clone()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _context = runtime.enter();
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
    assert_ne!(waits(1)[0], waits(1)[1]);
}

#[test]
fn the_future_is_send_where_the_service_is() {
    fn assert_send<T: Send>(_: &T) {}
    let mut service = RetryLayer::default().layer(scripted(&[200]).1);
    assert_send(&service.call(Request::new(Full::<Bytes>::default())));
}

/// `reqwest_middleware::Next<'_>` must be able to stand inside.
#[test]
fn the_service_inside_may_borrow() {
    let local = String::from("borrowed");
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Full::new(
            local.as_bytes(),
        ))))
    });
    let call = RetryLayer::default().layer(inner).oneshot(Request::new(()));
    let response = call.now_or_never().unwrap().unwrap();
    let body = response.into_body().collect().now_or_never().unwrap();
    assert_eq!(body.unwrap().to_bytes(), "borrowed");
}
