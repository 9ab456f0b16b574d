//! What the most trusted limiters do, case by case: the anchors `RL-*` of the conformance cases that need the layer. Those of
//! a single state or window are beside it.

use std::{
    panic::AssertUnwindSafe,
    sync::Barrier,
    time::{Duration, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use http::HeaderMap;

use super::*;
use crate::clock::ManualClock;

fn service(
    limiter: &RateLimiter,
) -> RateLimit<impl Service<Request<()>, Response = Answer, Error = BoxError> + Clone + use<>> {
    let inner = service_fn(|request: Request<()>| {
        let mut response = answer(200);
        let told = request.extensions().get::<HeaderMap>();
        response
            .headers_mut()
            .extend(told.cloned().unwrap_or_default());
        async { Ok::<_, BoxError>(response) }
    });
    RateLimitLayer::new(limiter.clone()).layer(inner)
}

fn costing(tokens: u64) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(Cost::tokens(tokens, 0));
    request
}

/// A request whose answer will have these headers.
fn answered_with(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = request();
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    request
        .extensions_mut()
        .insert(headers.collect::<HeaderMap>());
    request
}

/// A bucket that holds so many requests, and refills one each second.
fn one_a_second(burst: u64) -> Quota {
    Quota::new().limit(Limit::requests(1).per_second().burst(burst))
}

// RL-08: golang.org/x/time/rate, failsafe-go.
#[tokio::test]
async fn a_wait_beyond_the_longest_is_refused_at_once_and_takes_nothing() {
    let clock = ManualClock::new();
    let quota = Quota::new().limit(Limit::requests(1).per(ms(10_000)).burst(1));
    let limiter = limiter(quota).clock(clock.clone()).max_wait(ms(5_000));
    let service = service(&limiter);
    service.clone().oneshot(request()).await.unwrap();
    for _ in 0..3 {
        let error = service.clone().oneshot(request()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(10_000)));
    }
    clock.advance(ms(10_000));
    service.oneshot(request()).await.unwrap();
}

// RL-16: the nearest are tower's tests of its concurrency limit, and gobreaker's of a panic.
#[tokio::test]
async fn a_client_that_panics_frees_its_slot() {
    let limiter = limiter(Quota::new().max_concurrent(1));
    type Answered = BoxFuture<'static, Result<Answer, BoxError>>;
    let clients: [fn() -> Answered; 2] = [
        || panic!("in the call"),
        || Box::pin(async { panic!("on the way") }),
    ];
    for client in clients {
        let inner = service_fn(move |_: Request<()>| client());
        let call = RateLimitLayer::new(limiter.clone())
            .layer(inner)
            .oneshot(request());
        AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
        let status = limiter.status("");
        assert_eq!((status.in_flight, status.queued), (0, 0));
    }
    service(&limiter).oneshot(request()).await.unwrap();
}

// RL-26: tensorzero settles a call that was left; here once, and with what was reserved, for the upstream may have counted it.
#[tokio::test]
async fn a_caller_who_goes_in_mid_call_leaves_his_reservation_and_frees_his_slot() {
    let quota = Quota::new()
        .limit(Limit::tokens(1_000).per_day())
        .max_concurrent(1);
    let limiter = limiter(quota);
    let (client, mut server) = client();
    server.allow(1);
    let mut call = Box::pin(limited(client, &limiter).oneshot(costing(100)));
    assert!((&mut call).now_or_never().is_none());
    drop(call);
    let status = limiter.status("");
    assert_eq!((status.limits[0].remaining, status.in_flight), (900, 0));
}

// RL-32: draft-ietf-httpapi-ratelimit-headers. A limit whose amount nobody tells needs one that is set.
#[tokio::test]
async fn what_the_drafts_headers_say_is_left_holds_until_their_reset_and_nonsense_changes_nothing()
{
    let clock = ManualClock::new();
    let quota = Quota::new().limit(Limit::requests(100).per_day());
    let limiter = limiter(quota).clock(clock.clone()).max_wait(ms(0));
    let wait = || limiter.wait_time("", Cost::default());
    let service = service(&limiter);
    let answered = async |headers: &[(&'static str, &str)]| {
        service
            .clone()
            .oneshot(answered_with(headers))
            .await
            .unwrap();
    };
    answered(&[("ratelimit", r#""default";r=0;t=10"#)]).await;
    assert_eq!(wait(), Some(ms(10_000)));
    let error = service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(10_000)));
    clock.advance(ms(10_000));
    for nonsense in [
        "garbage",
        r#""default";r=999999999999999999"#,
        r#""default";r=-1;t=10"#,
    ] {
        answered(&[("ratelimit", nonsense)]).await;
        assert_eq!(wait(), Some(ms(0)), "{nonsense}");
    }
}

// RL-32: of a 429 that names a wait, the wait counts.
#[tokio::test]
async fn the_wait_that_a_429_names_counts_more_than_what_it_says_is_left() {
    let clock = ManualClock::new();
    let quota = Quota::new().limit(Limit::requests(100).per_day());
    let limiter = limiter(quota).clock(clock.clone());
    let inner = service_fn(|_: Request<()>| async {
        let mut refusal = with_headers(&[
            ("retry-after", "20"),
            ("ratelimit", r#""default";r=15;t=40"#),
        ]);
        *refusal.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        Ok::<_, BoxError>(refusal)
    });
    let call = RateLimitLayer::new(limiter.clone())
        .layer(inner)
        .oneshot(request());
    call.await.unwrap();
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(20_000)));
    assert_eq!(limiter.status("").paused, Some(ms(20_000)));
}

// RL-32: what a cache kept tells of a quota as it was then.
#[tokio::test]
async fn what_an_answer_out_of_a_cache_says_of_the_quota_is_not_heeded() {
    let limiter = limiter(Quota::new().limit(Limit::requests(100).per_day()));
    let headers = [("age", "30"), ("ratelimit", r#""default";r=0;t=10"#)];
    service(&limiter)
        .oneshot(answered_with(&headers))
        .await
        .unwrap();
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(0)));
}

// RL-34: what is left by a header is what was left before those that are under way.
#[tokio::test]
async fn an_answer_that_is_older_than_what_was_sent_since_frees_nothing() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::new().limit(Limit::requests(10).per_day())).clock(clock);
    let (client, mut server) = client();
    server.allow(5);
    let service = limited(client, &limiter);
    let mut first = Box::pin(service.clone().oneshot(request()));
    assert!((&mut first).now_or_never().is_none());
    let first_sent = server.next_request().await.unwrap().1;
    let mut others = Vec::new();
    for _ in 0..4 {
        let mut call = Box::pin(service.clone().oneshot(request()));
        assert!((&mut call).now_or_never().is_none());
        others.push((call, server.next_request().await.unwrap().1));
    }
    first_sent.send_response(with_headers(&[
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-requests", "9"),
        ("x-ratelimit-reset-requests", "30s"),
    ]));
    first.await.unwrap();
    assert_eq!(limiter.status("").limits[0].remaining, 5);
    let (call, sent) = others.pop().unwrap();
    sent.send_response(with_headers(&[
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "30s"),
    ]));
    call.await.unwrap();
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(30_000)));
}

// RL-36: .NET's System.Threading.RateLimiting.
#[tokio::test]
async fn a_full_queue_refuses_and_is_of_use_again_when_somebody_leaves_it() {
    let limiter = limiter(Quota::new().max_concurrent(1)).queue_capacity(1);
    let (client, mut server) = client();
    server.allow(9);
    let service = limited(client, &limiter);
    let start = || {
        let mut call = Box::pin(service.clone().oneshot(request()));
        ((&mut call).now_or_never(), call)
    };
    let (_, running) = start();
    let (_, waiting) = start();
    let Some(Err(Error::RateLimited(refusal))) = start().0 else {
        panic!("the queue is full");
    };
    assert_eq!(refusal.reason, RefusalReason::QueueFull);
    drop(waiting);
    let (answer, mut waiting) = start();
    assert!(answer.is_none() && limiter.status("").queued == 1);
    drop(running);
    assert!((&mut waiting).now_or_never().is_none());
    let status = limiter.status("");
    assert_eq!((status.in_flight, status.queued), (1, 0));
}

// RL-38: governor's keyed limiters; a cache that is bounded by size would give a busy key a fresh bucket.
#[tokio::test]
async fn a_key_is_forgotten_only_when_it_is_as_good_as_new() {
    let clock = ManualClock::new();
    let by_host = Scope::by(|head| head.uri.host().unwrap_or_default().into());
    let limiter = limiter(one_a_second(5)).scope(by_host);
    let limiter = limiter.clock(clock.clone()).max_wait(ms(0));
    let service = service(&limiter);
    let of_a = || Request::get("http://a/").body(()).unwrap();
    // So many keys that are idle at once that every shard is swept.
    let sweep = || (0..10_000).for_each(|key| limiter.unset_quota(&key.to_string()));
    for _ in 0..5 {
        service.clone().oneshot(of_a()).await.unwrap();
    }
    clock.advance(ms(1_000));
    sweep();
    service.clone().oneshot(of_a()).await.unwrap();
    let error = service.clone().oneshot(of_a()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(1_000)));
    assert_eq!(limiter.keys(), ["a".into()]);
    clock.advance(ms(5_001));
    assert!(limiter.keys().is_empty());
    sweep();
    for _ in 0..5 {
        service.clone().oneshot(of_a()).await.unwrap();
    }
}

// RL-42: Envoy's ratelimit counts a unit of the clock, not of the first request.
#[tokio::test]
async fn a_day_of_the_calendar_ends_at_midnight() {
    let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_696_004_797));
    let quota = Quota::new().limit(Limit::requests(10).per_day().calendar(Zone::UTC));
    let limiter = limiter(quota).clock(clock.clone()).max_wait(ms(0));
    let service = service(&limiter);
    for _ in 0..10 {
        service.clone().oneshot(request()).await.unwrap();
    }
    let error = service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(27_203_000)));
    clock.advance(ms(27_202_999));
    service.clone().oneshot(request()).await.unwrap_err();
    clock.advance(ms(1));
    service.oneshot(request()).await.unwrap();
}

// RL-46: Polly, governor and gobreaker.
#[test]
fn of_a_hundred_threads_one_passes() {
    let clock = ManualClock::new();
    let limiter = limiter(one_a_second(1)).clock(clock).max_wait(ms(0));
    let (passed, start) = (AtomicUsize::new(0), Barrier::new(100));
    std::thread::scope(|threads| {
        for _ in 0..100 {
            threads.spawn(|| {
                start.wait();
                let answer = service(&limiter).oneshot(request()).now_or_never();
                passed.fetch_add(usize::from(answer.unwrap().is_ok()), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(passed.load(Ordering::Relaxed), 1);
}

// RL-48: smithy-rs's rate limiter, and tower-resilience, which waits a nanosecond not to spin.
#[tokio::test]
async fn who_is_woken_for_nothing_waits_on_with_one_timer_and_does_not_pass_early() {
    let clock = ManualClock::new();
    let limiter = limiter(one_a_second(1)).clock(clock.clone());
    let service = service(&limiter);
    service.clone().oneshot(request()).await.unwrap();
    let mut call = Box::pin(service.oneshot(request()));
    let start = clock.now();
    for _ in 0..1_000 {
        assert!((&mut call).now_or_never().is_none());
        assert_eq!(clock.sleepers(), 1);
    }
    assert_eq!(clock.next_deadline(), Some(start + ms(1_000)));
    clock.advance(ms(1_000) - Duration::from_nanos(1));
    assert!((&mut call).now_or_never().is_none());
    clock.advance(Duration::from_nanos(1));
    (&mut call).now_or_never().unwrap().unwrap();
    assert_eq!(clock.sleepers(), 0);
}
