//! What answers say they used, and that they failed, in the shapes of single providers: what the whole stack makes of it.

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    Limit, Money, Price, Provider, Quota, RetryPolicy, ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer in these pieces, each after so many milliseconds.
fn answer(kind: &str, pieces: Vec<(u64, String)>) -> Response<Body> {
    let pieces = stream::iter(pieces).then(|(wait, piece)| async move {
        let at = TokioClock.now() + Duration::from_millis(wait);
        TokioClock.sleep_until(at).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from(piece)))
    });
    let answer = Response::builder().header("content-type", kind);
    let body = StreamBody::new(pieces).boxed_unsync();
    answer.body(body).expect("an answer")
}

fn json(body: &str) -> Response<Body> {
    answer("application/json", vec![(0, body.to_owned())])
}

fn ask(path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("content-type", "application/json");
    request
        .body(Full::from(body.to_owned()))
        .expect("a request")
}

fn anthropic(quota: Quota) -> Upstream {
    let provider = Provider::anthropic().key("k").expect("a key");
    provider.model("claude").quota(quota).expect("a quota")
}

fn used(stack: &Stack, key: &str) -> Vec<u64> {
    let limits = stack.limiter().status(key).limits;
    limits.iter().map(|limit| limit.used).collect()
}

const MESSAGE: &str =
    r#"{"model":"x","max_tokens":4000,"messages":[{"role":"user","content":"Hello"}]}"#;

/// Anthropic bills what was written to its cache and what was read from it, and holds what was read against no limit
/// (https://docs.claude.com/en/docs/build-with-claude/prompt-caching, https://docs.claude.com/en/api/rate-limits).
#[tokio::test(start_paused = true)]
async fn what_went_into_a_cache_is_paid_and_counted_and_what_came_out_of_it_is_paid() {
    let quota = Quota::new()
        .limit(Limit::input_tokens(100_000).per_minute())
        .limit(Limit::tokens(100_000).per_minute())
        .limit(Limit::money(Money::from_cents(100)).per_day());
    let price = Price::default()
        .input(Money::from_cents(300))
        .cached_input(Money::from_cents(30))
        .output(Money::from_cents(1_500));
    let whole = r#"{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"cache_creation_input_tokens":2000,"cache_read_input_tokens":50000,"output_tokens":100}}"#;
    let events = [
        r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":5,"cache_creation_input_tokens":2000,"cache_read_input_tokens":50000,"output_tokens":1}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":100}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let streamed = events.map(|event| (0, format!("data: {event}\n\n")));
    for (kind, pieces) in [
        ("application/json", vec![(0, whole.to_owned())]),
        ("text/event-stream", streamed.to_vec()),
    ] {
        let upstream = anthropic(quota.clone()).price(price);
        let stack = Stack::builder()
            .upstream(upstream)
            .build()
            .expect("a stack");
        let client = service_fn(|_: Request<Full<Bytes>>| {
            ready(Ok::<_, Infallible>(answer(kind, pieces.clone())))
        });
        let call = stack.layer().layer(client);
        let response = call.oneshot(ask("/v1/messages", MESSAGE)).await;
        response
            .expect("an answer")
            .collect()
            .await
            .expect("a body");
        // 2,005 at 3.00 a million, 50,000 at 0.30 and 100 at 15.00.
        let money = Money::from_nanos(22_515_000);
        assert_eq!(
            used(&stack, "anthropic/claude"),
            [2_005, 2_105, money.nanos()]
        );
        let stats = stack.stats().snapshot();
        let row = stats.upstreams.values().next().expect("a row");
        assert_eq!((row.input_tokens, row.cached_tokens), (52_005, 50_000));
        assert_eq!(row.money, money);
    }
}

/// The first figures of Anthropic's streams are told before a word is
/// (https://docs.claude.com/en/docs/build-with-claude/streaming): a stream that broke off was settled by them.
#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_is_counted_as_it_was_reckoned() {
    let start = r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":25,"output_tokens":1}}}"#;
    let word =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"word "}}"#;
    let quota = Quota::new().limit(Limit::output_tokens(100_000).per_minute());
    let stack = Stack::builder().upstream(anthropic(quota));
    let stack = stack.build().expect("a stack");
    let client = service_fn(|_: Request<Full<Bytes>>| {
        let words = std::iter::repeat_n(word, 3_000);
        let events = std::iter::once(start).chain(words);
        let pieces = events.map(|event| (1, format!("data: {event}\n\n")));
        ready(Ok::<_, Infallible>(answer(
            "text/event-stream",
            pieces.collect(),
        )))
    });
    let call = stack.layer().layer(client);
    let response = call.oneshot(ask("/v1/messages", MESSAGE)).await;
    response.expect("an answer").collect().await.unwrap_err();
    assert_eq!(used(&stack, "anthropic/claude"), [4_000]);
}

const CHAT: &str =
    r#"{"model":"x","max_tokens":1000,"messages":[{"role":"user","content":"Hello"}]}"#;

/// As Clarifai/clarifai-python#978 found of Gemini's endpoint in OpenAI's format: thoughts are in the total alone.
#[tokio::test(start_paused = true)]
async fn thoughts_that_only_the_total_tells_of_are_counted_and_paid_as_output() {
    let quota = Quota::new()
        .limit(Limit::tokens(100_000).per_minute())
        .limit(Limit::output_tokens(100_000).per_minute())
        .limit(Limit::money(Money::from_cents(100)).per_day());
    let price = Price::default().output(Money::from_cents(100));
    let provider = Provider::gemini().key("k").expect("a key");
    let upstream = provider.model("pro").quota(quota).expect("a quota");
    let stack = Stack::builder().upstream(upstream.price(price));
    let stack = stack.build().expect("a stack");
    let client = service_fn(|_: Request<Full<Bytes>>| {
        let body = r#"{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":50,"total_tokens":860}}"#;
        ready(Ok::<_, Infallible>(json(body)))
    });
    let call = stack.layer().layer(client);
    let response = call.oneshot(ask("/v1/chat/completions", CHAT)).await;
    response
        .expect("an answer")
        .collect()
        .await
        .expect("a body");
    assert_eq!(used(&stack, "gemini/pro"), [860, 850, 850_000]);
}

/// https://openrouter.ai/docs/api-reference/errors: once a model is at work, an error comes with status 200.
#[tokio::test(start_paused = true)]
async fn an_error_in_a_200_is_served_elsewhere() {
    let router = Provider::new("router", "http://router/v1").expect("a URL");
    let other = Provider::new("other", "http://other/v1").expect("a URL");
    let stack = Stack::builder()
        .upstream(router.model("m"))
        .upstream(other.model("m"))
        .build()
        .expect("a stack");
    let client = service_fn(|request: Request<Full<Bytes>>| {
        let body = match request.uri().host() {
            Some("router") => r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
            _ => r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#,
        };
        ready(Ok::<_, Infallible>(json(body)))
    });
    let call = stack.layer().layer(client);
    let response = call.oneshot(ask("/v1/chat/completions", CHAT)).await;
    let response = response.expect("an answer");
    let by = response.extensions().get::<ServedBy>().expect("somebody");
    assert_eq!(by.0.id(), "other/m");
}

/// A new user's test: `attempt_timeout` waits for the head, which had come at once; the first word came a second after it.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_has_begun_to_answer_has_answered_in_time() {
    let provider = Provider::new("p", "http://host/v1").expect("a URL");
    let policy = RetryPolicy::llm().attempt_timeout(Duration::from_secs(5));
    let stack = Stack::builder().upstream(provider.model("m")).retry(policy);
    let stack = stack.build().expect("a stack");
    let sent = Arc::new(AtomicU32::new(0));
    let counted = sent.clone();
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let word = r#"data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}"#;
        let pings = (0..6).map(|_| (1_000, ": ping\n\n".to_owned()));
        let pieces = pings.chain([
            (0, format!("{word}\n\n")),
            (0, "data: [DONE]\n\n".to_owned()),
        ]);
        ready(Ok::<_, Infallible>(answer(
            "text/event-stream",
            pieces.collect(),
        )))
    });
    let call = stack.layer().layer(client);
    let start = TokioClock.now();
    let response = call.oneshot(ask("/v1/chat/completions", CHAT)).await;
    let response = response.expect("an answer");
    assert!(TokioClock.now() - start < Duration::from_secs(5));
    response.collect().await.expect("a body");
    assert_eq!(sent.load(Ordering::Relaxed), 1);
}
