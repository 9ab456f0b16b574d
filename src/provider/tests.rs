//! The layer, on paused time, over answers in the shapes that providers send.

use std::{convert::Infallible, io, sync::Arc, sync::Mutex, task::Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    error::BoxError,
    outcome::{FailureKind, Outcome, UsageCell},
    signal::FailureRule,
    testing::ms,
    upstream::{Provider, Upstream},
};

type Piece = Result<Frame<Bytes>, io::Error>;

fn upstream() -> Upstream {
    Provider::groq()
        .key("gsk_test")
        .unwrap()
        .model("llama-test")
}

fn request() -> Request<Full<Bytes>> {
    let mut request = Request::post("/v1/chat/completions")
        .body(Full::from(r#"{"model":"x"}"#))
        .unwrap();
    request.extensions_mut().insert(upstream());
    request
}

fn data(text: &str) -> Piece {
    Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
}

fn cut() -> Piece {
    Err(io::Error::from(io::ErrorKind::ConnectionReset))
}

/// What comes back through the layer when the provider answers so.
async fn through(
    status: u16,
    content_type: &str,
    pieces: impl Stream<Item = Piece> + Send + 'static,
) -> Response<ProviderBody<impl Body<Data = Bytes, Error = io::Error>>> {
    let answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type);
    let answer = answer.body(StreamBody::new(pieces.boxed())).unwrap();
    let mut answer = Some(answer);
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.take().unwrap();
        async { Ok::<_, BoxError>(answer) }
    });
    ProviderLayer::new()
        .layer(client)
        .oneshot(request())
        .await
        .unwrap()
}

fn outcome<B>(response: &Response<B>) -> Outcome {
    response.extensions().get::<Outcome>().unwrap().clone()
}

fn kind<B>(response: &Response<B>) -> FailureKind {
    outcome(response).failure().expect("a failure").kind
}

/// A login page with the status 200 counted as an answer.
#[tokio::test(start_paused = true)]
async fn a_page_in_place_of_an_answer_is_a_failure_that_others_may_serve() {
    for (status, form, is_failure) in [
        (200, "text/html", true),
        (203, "Text/HTML; charset=utf-8", true),
        (200, "application/json", false),
        (200, "text/plain", false),
    ] {
        let page = "<html>Please log in</html>";
        let response = through(status, form, stream::iter([data(page)])).await;
        let outcome = outcome(&response);
        assert_eq!(outcome.failure().is_some(), is_failure, "{form}");
        if let Some(failure) = outcome.failure() {
            assert_eq!(failure.kind, FailureKind::ServerError);
            assert!(failure.fall_back && !failure.retry_same);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, page, "it is given back whole");
    }
    // Where no provider was chosen, a page may well be what was asked for.
    let client = service_fn(async |_: Request<Full<Bytes>>| {
        let page = Response::builder().header(CONTENT_TYPE, "text/html");
        Ok::<_, BoxError>(page.body(Full::<Bytes>::from("<html>")).unwrap())
    });
    let service = ProviderLayer::new().layer(client);
    let plain = service.oneshot(Request::new(Full::default())).await;
    assert!(outcome(&plain.unwrap()).is_success());
}

/// A redirect to a login counted as an answer.
#[tokio::test(start_paused = true)]
async fn a_redirect_in_place_of_an_answer_is_a_failure_that_others_may_serve() {
    for status in [301, 302, 303, 307, 308] {
        let response = through(status, "text/plain", stream::iter([data("Moved")])).await;
        let outcome = outcome(&response);
        let failure = outcome.failure().expect("a failure");
        assert_eq!(failure.kind, FailureKind::ServerError, "{status}");
        assert!(failure.fall_back && !failure.retry_same, "{status}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "Moved", "it is given back whole");
    }
    // A file may lie elsewhere, and what plain HTTP means nobody knows.
    let mut fetch = request();
    *fetch.method_mut() = http::Method::GET;
    let mut plain = request();
    plain.extensions_mut().clear();
    for request in [fetch, plain] {
        let client = service_fn(async |_: Request<Full<Bytes>>| {
            let found = Response::builder().status(302);
            Ok::<_, BoxError>(found.body(Full::<Bytes>::default()).unwrap())
        });
        let response = ProviderLayer::new().layer(client).oneshot(request).await;
        assert!(outcome(&response.unwrap()).is_success());
    }
}

fn chunk(content: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

const FIRST: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const LAST: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const OVERLOADED: &str =
    "data: {\"error\":{\"message\":\"The model is overloaded\",\"type\":\"overloaded_error\"}}\n\n";

#[tokio::test(start_paused = true)]
async fn a_request_goes_to_the_upstream_that_was_chosen() {
    let seen = Arc::new(Mutex::new(None));
    let log = seen.clone();
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let log = log.clone();
        async move {
            let (parts, body) = request.into_parts();
            *log.lock().unwrap() = Some((parts, body.collect().await.unwrap().to_bytes()));
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }
    });
    ProviderLayer::new()
        .layer(client)
        .oneshot(request())
        .await
        .unwrap();
    let (parts, body) = seen.lock().unwrap().take().unwrap();
    assert_eq!(parts.uri, "https://api.groq.com/openai/v1/chat/completions");
    assert_eq!(parts.headers["authorization"], "Bearer gsk_test");
    assert_eq!(body, r#"{"model":"llama-test"}"#);
}

#[tokio::test(start_paused = true)]
async fn an_error_body_is_read_for_its_meaning_and_given_back_byte_for_byte() {
    let body = r#"{"error":{"message":"Rate limit reached for model `llama-test` in organization `org_1` on tokens per day (TPD): Limit 500000, Used 499900, Requested 900. Please try again in 2m18.24s.","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let (start, end) = body.split_at(100);
    let response = through(
        429,
        "application/json",
        stream::iter([data(start), data(end)]),
    )
    .await;
    let Outcome::Failure(failure) = outcome(&response) else {
        panic!("a failure")
    };
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert_eq!(failure.retry_after, Some(ms(138_240)));
    assert_eq!(response.collect().await.unwrap().to_bytes(), body);
}

#[tokio::test(start_paused = true)]
async fn a_long_error_body_is_read_ahead_up_to_the_bound_and_still_comes_whole() {
    let pieces = stream::iter((0..1_000).map(|_| data(&"x".repeat(1_000))));
    let response = through(500, "text/plain", pieces).await;
    assert_eq!(kind(&response), FailureKind::ServerError);
    assert_eq!(
        response.collect().await.unwrap().to_bytes().len(),
        1_000_000
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_body_that_stalls_holds_the_answer_up_no_longer_than_the_bound() {
    let start = TokioClock.now();
    let pieces = stream::iter([data("no")]).chain(stream::pending());
    let response = through(503, "text/plain", pieces).await;
    let took = TokioClock.now() - start;
    assert!((ms(10_000)..ms(10_010)).contains(&took), "{took:?}");
    assert_eq!(kind(&response), FailureKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn the_usage_of_an_answer_stands_in_its_extensions_when_the_body_has_ended() {
    let body = r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
    let response = through(
        200,
        "application/json",
        stream::iter([data(&body[..30]), data(&body[30..])]),
    )
    .await;
    assert!(outcome(&response).is_success());
    let cell = response.extensions().get::<UsageCell>().unwrap().clone();
    assert_eq!(cell.get(), None);
    assert_eq!(response.collect().await.unwrap().to_bytes(), body);
    assert_eq!(cell.get().unwrap().total(), Some(9));
}

#[tokio::test(start_paused = true)]
async fn a_stream_passes_whole_and_tells_its_usage() {
    let text = [FIRST, &chunk("a"), &chunk("b"), LAST, USAGE, DONE].concat();
    let pieces: Vec<_> = text
        .as_bytes()
        .chunks(7)
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let response = through(200, "text/event-stream", stream::iter(pieces)).await;
    assert!(outcome(&response).is_success());
    let cell = response.extensions().get::<UsageCell>().unwrap().clone();
    assert_eq!(response.collect().await.unwrap().to_bytes(), text);
    assert_eq!(cell.get().unwrap().output_tokens, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_passed_on_with_its_first_content_and_not_held_to_its_end() {
    let pieces = stream::iter([data(FIRST), data(&chunk("a"))]).chain(stream::pending());
    let start = TokioClock.now();
    let response = through(200, "text/event-stream; charset=utf-8", pieces).await;
    assert_eq!(TokioClock.now(), start);
    assert!(outcome(&response).is_success());
}

#[tokio::test(start_paused = true)]
async fn an_error_event_before_any_content_is_a_failure_of_the_upstream() {
    for pieces in [
        vec![data(OVERLOADED)],
        vec![data(FIRST), data(OVERLOADED), data(DONE)],
    ] {
        let response = through(200, "text/event-stream", stream::iter(pieces)).await;
        assert_eq!(kind(&response), FailureKind::Overloaded);
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_or_ends_before_any_content_is_a_failure_of_the_transport() {
    for pieces in [
        vec![data(FIRST), cut()],
        vec![cut()],
        vec![data(FIRST)],
        vec![],
    ] {
        let response = through(200, "text/event-stream", stream::iter(pieces)).await;
        assert_eq!(kind(&response), FailureKind::Transport);
    }
}

// Portkey#1797: an answer that was cut in the middle was reported as a clean 200.
#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_after_content_ends_with_an_error_that_says_so() {
    for (pieces, expected) in [
        (
            vec![data(&chunk("a")), data(OVERLOADED)],
            StreamError::ErrorEvent,
        ),
        (
            vec![data(&chunk("a")), data(OVERLOADED), data(DONE)],
            StreamError::ErrorEvent,
        ),
        (
            vec![data(FIRST), data(&chunk("a"))],
            StreamError::Unterminated,
        ),
    ] {
        let response = through(200, "text/event-stream", stream::iter(pieces)).await;
        assert!(outcome(&response).is_success());
        let error = response.collect().await.unwrap_err();
        assert_eq!(error.downcast_ref::<StreamError>(), Some(&expected));
    }
    let response = through(
        200,
        "text/event-stream",
        stream::iter([data(&chunk("a")), cut()]),
    )
    .await;
    let error = response.collect().await.unwrap_err();
    assert!(
        error.is::<io::Error>(),
        "the error of the transport comes as itself: {error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_upstream_goes_out_as_it_came() {
    let client = service_fn(|request: Request<Full<Bytes>>| async move {
        assert_eq!(request.uri(), "http://localhost/v1/x");
        assert_eq!(request.headers()["authorization"], "Bearer mine");
        let body = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no credit"}}"#;
        Ok::<_, Infallible>(
            Response::builder()
                .status(429)
                .body(Full::<Bytes>::from(body))
                .unwrap(),
        )
    });
    let request = Request::post("http://localhost/v1/x").header("authorization", "Bearer mine");
    let response = ProviderLayer::new()
        .layer(client)
        .oneshot(request.body(Full::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(kind(&response), FailureKind::QuotaExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_to_its_last_event_and_then_dropped_tells_its_usage() {
    let pieces = [FIRST, &chunk("a"), LAST, USAGE, DONE].map(data);
    let pieces = stream::iter(pieces).chain(stream::pending());
    let mut response = through(200, "text/event-stream", pieces).await;
    let cell = response.extensions().get::<UsageCell>().unwrap().clone();
    for _ in 0..5 {
        response.frame().await.unwrap().unwrap();
    }
    drop(response);
    assert_eq!(cell.get().unwrap().total(), Some(9));
}

/// Pieces, and a panic for whoever asks again after the last of them.
fn once(pieces: Vec<Piece>) -> impl Stream<Item = Piece> + Send {
    let mut pieces = Some(pieces.into_iter());
    stream::poll_fn(move |_| {
        let next = pieces.as_mut().expect("asked again after the end").next();
        if !matches!(next, Some(Ok(_))) {
            pieces = None;
        }
        Poll::Ready(next)
    })
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_ended_or_broken_is_not_asked_again() {
    for (status, pieces) in [
        (500, vec![data("no")]),
        (200, vec![data(FIRST)]),
        (200, vec![data(&chunk("a"))]),
        (200, vec![data(&chunk("a")), data(DONE)]),
        (200, vec![data(&chunk("a")), cut()]),
        (200, vec![cut()]),
    ] {
        let mut response = through(status, "text/event-stream", once(pieces)).await;
        while let Some(frame) = response.frame().await {
            let _ = frame;
        }
        assert!(response.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_without_a_byte_are_not_read_ahead_for_ever() {
    let pieces = stream::repeat_with(|| data(""));
    let response = through(500, "text/plain", pieces).await;
    assert_eq!(kind(&response), FailureKind::ServerError);
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_the_user_goes_before_those_of_the_crate() {
    let client = service_fn(|_: Request<Full<Bytes>>| async {
        let answer = Response::builder().status(400);
        Ok::<_, Infallible>(
            answer
                .body(Full::<Bytes>::from("engine is warming up"))
                .unwrap(),
        )
    });
    let rule = FailureRule::new(FailureKind::Overloaded).message("warming up");
    let response = ProviderLayer::new()
        .rule(rule)
        .layer(client)
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(kind(&response), FailureKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_passed_on_unread() {
    let client = service_fn(|_: Request<Full<Bytes>>| async {
        let answer = Response::builder()
            .status(500)
            .header("content-encoding", "gzip");
        Ok::<_, Infallible>(answer.body(Full::<Bytes>::from("\u{1f}binary")).unwrap())
    });
    let response = ProviderLayer::new()
        .layer(client)
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(kind(&response), FailureKind::ServerError);
    assert_eq!(response.collect().await.unwrap().to_bytes(), "\u{1f}binary");
}

mod downloads;
mod held;
mod receipts;
