//! When a stack turns to the next upstream without trying the same one again.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    Attempts, Chain, CircuitBreakerPolicy, Cooldowns, Error, Failure, FailureKind, FallbackLayer,
    Provider, RetryPolicy, ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
    stack::StackBuilder,
};

type Body = Full<Bytes>;

fn upstream(name: &str) -> Upstream {
    let provider = Provider::new(name, "http://host/v1").expect("a URL");
    provider.model("m")
}

/// A stack of the first upstream and the other.
fn of_two(stack: StackBuilder) -> Stack {
    let stack = stack.upstream(upstream("first"));
    stack.upstream(upstream("other")).build().expect("a stack")
}

/// An attempt has so long.
fn half_a_minute() -> RetryPolicy {
    RetryPolicy::llm().attempt_timeout(Duration::from_secs(30))
}

fn is_of_first(request: &Request<Body>) -> bool {
    let upstream = request.extensions().get::<Upstream>();
    upstream.is_some_and(|upstream| upstream.provider().name() == "first")
}

/// Who answers, how often the first was asked, and after how long, where the first is down in this way.
async fn ask(stack: StackBuilder, is_silent: bool) -> (String, u32, Duration) {
    let stack = of_two(stack);
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let client = service_fn(move |request: Request<Body>| {
        let is_first = is_of_first(&request);
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
    let stack = of_two(Stack::builder().retry(half_a_minute()));
    let client = service_fn(|request: Request<Body>| async move {
        let wait = request.headers().get("wait");
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
        if is_of_first(&request) {
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

/// A review's test: the cooldown after a gateway's 504 was ended by an answer to a call that was under way, as if nobody had spoken.
#[tokio::test(start_paused = true)]
async fn an_answered_504_is_no_silence_that_another_answer_ends() {
    let cooldowns = Cooldowns::new();
    let chain = Chain::new([upstream("first"), upstream("other")]);
    let layer = FallbackLayer::new(chain).expect("a chain");
    let client = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::default());
        if is_of_first(&request) {
            let script = request.extensions().get::<(u64, StatusCode)>();
            let (takes, status) = *script.expect("each request says");
            TokioClock
                .sleep_until(TokioClock.now() + Duration::from_secs(takes))
                .await;
            *response.status_mut() = status;
        }
        Ok::<_, Infallible>(response)
    });
    let service = layer.cooldowns(cooldowns.clone()).layer(client);
    let ask = |takes: u64, status: StatusCode| {
        let request = Request::post("/v1/chat/completions").extension((takes, status));
        let request = request.body(Body::from("{}")).expect("a request");
        service.clone().oneshot(request)
    };
    let answers = tokio::join!(ask(1, StatusCode::GATEWAY_TIMEOUT), ask(5, StatusCode::OK));
    assert!(answers.0.is_ok() && answers.1.is_ok());
    let cooling = cooldowns.list();
    assert_eq!(
        cooling.first().map(|it| it.kind),
        Some(FailureKind::Timeout)
    );
}

/// The first upstream is silent so many times, for 30 s each, and then answers, while after 5 s this becomes of the other. How
/// the request ends, which may have so many attempts, how often the first was asked, and after how long.
async fn ask_the_silent(
    silent: u32,
    most: u32,
    meanwhile: impl FnOnce(&Stack),
) -> (Result<(), Error>, u32, Duration) {
    let stack = of_two(Stack::builder().retry(half_a_minute()));
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let client = service_fn(move |request: Request<Body>| {
        let is_first = is_of_first(&request);
        assert!(is_first, "nobody else is free");
        let is_silent = count.fetch_add(1, Ordering::Relaxed) < silent;
        async move {
            if is_silent {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::default()))
        }
    });
    let request = Request::post("/v1/chat/completions").extension(Attempts::new(most));
    let request = request.body(Body::from("{}")).expect("a request");
    let began = TokioClock.now();
    let answer = stack.layer().layer(client).oneshot(request);
    let (answer, ()) = tokio::join!(answer, async {
        TokioClock.sleep_until(began + Duration::from_secs(5)).await;
        meanwhile(&stack);
    });
    let took = TokioClock.now() - began;
    (answer.map(|_| ()), asked.load(Ordering::Relaxed), took)
}

fn limit_the_other(stack: &Stack) {
    let failure = Failure::new(FailureKind::RateLimited).with_retry_after(Duration::from_secs(600));
    stack.cooldowns().cool(&stack.upstreams()[1], &failure);
}

/// A review's test: others were told of when the silent one was asked, none was left when it had been silent, and the request was
/// lost after one attempt.
#[tokio::test(start_paused = true)]
async fn silence_is_tried_again_where_the_others_have_failed_meanwhile() {
    let (answer, asked, took) = ask_the_silent(1, u32::MAX, limit_the_other).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!((asked, took), (2, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn silence_is_tried_again_where_the_others_circuits_are_open() {
    let open = |stack: &Stack| stack.breaker().force_open("other/m");
    let (answer, asked, took) = ask_the_silent(1, u32::MAX, open).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!((asked, took), (2, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_to_be_silent_is_tried_again_as_often_as_a_lone_upstream_and_within_the_cap() {
    let (answer, asked, _) = ask_the_silent(u32::MAX, u32::MAX, limit_the_other).await;
    assert!(matches!(answer, Err(Error::Exhausted(_))), "{answer:?}");
    assert_eq!(asked, 1 + 3, "three are the policy's");
    for most in 1..=3 {
        let (answer, asked, _) = ask_the_silent(u32::MAX, most, limit_the_other).await;
        assert!(answer.is_err());
        assert_eq!(asked, most);
    }
}

/// A new user's test: alone, an upstream that was silent once is asked again and answers; beside another that is out of its quota,
/// it was asked once and the request was lost.
#[tokio::test(start_paused = true)]
async fn silence_is_tried_again_where_the_others_fail_when_they_are_asked() {
    for (hint, expected) in [
        (3_600, &["first", "other", "first"][..]),
        (20, &["first", "other", "other"]),
    ] {
        let stack = of_two(Stack::builder().retry(half_a_minute()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let client = service_fn(move |request: Request<Body>| {
            let is_first = is_of_first(&request);
            let mut log = log.lock().unwrap();
            let is_again = log.contains(if is_first { &"first" } else { &"other" });
            log.push(if is_first { "first" } else { "other" });
            async move {
                if is_first && !is_again {
                    pending::<()>().await;
                }
                let response = match is_again {
                    true => Response::builder(),
                    false => Response::builder().status(429).header("retry-after", hint),
                };
                Ok::<_, Infallible>(response.body(Body::default()).unwrap())
            }
        });
        let request = Request::post("/v1/chat/completions").body(Body::from("{}"));
        let answer = stack.layer().layer(client).oneshot(request.unwrap()).await;
        assert_eq!(answer.unwrap().status(), StatusCode::OK, "{hint}");
        assert_eq!(*asked.lock().unwrap(), expected, "{hint}");
    }
}
