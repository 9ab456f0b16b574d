//! What failed, cut short or streaming answers leave behind in limits and circuits, through a whole stack.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt, service_fn};
use tower_upstream::{
    Error, Stack,
    clock::{Clock, TokioClock},
    stack::StackBuilder,
};

type Body = UnsyncBoxBody<Bytes, io::Error>;

fn stack(file: &str) -> Stack {
    let builder = StackBuilder::from_json(file, |_| Some("sk-a-key".into()));
    builder.expect("a good file").build().expect("a stack")
}

fn chat(more: &str) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model": "any", "messages": [{{"role": "user", "content": "Hello"}}]{more}}}"#
    );
    let request = Request::post("/v1/chat/completions");
    request.body(Full::from(body)).expect("a request")
}

fn answer(status: u16, kind: &'static str, body: Body) -> Response<Body> {
    let answer = Response::builder()
        .status(status)
        .header("content-type", kind);
    answer.body(body).expect("an answer")
}

fn json(status: u16, body: &'static str) -> Response<Body> {
    let body = Full::from(body).map_err(|never| match never {});
    answer(status, "application/json", body.boxed_unsync())
}

const GOOD: &str = r#"{"object": "chat.completion", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 100, "total_tokens": 105}}"#;

async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

/// Sends a request, and reads its answer to the end; returns the status, or the error.
async fn ask<S, B>(service: &S, request: Request<Full<Bytes>>) -> Result<u16, Error>
where
    S: tower::Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error> + Clone,
    B: http_body::Body,
{
    let response = service.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    let _ = response.into_body().collect().await;
    Ok(status)
}

// A key that is revoked for an hour: no provider bills a 401, but the limiter's estimates used up the month's money.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_for_an_hour_uses_up_no_money() {
    let stack = stack(
        r#"{"upstreams": [{"provider": "openai", "models": ["gpt-4o"], "quota": {"money": "1.00/month"}}],
            "rate_limit": {"max_wait": "1s"}}"#,
    );
    let sent = Arc::new(AtomicUsize::new(0));
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = match sent.fetch_add(1, Ordering::Relaxed) {
            0..40 => json(
                401,
                r#"{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}"#,
            ),
            _ => json(200, GOOD),
        };
        async { Ok::<_, io::Error>(answer) }
    });
    let service = stack.layer().layer(client);
    for number in 0..41 {
        let status = ask(&service, chat(r#", "max_tokens": 4000"#)).await;
        let expected = if number < 40 { 401 } else { 200 };
        assert_eq!(status.expect("an answer"), expected, "request {number}");
        sleep(Duration::from_secs(90)).await;
    }
}

// Two attempts that an overloaded upstream refused kept their tokens, so that the third waited a minute for them.
#[tokio::test(start_paused = true)]
async fn a_retry_does_not_wait_for_the_tokens_of_refused_attempts() {
    let stack = stack(
        r#"{"upstreams": [{"provider": "openai", "models": ["m"], "quota": {"tokens": "10000/minute"}}],
            "retry": {"jitter": "none"}}"#,
    );
    let sent = Arc::new(AtomicUsize::new(0));
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = match sent.fetch_add(1, Ordering::Relaxed) {
            0..2 => json(503, "{}"),
            _ => json(200, GOOD),
        };
        async { Ok::<_, io::Error>(answer) }
    });
    let service = stack.layer().layer(client);
    let start = TokioClock.now();
    let status = ask(&service, chat(r#", "max_tokens": 4000"#)).await;
    assert_eq!(status.expect("an answer"), 200);
    let took = TokioClock.now() - start;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Nobody listens there: nothing was sent.
#[tokio::test]
async fn a_connection_that_was_refused_costs_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("its address");
    drop(closed);
    let stack = stack(&format!(
        r#"{{"providers": {{"p": {{"base_url": "http://{address}/v1"}}}},
            "upstreams": [{{"provider": "p", "models": ["m"], "quota": {{"requests": "10/minute", "tokens": "10000/minute"}}}}],
            "retry": "off"}}"#,
    ));
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = stack.layer().layer(client);
    let error = ask(&service, chat(r#", "max_tokens": 4000"#)).await;
    let error = error.expect_err("nobody listens");
    let used = stack.limiter().status("p/m").limits;
    assert!(used.iter().all(|limit| limit.used == 0), "{used:?}");
    assert!(error.is_unsent(), "{error:?}");
}

/// A stream of so many pieces, one a second.
fn streamed(pieces: usize) -> Response<Body> {
    let piece = || {
        Bytes::from_static(b"data: {\"object\": \"chat.completion.chunk\", \"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n")
    };
    let pieces = stream::iter(0..pieces).then(move |_| async move {
        sleep(Duration::from_secs(1)).await;
        Ok(Frame::data(piece()))
    });
    let end = stream::iter([Ok(Frame::data(Bytes::from_static(b"data: [DONE]\n\n")))]);
    answer(
        200,
        "text/event-stream",
        StreamBody::new(pieces.chain(end)).boxed_unsync(),
    )
}

// An upstream that fails for 30 s, with streams of two minutes: for as long as the probes streamed, all others were refused.
#[tokio::test(start_paused = true)]
async fn probes_that_stream_for_minutes_do_not_keep_out_everybody_else_for_as_long() {
    let stack =
        stack(r#"{"upstreams": [{"provider": "openai", "models": ["m"]}], "retry": "off"}"#);
    let start = TokioClock.now();
    let since = move |now: Instant| now - start;
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let is_well = since(TokioClock.now()) >= Duration::from_secs(30);
        let answer = if is_well {
            streamed(120)
        } else {
            json(500, "{}")
        };
        async { Ok::<_, io::Error>(answer) }
    });
    let service = stack.layer().layer(client);
    let calls = (0..200).map(|second| {
        let service = service.clone();
        async move {
            sleep(Duration::from_secs(second)).await;
            let answered = ask(&service, chat(r#", "stream": true"#)).await;
            (!matches!(answered, Ok(200))).then_some(second)
        }
    });
    let refused: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
    // Open for at most 66 s, three probes, 10 s of their streams.
    let last = refused.last().copied();
    assert!(
        last.is_some_and(|last| (60..90).contains(&last)),
        "{refused:?}"
    );
}
