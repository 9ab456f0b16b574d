//! What requests are charged that failed.

use super::*;
use crate::{
    Money,
    outcome::{Failure, FailureKind, Outcome},
};

/// The requests, tokens, input, output and money that are taken after a request of 10 and 90 tokens, at 7 billionths.
async fn charged(quota: impl Fn(Quota) -> Quota, respond: impl Fn() -> Answer + Clone) -> Vec<u64> {
    let all = Quota::new()
        .limit(Limit::requests(100).per_minute())
        .limit(Limit::tokens(1_000).per_minute())
        .limit(Limit::input_tokens(1_000).per_minute())
        .limit(Limit::output_tokens(1_000).per_minute())
        .limit(Limit::money(Money::from_cents(100)).per_month());
    let limiter = limiter(quota(all));
    let mut request = request();
    let cost = Cost::tokens(10, 90).with_money(Money::from_nanos(7));
    request.extensions_mut().insert(cost);
    let response = service(&limiter, respond).oneshot(request).await.unwrap();
    assert_eq!(used(&limiter, ""), [1, 100, 10, 90, 7], "until its end");
    response.collect().await.unwrap();
    assert_eq!(limiter.status("").in_flight, 0);
    used(&limiter, "")
}

const ALL: [u64; 5] = [1, 100, 10, 90, 7];
const REQUEST: [u64; 5] = [1, 0, 0, 0, 0];

// A key that was revoked for an hour used up a month's money by estimates, of which no provider bills one. Azure says which of its
// errors it bills: not 401 and 429, but what its filter refused and 408
// (https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs); with OpenAI, what failed counts as a request
// (https://platform.openai.com/docs/guides/rate-limits).
#[tokio::test(start_paused = true)]
async fn an_answer_for_which_nothing_was_done_costs_a_request_and_neither_tokens_nor_money() {
    for status in [400, 401, 402, 403, 404, 409, 413, 422, 429, 498, 503, 529] {
        assert_eq!(
            charged(|it| it, move || answer(status)).await,
            REQUEST,
            "{status}"
        );
    }
    for status in [200, 408, 424, 451, 500, 502, 504] {
        assert_eq!(
            charged(|it| it, move || answer(status)).await,
            ALL,
            "{status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_knows_of_a_failure_goes_before_its_status() {
    let with = |status, kind| {
        move || {
            let mut answer = answer(status);
            let outcome = Outcome::from(Failure::new(kind));
            answer.extensions_mut().insert(outcome);
            answer
        }
    };
    let overloaded = with(200, FailureKind::Overloaded);
    assert_eq!(charged(|it| it, overloaded).await, REQUEST);
    let filtered = with(400, FailureKind::ContentFiltered);
    assert_eq!(charged(|it| it, filtered).await, ALL);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_tells_what_it_used_is_charged_that_and_nothing_that_it_does_not_tell() {
    let telling = || {
        let mut answer = answer(400);
        let usage = Usage {
            input_tokens: Some(12),
            ..Usage::default()
        };
        answer.extensions_mut().insert(told(usage));
        answer
    };
    assert_eq!(charged(|it| it, telling).await, [1, 12, 12, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_keeps_estimates_keeps_those_of_failures() {
    assert_eq!(charged(Quota::keep_estimates, || answer(401)).await, ALL);
}

// What is given back opens no way around the other limits: who asks again at once pays a request each time, and waits.
#[tokio::test(start_paused = true)]
async fn tokens_that_were_given_back_lift_neither_the_limit_of_requests_nor_a_pause() {
    let quota = Quota::new()
        .limit(Limit::requests(2).per_minute())
        .limit(Limit::tokens(100).per_minute());
    let limiter = limiter(quota);
    let overloaded = service(&limiter, || answer(503));
    for _ in 0..2 {
        overloaded.clone().oneshot(costing(10, 90)).await.unwrap();
    }
    let cost = Cost::tokens(10, 90);
    assert_eq!(limiter.wait_time("", cost), Some(ms(60_000)));
    limiter.reset("");
    let limited = service(&limiter, || {
        let mut answer = answer(429);
        let headers = answer.headers_mut();
        headers.insert("retry-after", "20".parse().unwrap());
        answer
    });
    limited.oneshot(costing(10, 90)).await.unwrap();
    assert_eq!(used(&limiter, ""), [1, 0]);
    assert_eq!(limiter.wait_time("", cost), Some(ms(20_000)));
}
