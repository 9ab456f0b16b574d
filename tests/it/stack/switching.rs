//! From one upstream to the next.

use std::time::Duration;

use provider_simulator::{Limits, Reply, Simulator};
use tower_upstream::{Chain, Error, Provider, WhenExhausted};

use super::harness::{Setup, at, chat, ms, post, sleep};

#[tokio::test]
async fn a_request_that_is_rate_limited_is_served_by_the_next_model_of_the_provider() {
    let groq = Simulator::groq()
        .model("large", Limits::new().requests_per_minute(1))
        .model("small", Limits::new());
    let groq = groq.start().await.unwrap();
    let provider = at(Provider::groq(), &groq);
    let stack = Setup::of([provider.model("large"), provider.model("small")]).build();

    let mut served_by = Vec::new();
    for _ in 0..3 {
        let answer = stack.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.status, 200);
        served_by.push(answer.served_by);
    }
    assert_eq!(served_by, ["groq/large", "groq/small", "groq/small"]);
    assert_eq!(
        stack.told(),
        [
            "admitted groq/large",
            "settled groq/large: 24 tokens",
            "admitted groq/large",
            "paused groq/large",
            "gave up groq/large: others can be asked sooner than the upstream asks for",
            "cooling groq/large: rate limited",
            "switched from groq/large to groq/small",
            "settled groq/large: 0 tokens",
            "admitted groq/small",
            "settled groq/small: 24 tokens",
            "admitted groq/small",
            "settled groq/small: 24 tokens",
        ]
    );
    let large = groq.counts_of("large");
    assert_eq!((large.received, large.rate_limited), (2, 1));
    assert_eq!(groq.counts_of("small").answered, 2);
    assert_eq!(groq.counts().too_early, 0);
    let wait = stack.cooldowns.remaining(&provider.model("large"));
    assert!(wait.unwrap() > Duration::from_secs(30), "{wait:?}");
}

#[tokio::test]
async fn a_short_wait_is_waited_for_although_another_upstream_stands_idle() {
    let openai = Simulator::openai().model(
        "first",
        Limits::new().requests_per_minute(1).window(ms(300)),
    );
    let openai = openai.model("second", Limits::new()).start().await.unwrap();
    let provider = at(Provider::openai(), &openai);
    let stack = Setup::of([provider.model("first"), provider.model("second")]).build();

    for _ in 0..2 {
        let answer = stack.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.served_by, "openai/first");
    }
    assert_eq!(
        stack.account.count("retrying openai/first: rate limited"),
        1
    );
    assert_eq!(openai.counts_of("first").received, 3);
    assert_eq!(openai.counts_of("second").received, 0);
    assert_eq!(openai.counts().too_early, 0);
    assert_eq!(stack.cooldowns.list(), []);
}

#[tokio::test]
async fn an_account_without_quota_is_left_alone_with_all_its_models() {
    let openai = Simulator::openai().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    openai.script([Reply::Quota]);
    let first = at(Provider::openai(), &openai);
    let next = at(Provider::groq(), &groq);
    let chain = [
        first.model("large"),
        first.model("small"),
        next.model("other"),
    ];
    let stack = Setup::of(chain).build();

    for _ in 0..2 {
        let answer = stack.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.served_by, "groq/other");
    }
    let counts = openai.counts();
    assert_eq!((counts.received, counts.rate_limited), (1, 1));
    assert_eq!(openai.counts_of("small").received, 0);
    assert_eq!(groq.counts().answered, 2);
    assert_eq!(
        stack.told()[..5],
        [
            "admitted openai/large",
            "cooling openai: quota exhausted",
            "switched from openai/large to groq/other",
            "settled openai/large: 0 tokens",
            "admitted groq/other",
        ]
    );
    let [cooldown] = &stack.cooldowns.list()[..] else {
        panic!("{:?}", stack.cooldowns)
    };
    assert!(cooldown.account_wide);
    assert_eq!(stack.budget.available(), stack.budget.capacity());
}

/// Anthropic says so with a 400.
#[tokio::test]
async fn an_account_without_credit_is_served_by_the_next_provider() {
    let anthropic = Simulator::anthropic().start().await.unwrap();
    let groq = Simulator::groq().start().await.unwrap();
    anthropic.script([Reply::Quota]);
    let first = at(Provider::anthropic(), &anthropic);
    let next = at(Provider::groq(), &groq);
    let stack = Setup::of([first.model("one"), first.model("two"), next.model("three")]).build();

    let answer = stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.served_by, "groq/three");
    assert_eq!(anthropic.counts().received, 1);
    assert_eq!(stack.cooldowns.list()[0].key, "anthropic".into());
}

#[tokio::test]
async fn when_all_are_exhausted_the_error_tells_when_the_soonest_is_back_to_the_instant() {
    // Not whole seconds: `retry-after` rounds what `retry-after-ms` tells exactly.
    let window = Duration::from_millis(1_500);
    let groq = Simulator::groq().model("one", Limits::new().requests_per_minute(1));
    let groq = groq.start().await.unwrap();
    let openai =
        Simulator::openai().model("two", Limits::new().requests_per_minute(1).window(window));
    let openai = openai.start().await.unwrap();
    let chain = [
        at(Provider::groq(), &groq).model("one"),
        at(Provider::openai(), &openai).model("two"),
    ];
    let stack = Setup::of(chain)
        .retry(|policy| policy.max_hint_wait(Duration::ZERO))
        .build();
    for served_by in ["groq/one", "openai/two"] {
        let answer = stack.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.served_by, served_by);
    }

    let error = stack.ask(post(&chat(8))).await.unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(wait <= window, "{wait:?}");
    let seconds = wait.as_nanos().div_ceil(1_000_000_000);
    let plural = if seconds == 1 { "" } else { "s" };
    assert_eq!(
        error.user_message(),
        format!(
            "All alternative providers are rate limited. Please try again in {seconds} second{plural}."
        )
    );
    let Error::Exhausted(exhausted) = &error else {
        panic!("{error:?}")
    };
    let asked: Vec<_> = exhausted
        .attempts
        .iter()
        .map(|a| a.upstream.as_deref())
        .collect();
    assert_eq!(asked, [Some("openai/two")]);
    assert_eq!(stack.account.count("exhausted after 1"), 1);

    // Nobody is asked until then, and then the soonest at once.
    let received = || (groq.counts().received, openai.counts().received);
    let before = received();
    let error = stack.ask(post(&chat(8))).await.unwrap_err();
    assert_eq!(received(), before);
    sleep(error.retry_after().unwrap()).await;
    let answer = stack.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.served_by, "openai/two");
    assert_eq!(groq.counts().too_early + openai.counts().too_early, 0);
    assert_eq!((groq.counts().received, openai.counts().received), (2, 3));
}

#[tokio::test]
async fn a_chain_that_waits_sends_nothing_before_the_soonest_is_back() {
    let quota = Limits::new().requests_per_minute(1).window(ms(400));
    let openai = Simulator::openai()
        .model("one", quota.clone())
        .model("two", quota)
        .start()
        .await
        .unwrap();
    let provider = at(Provider::openai(), &openai);
    let chain = Chain::new([provider.model("one"), provider.model("two")]);
    let chain = chain.when_exhausted(WhenExhausted::Wait {
        max: Duration::from_secs(10),
    });
    let stack = Setup::chain(chain)
        .retry(|policy| policy.max_attempts(1))
        .build();
    let mut lost = 0;
    for _ in 0..6 {
        match stack.ask(post(&chat(8))).await {
            Ok(answer) => assert_eq!(answer.status, 200),
            Err(Error::Exhausted(_)) => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let counts = openai.counts();
    assert_eq!(counts.too_early, 0);
    assert_eq!(counts.answered + lost, 6);
    assert_eq!(counts.answered + counts.rate_limited, counts.received);
}

#[tokio::test]
async fn a_request_that_is_too_large_for_one_is_served_by_another_and_nobody_is_cooled() {
    let groq = Simulator::groq().model("small", Limits::new().tokens_per_minute(50));
    let groq = groq.start().await.unwrap();
    let openai = Simulator::openai().start().await.unwrap();
    let chain = [
        at(Provider::groq(), &groq).model("small"),
        at(Provider::openai(), &openai).model("large"),
    ];
    let stack = Setup::of(chain).build();
    let answer = stack.ask(post(&chat(100))).await.unwrap();
    assert_eq!(answer.served_by, "openai/large");
    assert_eq!(stack.cooldowns.list(), []);
    let answer = stack.ask(post(&chat(10))).await.unwrap();
    assert_eq!(answer.served_by, "groq/small");
    assert_eq!((groq.counts().received, openai.counts().received), (2, 1));
}

#[tokio::test]
async fn a_chain_that_is_down_is_not_called_rate_limited() {
    let openai = Simulator::openai().start().await.unwrap();
    openai.script([Reply::Status(500); 2]);
    let provider = at(Provider::openai(), &openai);
    let chain = Chain::new([provider.model("one"), provider.model("two")]);
    let stack = Setup::chain(chain.when_exhausted(WhenExhausted::Fail))
        .retry(|policy| policy.max_attempts(1))
        .build();
    // The first request asks both, the second finds them cooling down.
    for received in [2, 2] {
        let error = stack.ask(post(&chat(8))).await.unwrap_err();
        assert_eq!(openai.counts().received, received);
        let message = "No provider could answer. Please try again in 5 minutes.";
        assert_eq!(error.user_message(), message);
    }
}
