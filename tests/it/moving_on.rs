//! When a stack turns to the next upstream without trying the same one again.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    CircuitBreakerPolicy, Provider, RetryPolicy, ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
    stack::StackBuilder,
};

type Body = Full<Bytes>;

fn upstream(name: &str) -> Upstream {
    let provider = Provider::new(name, "http://host/v1").expect("a URL");
    provider.model("m")
}

/// Who answers, how often the first was asked, and after how long, where the first is down in this way.
async fn ask(stack: StackBuilder, is_silent: bool) -> (String, u32, Duration) {
    let stack = stack
        .upstream(upstream("first"))
        .upstream(upstream("other"));
    let stack = stack.build().expect("a stack");
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let client = service_fn(move |request: Request<Body>| {
        let upstream = request.extensions().get::<Upstream>();
        let is_first = upstream.is_some_and(|upstream| upstream.provider().name() == "first");
        count.fetch_add(is_first.into(), Ordering::Relaxed);
        async move {
            if is_first && is_silent {
                pending::<()>().await;
            }
            let response = Response::builder().status(if is_first { 500 } else { 200 });
            Ok::<_, Infallible>(response.body(Body::default()).expect("a response"))
        }
    });
    let request = Request::post("/v1/chat/completions").body(Body::from("{}"));
    let began = TokioClock.now();
    let answer = stack.layer().layer(client);
    let answer = answer.oneshot(request.expect("a request")).await;
    let answer = answer.expect("an answer");
    let served_by = answer.extensions().get::<ServedBy>();
    let served_by = served_by.expect("it is told").0.id().to_owned();
    let took = TokioClock.now() - began;
    (served_by, asked.load(Ordering::Relaxed), took)
}

/// A new user's test: an upstream that took a request and never answered was waited for without end, and the other never asked;
/// then it was asked three times, for ten minutes each.
#[tokio::test(start_paused = true)]
async fn a_stack_gives_a_silent_upstream_ten_minutes_and_turns_to_the_next() {
    let moved_on = ask(Stack::builder(), true).await;
    let ten_minutes = Duration::from_secs(600);
    assert_eq!(moved_on, ("other/m".to_owned(), 1, ten_minutes));
}

/// A new user's test: the wait for another attempt was slept through towards a circuit that the failure had just opened.
#[tokio::test(start_paused = true)]
async fn a_failure_that_opens_the_circuit_is_not_followed_by_a_wait() {
    let policy = |failures| CircuitBreakerPolicy::default().consecutive_failures(failures);
    let moved_on = ask(Stack::builder().circuit_breaker(policy(1)), false).await;
    assert_eq!(moved_on, ("other/m".to_owned(), 1, Duration::ZERO));
    // While it is closed, the first is tried again.
    let (served_by, asked, _) = ask(Stack::builder().circuit_breaker(policy(2)), false).await;
    assert_eq!((&*served_by, asked), ("other/m", 2));
    let (served_by, asked, _) = ask(Stack::builder(), false).await;
    assert_eq!((&*served_by, asked), ("other/m", 3));
}

/// One slow answer among many: the first upstream lives, and those who asked it at the same time can tell.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_was_silent_once_and_answers_others_is_asked_again() {
    let stack = Stack::builder()
        .retry(RetryPolicy::llm().attempt_timeout(Duration::from_secs(30)))
        .upstream(upstream("first"))
        .upstream(upstream("other"));
    let stack = stack.build().expect("a stack");
    let client = service_fn(|request: Request<Body>| async move {
        let wait = request.headers().get("wait");
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
        let is_first = request.extensions().get::<Upstream>();
        if is_first.is_some_and(|upstream| upstream.provider().name() == "first") {
            let wait = Duration::from_secs(wait.unwrap_or_default());
            TokioClock.sleep_until(TokioClock.now() + wait).await;
        }
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = stack.layer().layer(client);
    // The upstream takes so many seconds.
    let ask = |takes: u32, after: u64| {
        let request = Request::post("/v1/chat/completions").header("wait", takes);
        let request = request.body(Body::from("{}")).expect("a request");
        let service = service.clone();
        async move {
            let begin = TokioClock.now() + Duration::from_secs(after);
            TokioClock.sleep_until(begin).await;
            let answer = service.oneshot(request).await.expect("an answer");
            let served_by = answer.extensions().get::<ServedBy>();
            served_by.expect("it is told").0.id().to_owned()
        }
    };
    let (silent, other) = tokio::join!(ask(60, 0), ask(29, 2));
    assert_eq!((&*silent, &*other), ("other/m", "first/m"));
    assert!(stack.cooldowns().list().is_empty(), "31 s: it has answered");
    assert_eq!(ask(1, 0).await, "first/m");
    // Where it answers nobody, it is left alone.
    assert_eq!(ask(60, 0).await, "other/m");
    assert_eq!(ask(1, 0).await, "other/m");
}
