//! Mistakes that others made in limiting a rate, each as a test that fails where it is made again. Where a mistake lies in a
//! state or a window alone, its test is there. `PITFALLS` and a number stand for a mistake in the list that the crate was built
//! against, `RL` and a number for a case read off other libraries' tests.

mod failed;
mod providers;
mod waiting;

use std::{future::pending, sync::Mutex};

use bytes::Bytes;
use futures::{
    StreamExt,
    channel::mpsc,
    future::{Either, join_all, select},
};
use http::Response;
use http_body::Frame;
use http_body_util::{Empty, StreamBody};

use super::*;
use crate::{clock::ManualClock, signal::usage::UsageReader};

fn service<R: http_body::Body, F: Fn() -> Response<R> + Clone>(
    limiter: &RateLimiter,
    answer: F,
) -> RateLimit<
    impl Service<Request<()>, Response = Response<R>, Error = BoxError> + Clone + use<R, F>,
> {
    let inner = service_fn(move |_: Request<()>| {
        let answer = answer();
        async { Ok::<_, BoxError>(answer) }
    });
    RateLimitLayer::new(limiter.clone()).layer(inner)
}

fn costing(input: u64, output: u64) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(Cost::tokens(input, output));
    request
}

fn told(usage: Usage) -> UsageCell {
    let cell = UsageCell::default();
    cell.set(usage);
    cell
}

fn in_all(tokens: u64) -> Usage {
    Usage {
        total_tokens: Some(tokens),
        ..Usage::default()
    }
}

/// How much is taken of each limit.
fn used(limiter: &RateLimiter, key: &str) -> Vec<u64> {
    let limits = limiter.status(key).limits;
    limits.iter().map(|limit| limit.used).collect()
}

// PITFALLS 1, litellm#18730: each of five calls at once saw an empty window, and they spent 663 tokens of 100.
#[tokio::test(start_paused = true)]
async fn five_calls_at_once_do_not_all_find_the_window_empty() {
    let quota = Quota::new().limit(Limit::tokens(100).per_minute());
    let limiter = limiter(quota).max_wait(ms(0));
    let service = service(&limiter, || {
        let mut answer = answer(200);
        answer.extensions_mut().insert(told(in_all(133)));
        answer
    });
    let calls = (0..5).map(|_| service.clone().oneshot(costing(60, 0)));
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(used(&limiter, ""), [60]);
    drop(answers);
    assert_eq!(used(&limiter, ""), [133], "the one that went, and no more");
}

// PITFALLS 4, tensorzero PR #3862: what was used above the balance was dropped, and refunds went to another bucket.
#[tokio::test(start_paused = true)]
async fn what_is_settled_above_the_balance_is_a_debt_of_its_own_key_and_limits_alone() {
    let quota = Quota::new()
        .limit(Limit::input_tokens(100).per_minute())
        .limit(Limit::output_tokens(100).per_minute());
    let by_host = Scope::by(|head| head.uri.host().unwrap_or_default().into());
    let limiter = limiter(quota).scope(by_host).max_wait(ms(0));
    let usage = UsageCell::default();
    let cell = usage.clone();
    let service = service(&limiter, move || {
        let mut answer = answer(200);
        answer.extensions_mut().insert(cell.clone());
        answer
    });
    let of = |host: &str| {
        let mut request = costing(50, 50);
        *request.uri_mut() = format!("http://{host}/").parse().unwrap();
        request
    };
    let debtor = service.clone().oneshot(of("debtor")).await.unwrap();
    usage.set(Usage {
        input_tokens: Some(20),
        output_tokens: Some(700),
        ..Usage::default()
    });
    drop(debtor);
    assert_eq!(used(&limiter, "debtor"), [20, 700]);
    let error = service.clone().oneshot(of("debtor")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(60_000)));
    let _other = service.oneshot(of("other")).await.unwrap();
    assert_eq!(used(&limiter, "other"), [50, 50]);
}

// PITFALLS 5, litellm#41610, #34728, aisix#688: a streamed answer was settled with nothing, or never.
#[tokio::test(start_paused = true)]
async fn a_stream_is_settled_at_its_end_and_keeps_its_estimate_where_it_is_left() {
    let limiter = limiter(Quota::new().limit(Limit::tokens(100).per_minute()));
    let opened = Arc::<Mutex<Vec<_>>>::default();
    let streams = opened.clone();
    let service = service(&limiter, move || {
        let (frames, body) = mpsc::unbounded::<Result<Frame<Bytes>, BoxError>>();
        let (usage, mut answer) = (UsageCell::default(), Response::new(StreamBody::new(body)));
        answer.extensions_mut().insert(usage.clone());
        streams.lock().unwrap().push((frames, usage));
        answer
    });
    let open = async |tokens| {
        let call = service.clone().oneshot(costing(0, tokens));
        let mut answer = call.await.unwrap();
        let (frames, usage) = opened.lock().unwrap().pop().unwrap();
        let piece = Frame::data(Bytes::from_static(b"data: {}\n\n"));
        frames.unbounded_send(Ok(piece)).unwrap();
        answer.frame().await.unwrap().unwrap();
        (frames, usage, answer)
    };

    let (frames, usage, read_whole) = open(60).await;
    assert_eq!(
        (used(&limiter, ""), limiter.status("").in_flight),
        (vec![60], 1)
    );
    usage.set(in_all(15));
    assert_eq!(used(&limiter, ""), [60], "it streams still");
    drop(frames);
    read_whole.collect().await.unwrap();
    assert_eq!(
        (used(&limiter, ""), limiter.status("").in_flight),
        (vec![15], 0)
    );

    let (_frames, _usage, left) = open(60).await;
    drop(left);
    assert_eq!(
        (used(&limiter, ""), limiter.status("").in_flight),
        (vec![75], 0)
    );

    let (frames, _usage, mut broken) = open(20).await;
    frames.unbounded_send(Err("reset".into())).unwrap();
    broken.frame().await.unwrap().unwrap_err();
    assert_eq!(
        (used(&limiter, ""), limiter.status("").in_flight),
        (vec![95], 0)
    );
}

// PITFALLS 6, litellm#20256, #28160: a call that timed out, or was answered out of a cache, kept its slot.
#[tokio::test(start_paused = true)]
async fn a_call_that_times_out_or_has_no_body_to_wait_for_gives_its_slot_back() {
    let limiter = limiter(Quota::new().max_concurrent(1));
    let silent = service_fn(|_: Request<()>| pending::<Result<Answer, BoxError>>());
    let call = RateLimitLayer::new(limiter.clone())
        .layer(silent)
        .oneshot(request());
    let patience = TokioClock.sleep_until(TokioClock.now() + ms(1_000));
    let timed_out = select(Box::pin(call), patience).await;
    assert!(matches!(timed_out, Either::Right(_)));
    drop(timed_out);
    assert_eq!(limiter.status("").in_flight, 0);
    let service = service(&limiter, || Response::new(Empty::<Bytes>::new()));
    let _kept = service.oneshot(request()).await.unwrap();
    assert_eq!(limiter.status("").in_flight, 0);
}

// PITFALLS 9: tower's rate limit takes its permit in `poll_ready`, and who readies services and drops them loses it.
#[tokio::test(start_paused = true)]
async fn readiness_takes_nothing_and_cannot_be_saved_up() {
    let limiter = one_a_minute().max_wait(ms(0));
    let service = service(&limiter, || answer(200));
    let mut saved = Vec::new();
    for _ in 0..5 {
        let mut service = service.clone();
        service.ready().await.unwrap();
        saved.push(service);
    }
    drop(saved.split_off(3));
    assert_eq!(used(&limiter, ""), [0]);
    let answers = join_all(saved.iter_mut().map(|ready| ready.call(request()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

// PITFALLS 13, tower-governor#65: `Retry-After: 0` for a wait below a second.
#[tokio::test]
async fn a_wait_below_a_second_is_not_rounded_to_none() {
    let clock = ManualClock::new();
    let quota = Quota::new().limit(Limit::requests(1).per_second());
    let limiter = limiter(quota).clock(clock.clone()).max_wait(ms(0));
    let service = service(&limiter, || answer(200));
    service.clone().oneshot(request()).await.unwrap();
    let nanosecond = std::time::Duration::from_nanos(1);
    clock.advance(ms(1_000) - nanosecond);
    let error = service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(nanosecond));
    assert!(
        error.user_message().contains("in 1 second."),
        "{}",
        error.user_message()
    );
    clock.advance(nanosecond);
    service.oneshot(request()).await.unwrap();
}

// PITFALLS 14: tower-governor's `per_second(60)` was one request in 60 s.
#[tokio::test(start_paused = true)]
async fn sixty_per_second_are_sixty_in_a_second() {
    let quota = Quota::new().limit(Limit::requests(60).per_second());
    let limiter = limiter(quota).max_wait(ms(0));
    let service = service(&limiter, || answer(200));
    for _ in 0..60 {
        service.clone().oneshot(request()).await.unwrap();
    }
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(1_000)));
}

// PITFALLS 15: tensorzero counted tokens per minute and tokens per day under one key.
#[tokio::test(start_paused = true)]
async fn tokens_per_minute_and_per_day_have_counts_of_their_own() {
    let quota = Quota::new()
        .limit(Limit::tokens(100).per_minute())
        .limit(Limit::tokens(150).per_day());
    let limiter = limiter(quota).max_wait(ms(0));
    let service = service(&limiter, || answer(200));
    service.clone().oneshot(costing(100, 0)).await.unwrap();
    assert_eq!(used(&limiter, ""), [100, 100]);
    TokioClock.sleep_until(TokioClock.now() + ms(60_000)).await;
    assert_eq!(used(&limiter, ""), [0, 100]);
    let error = service.clone().oneshot(costing(60, 0)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(86_400_000 - 60_000)));
    service.oneshot(costing(50, 0)).await.unwrap();
    assert_eq!(used(&limiter, ""), [50, 150]);
}

// PITFALLS 16, pubky-homeserver PR #127: a clean-up task for each limiter, which outlived it.
#[test]
fn a_limiter_needs_no_runtime_runs_no_task_and_goes_with_its_last_clone() {
    let heard = Arc::new(());
    let outlives = Arc::downgrade(&heard);
    let limiter = one_a_minute().observe(move |_: &Event<'_>| drop(heard.clone()));
    for key in 0..2_000 {
        limiter.pause(&key.to_string(), ms(1));
    }
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = service(&limiter, || answer(200));
        service.clone().oneshot(request()).await.unwrap();
        let mut waiting = Box::pin(service.oneshot(request()));
        assert!((&mut waiting).now_or_never().is_none());
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(tasks, 0);
    });
    assert!(outlives.upgrade().is_some());
    drop(limiter);
    assert!(outlives.upgrade().is_none());
}

// PITFALLS 17: where a limiter could not be built, Helicone's gateway limited nothing.
#[test]
fn a_quota_that_cannot_work_is_an_error_wherever_it_comes_in_and_changes_nothing() {
    let broken = || Quota::new().limit(Limit::requests(0).per_minute());
    RateLimiter::new(broken()).unwrap_err();
    Provider::openai().model("m").quota(broken()).unwrap_err();
    let limiter = one_a_minute();
    limiter.set_quota("", broken()).unwrap_err();
    assert_eq!(limiter.status("").limits[0].amount, 1);
}

// PITFALLS 19: tower-resilience's `is_throttling` told of the last request's window.
#[tokio::test(start_paused = true)]
async fn the_handle_tells_of_this_moment_though_nobody_has_asked_since() {
    let limiter = one_a_minute();
    let service = service(&limiter, || answer(200));
    drop(service.oneshot(request()).await.unwrap());
    limiter.pause("", ms(30_000));
    let status = limiter.status("");
    assert_eq!(
        (status.limits[0].used, status.paused),
        (1, Some(ms(30_000)))
    );
    assert!(!limiter.can_admit("", Cost::default()));
    assert_eq!(limiter.risk("", Cost::default()), 2.0);

    TokioClock.sleep_until(TokioClock.now() + ms(40_000)).await;
    let status = limiter.status("");
    assert_eq!((status.limits[0].used, status.paused), (1, None));
    assert_eq!(status.limits[0].reset_after, ms(20_000));
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(20_000)));

    TokioClock.sleep_until(TokioClock.now() + ms(20_000)).await;
    assert_eq!(limiter.status("").limits[0].used, 0);
    assert!(limiter.can_admit("", Cost::default()));
    assert_eq!(limiter.risk("", Cost::default()), 1.0);
    assert!(limiter.keys().is_empty());
}
