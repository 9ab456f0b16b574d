//! Each layer alone, and the layers in other orders.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use provider_simulator::{Limits, Reply, Simulator};
use tower::{Layer, ServiceBuilder};
use tower_upstream::{
    Chain, CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, CircuitState, Error,
    FallbackLayer, IntakeLayer, Limit, Provider, ProviderLayer, Quota, RateLimitLayer, RateLimiter,
    RetryLayer, RetryPolicy, Upstream, WhenExhausted,
};

use super::harness::{Setup, at, chat, client, direct, ms, post, send, sleep};

fn hourly(requests: u64) -> RateLimiter {
    RateLimiter::new(Quota::new().limit(Limit::requests(requests).per_hour()))
        .expect("settings that work")
}

fn one_failure() -> CircuitBreaker {
    CircuitBreaker::new(CircuitBreakerPolicy::never().consecutive_failures(1))
        .expect("settings that work")
}

fn patient() -> RetryLayer {
    RetryLayer::new(RetryPolicy::llm().backoff(ms(1), ms(1))).expect("settings that work")
}

/// No error of ours lies inside another.
fn assert_flat(error: &Error) {
    let mut cause = error.source();
    while let Some(inner) = cause {
        assert!(!inner.is::<Error>(), "{error:?}");
        cause = inner.source();
    }
}

#[tokio::test]
async fn a_rate_limit_alone_keeps_to_its_quota() {
    let openai = Simulator::openai().start().await.unwrap();
    let quota = Quota::new().limit(Limit::requests(2).per(ms(1_000)));
    let limiter = RateLimiter::new(quota).unwrap().max_wait(Duration::ZERO);
    let service = RateLimitLayer::new(limiter.clone()).layer(client());
    for _ in 0..2 {
        send(&service, direct(&openai, &chat(8))).await.unwrap();
    }
    let error = send(&service, direct(&openai, &chat(8))).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited(_)), "{error:?}");
    assert_eq!(
        (limiter.status("").in_flight, openai.counts().received),
        (0, 2)
    );
    sleep(error.retry_after().unwrap()).await;
    send(&service, direct(&openai, &chat(8))).await.unwrap();
    assert_eq!(openai.counts().answered, 3);
}

#[tokio::test]
async fn a_retry_alone_repeats_a_post_only_where_nothing_was_done_or_the_policy_says_so() {
    let limits = Limits::new().requests_per_minute(1).window(ms(300));
    let openai = Simulator::openai()
        .model("any", limits)
        .start()
        .await
        .unwrap();
    let careful = RetryLayer::default().layer(client());
    for _ in 0..2 {
        let answer = send(&careful, direct(&openai, &chat(8))).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let counts = openai.counts();
    assert_eq!(
        (counts.received, counts.rate_limited, counts.too_early),
        (3, 1, 0)
    );

    sleep(ms(300)).await;
    openai.script([500; 3].map(Reply::Status));
    let answer = send(&careful, direct(&openai, &chat(8))).await.unwrap();
    assert_eq!((answer.status.as_u16(), openai.counts().received), (500, 4));
    let daring = patient().layer(client());
    let answer = send(&daring, direct(&openai, &chat(8))).await.unwrap();
    assert_eq!((answer.status.as_u16(), openai.counts().received), (200, 7));
}

#[tokio::test]
async fn a_circuit_breaker_alone_has_a_circuit_for_each_host() {
    let (down, up) = (Simulator::openai(), Simulator::openai());
    let (down, up) = (down.start().await.unwrap(), up.start().await.unwrap());
    down.script([Reply::Status(500)]);
    let breaker = one_failure();
    let service = CircuitBreakerLayer::new(breaker.clone()).layer(client());
    let answer = send(&service, direct(&down, &chat(8))).await.unwrap();
    assert_eq!(answer.status, 500);
    let error = send(&service, direct(&down, &chat(8))).await.unwrap_err();
    let host = down.address().to_string();
    assert_eq!(error.upstream(), Some(&*host));
    assert!(matches!(error, Error::CircuitOpen(_)), "{error:?}");
    assert_eq!(breaker.state(&host), CircuitState::Open);
    send(&service, direct(&up, &chat(8))).await.unwrap();
    assert_eq!((down.counts().received, up.counts().received), (1, 1));
}

/// What the `ProviderLayer` would do, a closure of the user's can do as well.
#[tokio::test]
async fn a_fallback_alone_leaves_it_to_the_user_how_to_reach_an_upstream() {
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    openai.script([Reply::Overloaded]);
    let urls = [openai.url(), groq.url()];
    let address = move |mut request: Request<Full<Bytes>>| {
        let upstream: &Upstream = request.extensions().get().expect("an upstream");
        let url = &urls[usize::from(upstream.provider().name() == "groq")];
        *request.uri_mut() = format!("{url}/chat/completions").parse().expect("a URL");
        request
    };
    let chain = Chain::new([Provider::openai(), Provider::groq()]);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).unwrap())
        .map_request(address)
        .service(client());
    for _ in 0..2 {
        let answer = send(&service, post(&chat(8))).await.unwrap();
        assert_eq!((answer.status.as_u16(), &*answer.served_by), (200, "groq"));
    }
    assert_eq!((openai.counts().received, groq.counts().received), (1, 2));
}

#[tokio::test]
async fn a_limit_outside_of_the_retries_counts_a_request_once() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([500; 2].map(Reply::Status));
    let limiter = hourly(1);
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(
            limiter.clone().max_wait(Duration::ZERO),
        ))
        .layer(patient())
        .service(client());
    let answer = send(&service, direct(&openai, &chat(8))).await.unwrap();
    assert_eq!((answer.status.as_u16(), openai.counts().received), (200, 3));
    let error = send(&service, direct(&openai, &chat(8))).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited(_)), "{error:?}");
    assert_eq!(openai.counts().received, 3);
}

/// PITFALLS 60: outside of them it counted one for three that were sent.
#[tokio::test]
async fn a_limit_inside_of_the_retries_counts_every_attempt() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([500; 2].map(Reply::Status));
    let limiter = hourly(4);
    let service = ServiceBuilder::new()
        .layer(patient())
        .layer(RateLimitLayer::new(limiter.clone()))
        .service(client());
    let answer = send(&service, direct(&openai, &chat(8))).await.unwrap();
    assert_eq!((answer.status.as_u16(), openai.counts().received), (200, 3));
    assert_eq!(limiter.status("").limits[0].used, 3);
}

#[tokio::test]
async fn an_open_circuit_inside_of_everything_gives_the_limit_back_what_was_not_sent() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::Status(500)]);
    let (limiter, breaker) = (hourly(10), one_failure());
    let chain = Chain::new([at(Provider::openai(), &openai).model("only")]);
    let service = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(FallbackLayer::new(chain).unwrap())
        .layer(RateLimitLayer::new(limiter.clone()))
        .layer(patient())
        .layer(CircuitBreakerLayer::new(breaker))
        .layer(ProviderLayer::new())
        .service(client());
    // The retry meets the circuit that the first attempt has opened.
    let error = send(&service, post(&chat(8))).await.unwrap_err();
    assert!(matches!(error, Error::CircuitOpen(_)), "{error:?}");
    assert_flat(&error);
    let before = limiter.status("openai/only");
    let error = send(&service, post(&chat(8))).await.unwrap_err();
    assert!(matches!(error, Error::CircuitOpen(_)), "{error:?}");
    let after = limiter.status("openai/only");
    assert_eq!(after.limits[0].used, before.limits[0].used);
    assert_eq!((after.in_flight, openai.counts().received), (0, 1));
}

#[tokio::test]
async fn a_limit_outside_of_a_chain_keeps_what_was_sent_in_vain() {
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    openai.script([Reply::Status(500)]);
    groq.script([Reply::Status(500)]);
    let limiter = hourly(10);
    let chain = Chain::new([
        at(Provider::openai(), &openai).model("one"),
        at(Provider::groq(), &groq).model("two"),
    ])
    .when_exhausted(WhenExhausted::Fail);
    let service = ServiceBuilder::new()
        .layer(IntakeLayer::new())
        .layer(RateLimitLayer::new(limiter.clone()))
        .layer(CircuitBreakerLayer::new(one_failure()))
        .layer(patient())
        .layer(FallbackLayer::new(chain).unwrap())
        .layer(ProviderLayer::new())
        .service(client());
    let used = || limiter.status("").limits[0].used;
    // Both were asked, and both count.
    let error = send(&service, post(&chat(8))).await.unwrap_err();
    let Error::Exhausted(exhausted) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(exhausted.attempts.len(), 2);
    assert_flat(&error);
    assert_eq!((openai.counts().received, groq.counts().received), (1, 1));
    assert_eq!(used(), 1);
    // Both are cooling down, and nobody was asked.
    let error = send(&service, post(&chat(8))).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error:?}");
    assert_eq!((openai.counts().received, groq.counts().received), (1, 1));
    assert_eq!(used(), 1);
}

#[tokio::test]
async fn the_client_s_own_error_comes_through_all_layers_as_it_is() {
    let openai = Simulator::openai().start().await.unwrap();
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")]).build();
    openai.go_down().await;
    let error = stack.ask(post(&chat(8))).await.unwrap_err();
    assert_flat(&error);
    let Error::Service(service) = &error else {
        panic!("{error:?}")
    };
    assert!(service.error.is::<hyper_util::client::legacy::Error>());
    assert_eq!(error.upstream(), Some("openai/only"));
    assert_eq!(
        stack
            .account
            .count("retrying openai/only: connection failed"),
        2
    );
    // A connection that was never made has spent nothing.
    assert!(error.is_unsent());
    assert_eq!(stack.counters("openai/only").in_flight, 0);
}
