//! The same upstream again.

use http::header::AUTHORIZATION;
use provider_simulator::{Reply, Simulator};
use tower_upstream::{
    Attempts, FailureKind, Provider, RetryPolicy,
    request::{Attempt, Next},
};

use super::harness::{Answer, Setup, at, chat, client, direct, ms, post};

#[tokio::test]
async fn a_server_error_is_retried_within_its_upstream_with_the_whole_body() {
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    openai.script([500, 500].map(Reply::Status));
    let chain = [
        at(Provider::openai(), &openai).model("first"),
        at(Provider::groq(), &groq).model("second"),
    ];
    let stack = Setup::of(chain).build();

    let mut request = post(&chat(2_000));
    let ledger = Attempts::default();
    request.extensions_mut().insert(ledger.clone());
    let answer = stack.ask(request).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &*answer.served_by),
        (200, "openai/first")
    );

    let log = openai.log();
    let statuses: Vec<_> = log.iter().map(|received| received.status).collect();
    assert_eq!(statuses, [Some(500), Some(500), Some(200)]);
    let mut sent = chat(2_000);
    sent["model"] = "first".into();
    for received in &log {
        assert_eq!(received.body, sent.to_string());
    }
    // The waits between, as configured: 5 ms, and twice that.
    assert!(log[1].at - log[0].at >= ms(5) && log[2].at - log[1].at >= ms(10));
    assert_eq!(groq.counts().received, 0);

    assert_eq!(
        stack.account.count("retrying openai/first: server error"),
        2
    );
    assert_eq!(stack.account.count("admitted openai/first"), 3);
    assert_eq!(stack.account.count("settled openai/first: 2016 tokens"), 1);
    let failed = |attempt: &Attempt| {
        let retried = matches!(attempt.next, Next::Retry { .. });
        retried && attempt.failure.kind == FailureKind::ServerError
    };
    assert!(ledger.failed().iter().all(failed));
    assert_eq!(ledger.count(), 2);
    // The first retry failed and is paid for, the second got its price back.
    assert_eq!(stack.budget.capacity() - stack.budget.available(), 5);
    let counters = stack.counters("openai/first");
    assert_eq!((counters.in_flight, counters.counted), (0, (3, 2)));
}

#[tokio::test]
async fn a_response_that_came_after_retries_tells_of_them() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::Overloaded]);
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")]).build();
    let answer = stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.attempts.unwrap().count(), 1);
    let answer = stack.ask(post(&chat(8))).await.unwrap();
    assert!(answer.attempts.is_none());
}

#[tokio::test]
async fn attempts_that_are_used_up_give_the_caller_the_last_answer_unchanged() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([500, 502, 503].map(Reply::Status));
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")]).build();
    let answer = stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.body.ends_with(b"}") && answer.body.starts_with(b"{\"error\":"));
    assert_eq!(openai.counts().received, 3);
    assert_eq!(
        stack.account.count("gave up openai/only: attempts used up"),
        1
    );
}

#[tokio::test]
async fn an_attempt_that_never_answers_is_cut_off_and_made_again() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::Stall]);
    let stack = Setup::of([at(Provider::openai(), &openai).model("only")])
        .retry(|policy: RetryPolicy| policy.attempt_timeout(ms(500)))
        .build();
    let answer = stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(openai.counts().received, 2);
    assert_eq!(stack.account.count("retrying openai/only: timed out"), 1);
    assert_eq!(stack.counters("openai/only").in_flight, 0);
}

#[tokio::test]
async fn wrong_credentials_come_back_at_once_in_the_provider_s_own_words() {
    let openai = Simulator::openai().key("another").start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    let provider = at(Provider::openai(), &openai);
    let stack = Setup::of([
        provider.model("first"),
        at(Provider::groq(), &groq).model("next"),
    ]);
    let stack = stack.build();
    let answer = stack.ask(post(&chat(8))).await.unwrap();
    let counts = openai.counts();
    assert_eq!((counts.received, counts.refused), (1, 1));
    assert_eq!(groq.counts().received, 0);
    let settled = "settled openai/first: 0 tokens";
    assert_eq!(stack.told(), ["admitted openai/first", settled]);
    assert_eq!(stack.cooldowns.list(), []);
    assert_eq!(stack.budget.available(), stack.budget.capacity());

    let mut request = direct(&openai, &chat(8));
    let key = "Bearer wrong".parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, key);
    let own_words = client().request(request).await.unwrap();
    let own_words = Answer::read(own_words).await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(
        (answer.status, answer.body),
        (own_words.status, own_words.body)
    );
}
