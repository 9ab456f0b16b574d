//! What its owner changes while it runs.

use super::*;
use crate::{
    fallback::{Chain, Order},
    upstream::{ServedBy, Upstream},
};

/// Two models, of which the first takes one request a minute.
fn models(key: &str) -> [Upstream; 2] {
    let provider = Provider::openai().key(key).unwrap();
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    [
        provider.model("a").quota(quota).unwrap(),
        provider.model("b"),
    ]
}

fn stack() -> StackBuilder {
    models("k1")
        .into_iter()
        .fold(Stack::builder(), StackBuilder::upstream)
}

/// Who answers a request, and by which key, and that at once.
async fn served(stack: &Stack) -> (String, String) {
    let client = service_fn(|request: Request<Full<Bytes>>| async move {
        let key = request.headers()["authorization"].to_str().unwrap();
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(key.to_owned())))
    });
    let began = TokioClock.now();
    let service = stack.layer().layer(client);
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(TokioClock.now(), began);
    let ServedBy(upstream) = response.extensions().get().cloned().unwrap();
    let key = http_body_util::BodyExt::collect(response.into_body()).await;
    let key = key.unwrap().to_bytes();
    (upstream.id().into(), String::from_utf8_lossy(&key).into())
}

fn by(id: &str, key: &str) -> (String, String) {
    (id.into(), format!("Bearer {key}"))
}

// Limiters and breaker were forgotten: requests waited a minute at the first model while the second was idle.
#[tokio::test(start_paused = true)]
async fn limiters_and_breaker_are_consulted_by_any_chain() {
    let stack = stack().build().unwrap();
    let router = stack.router().unwrap();
    router.set_chain(Chain::new(models("k2"))).unwrap();
    assert_eq!(served(&stack).await, by("openai/a", "k2"));
    assert_eq!(served(&stack).await, by("openai/b", "k2"));
    let chain = Chain::new(models("k2")).order(Order::Headroom);
    router.set_chain(chain).unwrap();
    // The chain in use has them already.
    router.set_chain(router.chain()).unwrap();
    let consulted = format!("{:?}", router.chain());
    assert!(consulted.contains("Consulted(2)"), "{consulted}");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_replaced_for_all_models_of_a_provider_and_nothing_is_forgotten() {
    let stack = stack()
        .fallback(|chain| chain.order(Order::Fastest).max_attempts(7))
        .build()
        .unwrap();
    let router = stack.router().unwrap();
    let failure = Failure::new(FailureKind::Overloaded).with_retry_after(Duration::from_secs(60));
    assert_eq!(served(&stack).await, by("openai/a", "k1"));
    stack.cooldowns().cool(&models("k1")[0], &failure);
    let before = router.upstreams()[0].time_to_answer;
    assert!(before.is_some());

    assert!(router.set_key("openai", "k2").unwrap());
    assert_eq!(served(&stack).await, by("openai/b", "k2"));
    let first = &router.upstreams()[0];
    assert_eq!(first.time_to_answer, before);
    assert_eq!(first.cooling, Some(Duration::from_secs(60)));
    assert_eq!(stack.limiter().status("openai/a").limits[0].used, 1);
    let chain = format!("{:?}", router.chain());
    assert!(
        chain.contains("Fastest") && chain.contains("Some(7)"),
        "{chain}"
    );

    assert!(!router.set_key("groq", "k3").unwrap());
    let error = router.set_key("openai", "sk-\nbad").unwrap_err();
    assert!(!error.to_string().contains("bad"), "{error}");
    assert_eq!(served(&stack).await, by("openai/b", "k2"));
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_ends_with_the_key_that_it_began_with() {
    let stack = stack().build().unwrap();
    let router = stack.router().unwrap().clone();
    let keys = Arc::<Mutex<Vec<String>>>::default();
    let seen = keys.clone();
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let key = request.headers()["authorization"].to_str().unwrap();
        let mut seen = seen.lock().unwrap();
        seen.push(key.to_owned());
        // Before the retry of the first.
        router.set_key("openai", "k2").unwrap();
        let status = if seen.len() == 1 { 500 } else { 200 };
        let answer = Response::builder().status(status);
        let answer = answer.body(Full::<Bytes>::default());
        async move { Ok::<_, BoxError>(answer?) }
    });
    let service = stack.layer().layer(client);
    for _ in 0..2 {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(
        *keys.lock().unwrap(),
        ["Bearer k1", "Bearer k1", "Bearer k2"]
    );
}

#[test]
fn a_key_that_was_replaced_is_no_longer_told_to_be_that_of_a_variable() {
    let text = r#"{"upstreams": [{"provider": "openai", "models": ["gpt-4o-mini"]}]}"#;
    let builder = StackBuilder::from_json(text, |_| Some("sk-1".into())).unwrap();
    let stack = builder.build().unwrap();
    assert!(stack.explain().contains("key: from OPENAI_API_KEY\n"));
    let router = stack.router().unwrap();
    router.set_key("openai", "sk-2").unwrap();
    assert!(stack.explain().contains("key: set in the program\n"));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_is_released_from_all_that_it_waits_for() {
    let stack = stack().build().unwrap();
    // Its one request of the minute is used up, which is not what is asked here.
    stack.limiter().reset("openai/a");
    let mut failure = Failure::new(FailureKind::QuotaExhausted);
    failure.account_wide = true;
    stack.cooldowns().cool(&models("k1")[1], &failure);
    stack.limiter().pause("openai/a", Duration::from_secs(60));
    stack.limiter().pause("openai/b", Duration::from_secs(60));
    assert!(!stack.release("openai/c") && !stack.release("openai"));
    assert!(stack.release("openai/a"));
    assert!(stack.cooldowns().list().is_empty());
    assert_eq!(served(&stack).await, by("openai/a", "k1"));
    let paused = |id| stack.limiter().status(id).paused.is_some();
    assert!(!paused("openai/a") && paused("openai/b"));
}
