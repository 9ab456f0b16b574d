//! The layer, on paused time.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use futures::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_test::mock::Spawn;

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    error::{BoxError, Error, RefusalReason},
    observe::Event,
    outcome::{Usage, UsageCell},
    request::{AttemptDeadline, Cost, Deadline, Scope},
    testing::{Answer, Client, answer, client, ms, request, settle},
    upstream::Provider,
};

mod anchors;
mod events;
mod forecast;
mod handle;
mod judge;
mod left;
#[cfg(shuttle)]
mod models;
mod pitfalls;
mod random;
mod refusals;
mod several;

fn limiter(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota).unwrap().max_wait(None)
}

fn one_a_minute() -> RateLimiter {
    limiter(Quota::new().limit(Limit::requests(1).per_minute()))
}

fn limited(client: Client, limiter: &RateLimiter) -> RateLimit<Client> {
    RateLimitLayer::new(limiter.clone()).layer(client)
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_turn_and_is_sent_at_the_instant() {
    let (client, mut server) = client();
    server.allow(2);
    let limiter = one_a_minute();
    let service = limited(client, &limiter);
    let first = tokio::spawn(service.clone().oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    first.await.unwrap().unwrap();

    let start = TokioClock.now();
    let second = tokio::spawn(service.oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    let waited = TokioClock.now() - start;
    assert!((ms(60_000)..ms(60_010)).contains(&waited), "{waited:?}");
    second.await.unwrap().unwrap();
}

// PITFALLS 8, RL-08: refused only after the whole timeout, although the wait was known.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_refused_at_once_with_its_length_and_nothing_is_sent() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = one_a_minute().max_wait(ms(30_000));
    let service = limited(client, &limiter);
    let _first = service.clone().oneshot(request()).now_or_never();
    let start = TokioClock.now();
    let error = service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(TokioClock.now(), start);
    assert_eq!(error.retry_after(), Some(ms(60_000)));
    let mut impatient = request();
    impatient.extensions_mut().insert(Deadline(start + ms(1)));
    let limiter_without_maximum = limiter.max_wait(None);
    let service = limited(service.inner().clone(), &limiter_without_maximum);
    let _first = service.clone().oneshot(request()).now_or_never();
    let error = service.oneshot(impatient).await.unwrap_err();
    assert!(
        matches!(error, Error::RateLimited(refusal) if refusal.reason == RefusalReason::WaitTooLong)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_concurrency_limit_ends_with_the_longest_wait() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = limiter(Quota::new().max_concurrent(1)).max_wait(ms(500));
    let service = limited(client, &limiter);
    let mut running = Box::pin(service.clone().oneshot(request()));
    assert!((&mut running).now_or_never().is_none());
    let start = TokioClock.now();
    let error = service.oneshot(request()).await.unwrap_err();
    assert!(TokioClock.now() - start >= ms(500));
    assert!(
        matches!(error, Error::RateLimited(refusal) if refusal.reason == RefusalReason::WaitTooLong)
    );
    assert_eq!(limiter.status("").queued, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let limiter = limiter(Quota::new().limit(Limit::requests(10).per_second()));
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sent = order.clone();
    let inner = service_fn(move |request: Request<()>| {
        sent.lock()
            .unwrap()
            .push(*request.extensions().get::<u32>().unwrap());
        async { Ok::<_, BoxError>(answer(200)) }
    });
    let service = RateLimitLayer::new(limiter).layer(inner);
    let start = TokioClock.now();
    let calls = (0..100).map(|number| {
        let mut request = request();
        request.extensions_mut().insert::<u32>(number);
        tokio::spawn(service.clone().oneshot(request))
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    let took = TokioClock.now() - start;
    assert!((ms(9_000)..ms(9_050)).contains(&took), "{took:?}");
}

// PITFALLS 7: governor's 400 waiters were each woken 201 times.
#[tokio::test(start_paused = true)]
async fn each_waiter_is_woken_at_most_twice() {
    let limiter = limiter(Quota::new().limit(Limit::requests(100).per_second().burst(10)));
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter).layer(inner);
    let polls = Arc::new(AtomicUsize::new(0));
    let calls = (0..400).map(|_| {
        let (polls, mut call) = (polls.clone(), Box::pin(service.clone().oneshot(request())));
        tokio::spawn(poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            call.poll_unpin(cx)
        }))
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    // The first poll is the call itself.
    let wakes = polls.load(Ordering::Relaxed) - 400;
    assert!(wakes <= 2 * 400, "{wakes} wake-ups for 400 callers");
}

// PITFALLS 6, RL-14, litellm#20256, #27955: the slot of a caller who went away stayed taken.
#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_leaves_nothing_behind_wherever_he_stood() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = limiter(Quota::new().max_concurrent(1));
    let service = limited(client, &limiter);

    // Never polled.
    drop(service.clone().ready().await.unwrap().call(request()));
    assert_eq!(limiter.status("").in_flight, 0);
    server.next_request().await.unwrap();

    // In flight, and in the queue.
    let mut running = Box::pin(service.clone().oneshot(request()));
    assert!((&mut running).now_or_never().is_none());
    let mut waiting = Box::pin(service.clone().oneshot(request()));
    assert!((&mut waiting).now_or_never().is_none());
    let status = limiter.status("");
    assert_eq!((status.in_flight, status.queued), (1, 1));
    drop(waiting);
    drop(running);
    let status = limiter.status("");
    assert_eq!((status.in_flight, status.queued), (0, 0));
    server.next_request().await.unwrap();

    // In the middle of the body.
    let call = tokio::spawn(service.oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    let response = call.await.unwrap().unwrap();
    assert_eq!(limiter.status("").in_flight, 1);
    drop(response);
    assert_eq!(limiter.status("").in_flight, 0);
}

// PITFALLS 6, aisix#688, tower-http PR #447: the slot was free at the headers while the answer still streamed.
#[tokio::test(start_paused = true)]
async fn a_request_is_under_way_until_its_body_has_ended() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = limiter(Quota::new().max_concurrent(1));
    let service = limited(client, &limiter);
    let first = tokio::spawn(service.clone().oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    let response = first.await.unwrap().unwrap();
    let second = tokio::spawn(service.oneshot(request()));
    settle().await;
    assert_eq!(limiter.status("").queued, 1);
    response.collect().await.unwrap();
    settle().await;
    assert_eq!(limiter.status("").queued, 0);
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    second.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_real_usage_is_settled_when_the_body_ends_and_frees_the_next() {
    let limiter = limiter(Quota::new().limit(Limit::tokens(100).per_minute()));
    let inner = service_fn(|_: Request<()>| async {
        let mut response = answer(200);
        let cell = UsageCell::default();
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (Some(10), Some(20));
        cell.set(usage);
        response.extensions_mut().insert(cell);
        Ok::<_, BoxError>(response)
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let costly = || {
        let mut request = request();
        request.extensions_mut().insert(Cost::tokens(10, 60));
        request
    };
    let response = service.clone().oneshot(costly()).await.unwrap();
    assert_eq!(limiter.status("").limits[0].used, 70);
    let second = tokio::spawn(service.oneshot(costly()));
    settle().await;
    assert_eq!(limiter.status("").queued, 1);
    let start = TokioClock.now();
    response.collect().await.unwrap();
    let _second = second.await.unwrap().unwrap();
    assert_eq!(
        TokioClock.now(),
        start,
        "the refund lets the second pass at once"
    );
    assert_eq!(limiter.status("").limits[0].used, 30 + 70);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_costs_nothing_and_its_error_comes_back_as_itself() {
    let limiter = one_a_minute();
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let inner = service_fn(move |_: Request<()>| async move { Err::<Answer, _>(refused()) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    for _ in 0..3 {
        let Error::Service(error) = service.clone().oneshot(request()).await.unwrap_err() else {
            panic!("the error of the client must come back");
        };
        let error = error.error.downcast_ref::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    assert_eq!(limiter.status("").limits[0].used, 0);
}

#[tokio::test(start_paused = true)]
async fn a_429_that_names_a_wait_holds_everybody_back() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = limiter(Quota::new());
    let service = limited(client, &limiter);
    let first = tokio::spawn(service.clone().oneshot(request()));
    let mut refusal = answer(429);
    refusal
        .headers_mut()
        .insert("retry-after", "7".parse().unwrap());
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(refusal);
    first.await.unwrap().unwrap();
    assert_eq!(limiter.status("").paused, Some(ms(7_000)));

    let start = TokioClock.now();
    let _second = tokio::spawn(service.oneshot(request()));
    server.next_request().await.unwrap();
    assert!(TokioClock.now() - start >= ms(7_000));
}

// PITFALLS 10: tower's own rate limit, and Envoy's, hold a slot of the client while they sleep.
#[tokio::test(start_paused = true)]
async fn who_waits_does_not_hold_the_readiness_of_the_client() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = one_a_minute();
    let shared = ConcurrencyLimit::new(client, 1);
    let service = RateLimitLayer::new(limiter).layer(shared.clone());
    let first = tokio::spawn(service.clone().oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    drop(first.await.unwrap().unwrap());
    let waiting = tokio::spawn(service.oneshot(request()));
    settle().await;
    let start = TokioClock.now();
    let other = tokio::spawn(shared.oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    other.await.unwrap().unwrap();
    assert!(
        TokioClock.now() - start < ms(1_000),
        "the slot of the client is free while a request waits"
    );
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    waiting.await.unwrap().unwrap();
}

// liter-llm makes one clone ready and calls another: a panic over `ConcurrencyLimit`.
#[tokio::test(start_paused = true)]
async fn the_service_that_was_made_ready_is_the_one_that_is_called_and_a_clone_is_not_ready() {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let layer = RateLimitLayer::new(limiter(Quota::new()));
    let mut service = Spawn::new(layer.layer(ConcurrencyLimit::new(inner, 1)));
    assert!(matches!(
        service.poll_ready::<Request<()>>(),
        Poll::Ready(Ok(()))
    ));
    let mut clone = service.clone();
    assert!(clone.poll_ready::<Request<()>>().is_pending());
    service.call(request()).await.unwrap();
    assert!(clone.is_woken());
    assert!(matches!(
        clone.poll_ready::<Request<()>>(),
        Poll::Ready(Ok(()))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_comes_back_as_itself() {
    let (client, mut server) = client();
    server.allow(1);
    server.send_error("the client is dead");
    let mut service = limited(client, &limiter(Quota::new()));
    let error = poll_fn(|cx| Service::<Request<()>>::poll_ready(&mut service, cx))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the client is dead");
}

// PITFALLS 11, tower-resilience `build()`, axum#2634: under axum each connection had a limit of its own.
#[tokio::test(start_paused = true)]
async fn every_service_of_a_layer_shares_its_windows() {
    let limiter = one_a_minute().max_wait(ms(0));
    let layer = RateLimitLayer::new(limiter);
    let inner = || service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    layer.layer(inner()).oneshot(request()).await.unwrap();
    layer
        .clone()
        .layer(inner())
        .oneshot(request())
        .await
        .unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn upstreams_have_windows_of_their_own_and_their_own_quota_where_they_have_one() {
    let limiter = one_a_minute().max_wait(ms(0));
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let two = Quota::new().limit(Limit::requests(2).per_minute());
    let large = Provider::openai().model("large");
    let small = Provider::openai().model("small").quota(two).unwrap();
    let to = |upstream: &crate::Upstream| {
        let mut request = request();
        request.extensions_mut().insert(upstream.clone());
        service.clone().oneshot(request)
    };
    to(&large).await.unwrap();
    to(&large).await.unwrap_err();
    to(&small).await.unwrap();
    to(&small).await.unwrap();
    let error = to(&small).await.unwrap_err();
    assert_eq!(error.upstream(), Some("openai/small"));
    assert_eq!(limiter.status("openai/small").limits[0].amount, 2);

    let all = limiter.scope(Scope::All);
    let service = RateLimitLayer::new(all).layer(*service.inner());
    let mut request_to_large = request();
    request_to_large.extensions_mut().insert(large);
    service.clone().oneshot(request_to_large).await.unwrap();
    service.oneshot(request()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_never_fit_is_refused_as_too_large() {
    let (client, mut server) = client();
    server.allow(1);
    let limiter = limiter(Quota::new().limit(Limit::tokens(100).per_minute()));
    let mut huge = request();
    huge.extensions_mut().insert(Cost::tokens(101, 0));
    let error = limited(client, &limiter).oneshot(huge).await.unwrap_err();
    assert!(error.to_string().contains("100 tokens per 60s"), "{error}");
    assert_eq!(error.retry_after(), None);
    assert_eq!(limiter.wait_time("", Cost::tokens(101, 0)), None);
    assert_eq!(limiter.wait_time("", Cost::tokens(100, 0)), Some(ms(0)));
}

// resilience4j and tower-resilience sit a wait out that is known to be too long: another provider stands idle meanwhile.
#[tokio::test(start_paused = true)]
async fn who_waits_is_refused_at_once_when_a_pause_makes_the_wait_too_long() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = one_a_minute().max_wait(ms(60_000));
    let service = limited(client, &limiter);
    let _first = service.clone().oneshot(request()).now_or_never();
    let calls = [0; 3].map(|_| tokio::spawn(service.clone().oneshot(request())));
    settle().await;
    let start = TokioClock.now();
    limiter.pause("", ms(1_200_000));
    for call in calls.into_iter().take(1) {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(1_200_000)));
    }
    assert_eq!(TokioClock.now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_refused_future_that_is_kept_does_not_block_the_queue() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = limiter(Quota::new().max_concurrent(1)).max_wait(ms(100));
    let service = limited(client, &limiter);
    let running = Box::pin(service.clone().oneshot(request()));
    let mut running = Box::pin(running);
    assert!((&mut running).now_or_never().is_none());
    let mut refused = Box::pin(service.oneshot(request()));
    let error = (&mut refused).await.unwrap_err();
    assert_eq!(
        error.retry_after(),
        None,
        "nobody knows when the other request ends"
    );
    assert_eq!(limiter.status("").queued, 0);
    drop(refused);
}

#[tokio::test(start_paused = true)]
async fn time_in_line_is_no_time_of_the_attempt() {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(one_a_minute()).layer(inner);
    service.clone().oneshot(request()).await.unwrap();
    let start = TokioClock.now();
    let attempt = AttemptDeadline::new(start + ms(20_000), None);
    let mut waiting = request();
    waiting.extensions_mut().insert(attempt.clone());
    let mut call = Box::pin(service.clone().oneshot(waiting));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(attempt.ends(start + ms(59_000)), start + ms(79_000));
    call.await.unwrap();
    assert_eq!(attempt.ends(start + ms(70_000)), start + ms(80_000));
    // One that leaves the line has had no more of it than that.
    let attempt = AttemptDeadline::new(TokioClock.now() + ms(20_000), None);
    let mut leaving = request();
    leaving.extensions_mut().insert(attempt.clone());
    let mut call = Box::pin(service.oneshot(leaving));
    assert!((&mut call).now_or_never().is_none());
    TokioClock.sleep_until(TokioClock.now() + ms(5_000)).await;
    drop(call);
    assert_eq!(
        attempt.ends(TokioClock.now() + ms(60_000)),
        TokioClock.now() + ms(20_000)
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_the_first_request_does_not_cost_an_upstream_its_own_quota() {
    let limiter = limiter(Quota::new()).max_wait(ms(0));
    limiter.pause("openai/m", ms(1));
    TokioClock.sleep_until(TokioClock.now() + ms(2)).await;
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let one = Quota::new().limit(Limit::requests(1).per_minute());
    let upstream = Provider::openai().model("m").quota(one).unwrap();
    let limits = limiter.status_of(&upstream).unwrap().limits;
    assert_eq!((limits.len(), limits[0].remaining), (1, 1));
    let call = || {
        let mut request = request();
        request.extensions_mut().insert(upstream.clone());
        service.clone().oneshot(request)
    };
    call().await.unwrap();
    call().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_settles_what_it_had_told() {
    let limiter = limiter(Quota::new().limit(Limit::tokens(100).per_minute()));
    let inner = service_fn(|_: Request<()>| async {
        let mut response = answer(200);
        let cell = UsageCell::default();
        cell.set(Usage {
            total_tokens: Some(7),
            ..Usage::default()
        });
        response.extensions_mut().insert(cell);
        Ok::<_, BoxError>(response)
    });
    let mut costly = request();
    costly.extensions_mut().insert(Cost::tokens(0, 90));
    drop(
        RateLimitLayer::new(limiter.clone())
            .layer(inner)
            .oneshot(costly)
            .await
            .unwrap(),
    );
    assert_eq!(limiter.status("").limits[0].used, 7);
}

#[tokio::test(start_paused = true)]
async fn who_goes_while_a_service_is_made_ready_gets_everything_back() {
    let (client, mut server) = client();
    server.allow(1);
    let limiter = limiter(Quota::new().limit(Limit::requests(1).per_second()));
    let service = limited(client, &limiter);
    let first = tokio::spawn(service.clone().oneshot(request()));
    server
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(answer(200));
    first.await.unwrap().unwrap();
    let mut service = Spawn::new(service);
    server.allow(1);
    assert!(service.poll_ready::<Request<()>>().is_ready());
    let mut call = Box::pin(service.call(request()));
    assert!((&mut call).now_or_never().is_none());
    server.allow(0);
    TokioClock.sleep_until(TokioClock.now() + ms(1_001)).await;
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(
        limiter.status("").limits[0].used,
        1,
        "admitted, and waiting for the client"
    );
    drop(call);
    assert_eq!(limiter.status("").limits[0].used, 0);
}

fn with_headers(headers: &[(&'static str, &str)]) -> Answer {
    let mut response = answer(200);
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

// misina#92: what other clients have taken of the quota was seen only by being refused.
#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_is_left_is_all_that_is_left() {
    let limiter = limiter(Quota::new().limit(Limit::requests(100).per_minute()));
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(with_headers(&[
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "1"),
            ("x-ratelimit-reset-requests", "20s"),
        ]))
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let response = service.clone().oneshot(request()).await.unwrap();
    response.collect().await.unwrap();
    assert_eq!(limiter.status("").limits[0].remaining, 1);
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(0)));
    TokioClock.sleep_until(TokioClock.now() + ms(20_000)).await;
    assert_eq!(limiter.status("").limits[0].remaining, 99);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_nobody_set_is_learned_where_the_upstream_tells_it_whole() {
    let limiter = limiter(Quota::new());
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(with_headers(&[
            ("x-ratelimit-limit-requests-day", "50"),
            ("x-ratelimit-remaining-requests-day", "0"),
            ("x-ratelimit-reset-requests-day", "600"),
        ]))
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    service.clone().oneshot(request()).await.unwrap();
    let learned = &limiter.status("").limits[0];
    assert_eq!(
        (learned.amount, learned.per, learned.remaining),
        (50, ms(86_400_000), 0)
    );
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(600_000)));
}

// After its owner had bought more, a limit that had been learned stayed what it was for as long as requests came.
#[tokio::test(start_paused = true)]
async fn a_limit_that_was_learned_changes_its_amount_when_the_upstream_says_so() {
    let limiter = limiter(Quota::new());
    let answers = Arc::new(std::sync::Mutex::new(vec![
        ("40", "39"),
        ("500", "497"),
        ("2", "0"),
    ]));
    let inner = service_fn(move |_: Request<()>| {
        let (limit, left) = answers.lock().unwrap().remove(0);
        async move {
            Ok::<_, BoxError>(with_headers(&[
                ("x-ratelimit-limit-requests-day", limit),
                ("x-ratelimit-remaining-requests-day", left),
                ("x-ratelimit-reset-requests-day", "600"),
            ]))
        }
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    for (amount, remaining) in [(40, 39), (500, 497), (2, 0)] {
        service.clone().oneshot(request()).await.unwrap();
        let learned = &limiter.status("").limits[0];
        assert_eq!((learned.amount, learned.remaining), (amount, remaining));
    }
}

/// How a limiter with this quota stands after an answer with these headers.
async fn after(quota: Quota, headers: &'static [(&'static str, &'static str)]) -> RateLimiter {
    let limiter = limiter(quota);
    let inner =
        service_fn(move |_: Request<()>| async { Ok::<_, BoxError>(with_headers(headers)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let response = service.oneshot(request()).await.unwrap();
    response.collect().await.unwrap();
    limiter
}

/// A demanding user's test: what names no period was not heeded, and the next was sent into a 429.
#[tokio::test(start_paused = true)]
async fn when_nothing_is_left_until_the_end_of_a_window_nobody_is_admitted_until_then() {
    let github: &[_] = &[
        ("x-ratelimit-limit", "60"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "30"),
    ];
    let ietf: &[_] = &[("ratelimit", "\"default\";r=0;t=30")];
    let tokens = || Quota::new().limit(Limit::tokens(9).per_minute());
    for (quota, headers) in [
        (Quota::new(), github),
        (Quota::new(), ietf),
        (tokens(), ietf),
    ] {
        let limiter = after(quota, headers).await;
        assert_eq!(limiter.status("").paused, Some(ms(30_000)));
        assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(30_000)));
    }
    // Of a limit that is known, that is all that is left, and whoever takes nothing of it passes.
    let known = after(Quota::new().limit(Limit::requests(60).per_hour()), github).await;
    assert_eq!(known.status("").paused, None);
    assert_eq!(known.wait_time("", Cost::default()), Some(ms(30_000)));
    // What is left, and when what refills will be full again, is no such end.
    let rest: &[_] = &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "30")];
    let refilling: &[_] = &[
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "30s"),
    ];
    for headers in [rest, refilling] {
        let limiter = after(Quota::new(), headers).await;
        assert!(limiter.can_admit("", Cost::default()), "{headers:?}");
        assert!(limiter.status("").limits.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_learned_where_its_period_follows_from_how_long_it_takes_to_refill() {
    let openai: &[_] = &[
        ("x-ratelimit-limit-requests", "200"),
        ("x-ratelimit-remaining-requests", "100"),
        ("x-ratelimit-reset-requests", "12h0m0s"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-tokens", "6000"),
        ("x-ratelimit-reset-tokens", "48s"),
    ];
    let limiter = after(Quota::new(), openai).await;
    let limits = limiter.status("").limits;
    let figures = limits
        .iter()
        .map(|limit| (limit.amount, limit.per.as_secs(), limit.remaining));
    let learned = [(200, 86_400, 100), (30_000, 60, 6_000)];
    assert_eq!(figures.collect::<Vec<_>>(), learned);
    let wait = |tokens| limiter.wait_time("", Cost::tokens(tokens, 0));
    assert_eq!([wait(6_000), wait(6_001)], [ms(0), ms(48_000)].map(Some));

    let anthropic: &[_] = &[
        ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
        ("anthropic-ratelimit-input-tokens-limit", "40000"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "2026-11-20T10:00:59Z",
        ),
        // By what is known of it this is the end of a window.
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "40"),
        ("anthropic-ratelimit-requests-reset", "2026-11-20T10:00:32Z"),
    ];
    let limiter = after(Quota::new(), anthropic).await;
    let [limit] = &limiter.status("").limits[..] else {
        panic!("{:?}", limiter.status(""))
    };
    assert_eq!(
        (limit.amount, limit.per, limit.remaining),
        (40_000, ms(60_000), 0)
    );
    assert_eq!(limiter.wait_time("", Cost::tokens(1, 0)), Some(ms(59_000)));
    let kept = limiter.snapshot();
    let again = self::limiter(Quota::new());
    again.restore(&kept).unwrap();
    assert!(
        again.status("").limits.is_empty(),
        "the next answer tells it again"
    );
}

// RL-50: Envoy's ratelimit.
#[tokio::test(start_paused = true)]
async fn a_limit_in_shadow_mode_reports_and_holds_nobody_back() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = told.clone();
    let quota = Quota::new().limit(Limit::requests(1).per_minute().shadow());
    let limiter = limiter(quota).observe(move |event: &Event<'_>| {
        if let Event::Shadowed { limit, wait, .. } = event {
            log.lock().unwrap().push((limit.to_string(), *wait));
        }
    });
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let start = TokioClock.now();
    for _ in 0..2 {
        service.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(TokioClock.now(), start);
    assert_eq!(limiter.status("").limits[0].used, 2);
    let once = ("1 request per 60s".to_owned(), ms(60_000));
    assert_eq!(*told.lock().unwrap(), [once]);
}

#[tokio::test(start_paused = true)]
async fn another_quota_lets_those_who_waited_for_the_old_one_go_on() {
    let limiter = one_a_minute();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let upstream = |requests: u64| {
        let quota = Quota::new().limit(Limit::requests(requests).per_minute());
        let mut request = request();
        let upstream = Provider::openai().model("m").quota(quota).unwrap();
        request.extensions_mut().insert(upstream);
        request
    };
    service.clone().oneshot(upstream(1)).await.unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(upstream(1)));
    settle().await;
    let start = TokioClock.now();
    let _later = tokio::spawn(service.oneshot(upstream(9)));
    waiting.await.unwrap().unwrap();
    assert_eq!(TokioClock.now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_during_a_pause_does_not_touch_what_was_counted() {
    let limiter = limiter(Quota::new().limit(Limit::requests(9).per_minute())).max_wait(ms(0));
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    service.clone().oneshot(request()).await.unwrap();
    limiter.pause("", ms(120_000));
    service.oneshot(request()).await.unwrap_err();
    assert_eq!(limiter.status("").limits[0].used, 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_what_was_taken_and_lets_the_first_pass() {
    let (client, mut server) = client();
    server.allow(9);
    let limiter = one_a_minute();
    let service = limited(client, &limiter);
    let _first = service.clone().oneshot(request()).now_or_never();
    server.next_request().await.unwrap();
    limiter.pause("", ms(1_000_000));
    let _second = tokio::spawn(service.oneshot(request()));
    settle().await;
    let start = TokioClock.now();
    limiter.reset("");
    server.next_request().await.unwrap();
    assert_eq!(TokioClock.now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_given_back_when_the_client_is_dead_however_long_the_future_is_kept() {
    let (client, mut server) = client();
    server.allow(1);
    let limiter = limiter(Quota::new().max_concurrent(1));
    let service = limited(client, &limiter);
    let first = tokio::spawn(service.clone().oneshot(request()));
    let (_, respond) = server.next_request().await.unwrap();
    let mut second = Box::pin(service.oneshot(request()));
    assert!((&mut second).now_or_never().is_none());
    server.send_error("the client is dead");
    respond.send_response(answer(200));
    drop(first.await.unwrap().unwrap());
    assert!((&mut second).await.is_err());
    assert_eq!(limiter.status("").in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_leaks_no_slot_and_no_place() {
    let limiter = limiter(Quota::new().max_concurrent(1)).observe(|event: &Event<'_>| {
        let high = matches!(event, Event::Admitted { .. } | Event::Queued { .. });
        assert!(!high, "a bug in the observer");
    });
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    for _ in 0..3 {
        let mut service = service.clone();
        let call = async move {
            service
                .ready()
                .await
                .unwrap()
                .call(request())
                .await
                .map(drop)
        };
        assert!(tokio::spawn(call).await.unwrap_err().is_panic());
        let status = limiter.status("");
        assert_eq!((status.in_flight, status.queued), (0, 0));
    }
}

#[test]
fn services_and_futures_are_small_and_can_be_sent() {
    fn is_send<T: Send>(_: &T) {}
    let (client, _server) = client();
    let mut service = limited(client, &RateLimiter::default());
    is_send(&service);
    let _ = service.poll_ready(&mut std::task::Context::from_waker(
        futures::task::noop_waker_ref(),
    ));
    // They are moved with every request: to grow is to slow down.
    assert!(size_of::<<RateLimit<Client> as Service<Request<()>>>::Future>() <= 176);
    assert!(size_of::<Permit>() <= 88);
}
