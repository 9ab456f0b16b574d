//! Requests that wait for a quota.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use provider_simulator::{Limits, Simulator};
use tower_upstream::{
    Deadline, Error, Limit, Provider, Quota, clock::TokioClock, error::RefusalReason,
};

use super::harness::{Setup, Stack, at, chat, client, direct, ms, post};

/// How much longer the client's windows are than the provider's: a request may be longer on its way than the next one.
const MARGIN: Duration = ms(250);

async fn ask_at_once(stack: &Stack, requests: usize) {
    let calls = (0..requests).map(|_| stack.ask(post(&chat(64))));
    for answer in join_all(calls).await {
        assert_eq!(answer.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn requests_queued_for_a_token_window_pass_when_it_frees_and_nobody_is_refused() {
    let window = ms(400);
    // Each request costs 80 tokens: two fit.
    let limits = Limits::new().tokens_per_minute(170).window(window);
    let openai = Simulator::openai().model("only", limits.clone());
    let openai = openai.start().await.unwrap();
    let quota = Quota::new().limit(Limit::tokens(170).per(window + MARGIN));
    let upstream = at(Provider::openai(), &openai).model("only");
    let stack = Setup::of([upstream.quota(quota).unwrap()]).build();

    ask_at_once(&stack, 6).await;
    let counts = openai.counts();
    assert_eq!(
        (counts.received, counts.answered, counts.rate_limited),
        (6, 6, 0)
    );
    let log = openai.log();
    for (earlier, later) in log.iter().zip(&log[2..]) {
        let apart = later.at - earlier.at;
        assert!(apart >= window, "three requests within {apart:?}");
    }
    assert_eq!(stack.account.count("queued openai/only"), 4);
    assert_eq!(stack.account.count("settled openai/only: 80 tokens"), 6);
    assert_eq!(counts.input_tokens + counts.output_tokens, 6 * 80);
    let counters = stack.counters("openai/only");
    assert_eq!((counters.in_flight, counters.queued), (0, 0));

    // The same demand without a limiter is above the quota.
    let bare = Simulator::openai()
        .model("any", limits)
        .start()
        .await
        .unwrap();
    let client = client();
    let calls = (0..6).map(|_| client.request(direct(&bare, &chat(64))));
    let answers = join_all(calls).await.into_iter().map(Result::unwrap);
    let refused = answers.filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.count(), 4);
}

#[tokio::test]
async fn a_request_that_cannot_wait_goes_to_the_next_upstream_at_once() {
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let first = at(Provider::openai(), &openai).model("first");
    let next = at(Provider::groq(), &groq).model("next");
    let stack = Setup::of([
        first.quota(quota.clone()).unwrap(),
        next.quota(quota).unwrap(),
    ]);
    let stack = stack.build();
    let hurried = || {
        let mut request = post(&chat(8));
        let deadline = Deadline::after(Duration::from_secs(5), &TokioClock);
        request.extensions_mut().insert(deadline);
        request
    };
    for served_by in ["openai/first", "groq/next"] {
        let answer = stack.ask(hurried()).await.unwrap();
        assert_eq!(answer.served_by, served_by);
    }
    let error = stack.ask(hurried()).await.unwrap_err();
    let Error::Exhausted(exhausted) = &error else {
        panic!("{error:?}")
    };
    assert!(exhausted.is_rate_limited());
    // Both are back in a minute, by our own account.
    assert!(error.retry_after().unwrap() > Duration::from_secs(30));
    assert_eq!((openai.counts().received, groq.counts().received), (1, 1));
    assert_eq!(stack.account.count("refused openai/first: WaitTooLong"), 2);
    assert_eq!(stack.cooldowns.list(), []);
}

#[tokio::test]
async fn a_request_that_no_window_ever_holds_is_refused_and_not_sent() {
    let openai = Simulator::openai().start().await.unwrap();
    let quota = Quota::new().limit(Limit::tokens(100).per_minute());
    let upstream = at(Provider::openai(), &openai).model("only");
    let stack = Setup::of([upstream.quota(quota).unwrap()]).build();
    match stack.ask(post(&chat(500))).await.unwrap_err() {
        Error::RateLimited(refusal) => {
            assert_eq!(refusal.reason, RefusalReason::TooLarge);
            assert_eq!(refusal.wait, None);
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(openai.counts().received, 0);
    assert_eq!(stack.counters("openai/only").used, [0]);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_the_quota_allows() {
    let openai = Simulator::openai().model("only", Limits::new().concurrent(3));
    let openai = openai.latency(ms(20)).start().await.unwrap();
    let quota = Quota::new().max_concurrent(3);
    let upstream = at(Provider::openai(), &openai).model("only");
    let stack = Setup::of([upstream.quota(quota).unwrap()]).build();
    ask_at_once(&stack, 12).await;
    let counts = openai.counts();
    assert_eq!((counts.answered, counts.rate_limited), (12, 0));
    assert_eq!(counts.peak_in_flight, 3);
}

#[tokio::test]
async fn a_429_holds_everybody_back_until_the_provider_is_back() {
    let limits = Limits::new().requests_per_minute(7).window(ms(600));
    let openai = Simulator::openai().model("only", limits);
    // All twenty are in flight when the first of them is refused.
    let openai = openai.grace(ms(300)).start().await.unwrap();
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")])
        .retry(|policy| policy.max_attempts(20))
        .build();
    ask_at_once(&stack, 20).await;
    let counts = openai.counts();
    assert_eq!((counts.answered, counts.too_early), (20, 0));
    assert!(counts.rate_limited >= 13, "{counts:?}");
    assert_eq!(counts.received, counts.answered + counts.rate_limited);
    let retries = stack.account.count("retrying openai/only: rate limited");
    assert_eq!(retries as u64, counts.rate_limited);
    assert_eq!(stack.account.count("admitted") as u64, counts.received);
}

/// Where requests go one after the other, a refusal is paid for once.
#[tokio::test]
async fn a_429_is_met_by_one_request_and_the_queue_behind_it_waits_with_it() {
    let limits = Limits::new().requests_per_minute(4).window(ms(300));
    let openai = Simulator::openai().model("only", limits);
    let openai = openai.start().await.unwrap();
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")])
        .quota(Quota::new().max_concurrent(1))
        .retry(|policy| policy.max_attempts(20))
        .build();
    ask_at_once(&stack, 10).await;
    let counts = openai.counts();
    assert_eq!((counts.answered, counts.too_early), (10, 0));
    assert_eq!(
        counts.rate_limited as usize,
        stack.account.count("paused openai/only")
    );
    assert_eq!(counts.peak_in_flight, 1);
    assert!(counts.rate_limited >= 1, "{counts:?}");
}
