//! What is held back, for how long, and what comes of an error that comes later.

use super::*;
use crate::{Provider, request::AttemptDeadline};

fn openrouter() -> Upstream {
    let provider = Provider::new("openrouter", "https://openrouter.ai/api/v1").unwrap();
    provider
        .dialect(crate::signal::Dialect::OpenRouter)
        .model("x/y")
}

fn asking() -> Request<Full<Bytes>> {
    let mut request = request();
    request.extensions_mut().insert(openrouter());
    request
}

pub(super) async fn answered(
    request: Request<Full<Bytes>>,
    kind: &str,
    pieces: impl Stream<Item = Piece> + Send + 'static,
) -> Response<ProviderBody<impl Body<Data = Bytes, Error = io::Error>>> {
    let answer = Response::builder().header(CONTENT_TYPE, kind);
    let mut answer = Some(answer.body(StreamBody::new(pieces.boxed())).unwrap());
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.take().unwrap();
        async { Ok::<_, BoxError>(answer) }
    });
    let service = ProviderLayer::new().layer(client);
    service.oneshot(request).await.unwrap()
}

/// Pieces, each after so many milliseconds.
fn late(pieces: impl IntoIterator<Item = (u64, Piece)>) -> impl Stream<Item = Piece> + Send {
    let pieces: Vec<_> = pieces.into_iter().collect();
    stream::iter(pieces).then(|(wait, piece)| async move {
        TokioClock.sleep_until(TokioClock.now() + ms(wait)).await;
        piece
    })
}

const JSON: &str = "application/json; charset=utf-8";
const EVENTS: &str = "text/event-stream";
/// In the shape of https://openrouter.ai/docs/api-reference/errors, which comes with status 200 once a model was at work.
const ALONE: &str = r#"{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"X"}},"user_id":"u"}"#;
const AMONG_CHOICES: &str = r#"{"id":"gen-1","choices":[{"index":0,"message":{"role":"assistant","content":"Once"},"finish_reason":"error","error":{"code":502,"message":"Provider disconnected"}}]}"#;
const REASON_ALONE: &str =
    r#"{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"error"}]}"#;

#[tokio::test(start_paused = true)]
async fn an_error_in_the_json_of_a_200_is_a_failure_of_the_upstream() {
    for body in [ALONE, AMONG_CHOICES, REASON_ALONE] {
        let (start, end) = body.split_at(40);
        for pieces in [
            vec![data(body)],
            vec![data("\n \n"), data(start), data(end)],
        ] {
            let whole = pieces.len() == 1;
            let response = answered(asking(), JSON, stream::iter(pieces)).await;
            // Of an answer in pieces the first one tells; what comes of the rest is seen at its end.
            match whole || start.contains("error") {
                true => assert_eq!(kind(&response), FailureKind::ServerError, "{body}"),
                false => assert!(outcome(&response).is_success(), "{body}"),
            }
            let is_failure = !outcome(&response).is_success();
            match response.collect().await {
                Ok(read) => {
                    assert!(is_failure, "{body}");
                    assert!(read.to_bytes().ends_with(body.as_bytes()));
                }
                Err(error) => {
                    assert!(!is_failure, "{body}");
                    let error = error.downcast_ref::<StreamError>();
                    assert_eq!(error, Some(&StreamError::ErrorEvent));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn json_that_has_no_error_in_it_is_passed_on_with_its_first_bytes() {
    for body in [
        r#"{"object":"response","status":"completed","error":null,"output":[]}"#,
        r#"{"choices":[{"message":{"content":"{\"error\":{\"code\":502}}"},"finish_reason":"stop"}],"error":{}}"#,
        r#"{"error":{"code":null,"message":null,"param":null},"status":"queued"}"#,
        "",
    ] {
        let response = answered(asking(), JSON, stream::iter([data(body)])).await;
        assert!(outcome(&response).is_success(), "{body}");
        assert_eq!(response.collect().await.unwrap().to_bytes(), body);
    }
    let begun = stream::iter([data("{\"choices\":")]).chain(stream::pending());
    let now = TokioClock.now();
    let response = answered(asking(), JSON, begun).await;
    assert!(outcome(&response).is_success());
    assert_eq!(TokioClock.now(), now);
}

#[tokio::test(start_paused = true)]
async fn no_json_is_held_back_for_longer_than_the_bound() {
    let start = TokioClock.now();
    let blanks = late((0..60).map(|_| (1_000, data("\n"))));
    let response = answered(asking(), JSON, blanks).await;
    assert!(outcome(&response).is_success());
    assert_eq!(TokioClock.now() - start, ms(10_000));
    let long = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(100_000));
    let endless = stream::iter([data(&long)]).chain(stream::pending());
    let response = answered(asking(), JSON, endless).await;
    assert_eq!(kind(&response), FailureKind::ServerError);
}

// What is fetched may be a record of something that failed, and of plain HTTP nobody knows what it means.
#[tokio::test(start_paused = true)]
async fn the_word_error_in_json_that_no_model_was_asked_for_says_nothing() {
    let mut fetch = asking();
    *fetch.method_mut() = http::Method::GET;
    let mut plain = asking();
    plain.extensions_mut().clear();
    let mut generic = asking();
    let provider = Provider::new("own", "https://example.com").unwrap();
    let provider = provider.dialect(crate::signal::Dialect::Generic);
    generic.extensions_mut().insert(Upstream::from(provider));
    let mut cancel = asking();
    *cancel.uri_mut() = "/v1/responses/resp_1/cancel".parse().unwrap();
    for request in [fetch, cancel, plain, generic] {
        for body in [ALONE, r#"{"text":"a job","error":{"message":"it failed"}}"#] {
            let mut copy = Request::new(Full::from("{}"));
            (*copy.method_mut(), *copy.uri_mut()) =
                (request.method().clone(), request.uri().clone());
            *copy.extensions_mut() = request.extensions().clone();
            let response = answered(copy, JSON, stream::iter([data(body)])).await;
            assert!(outcome(&response).is_success(), "{body}");
            assert_eq!(response.collect().await.unwrap().to_bytes(), body);
        }
    }
}

/// https://openrouter.ai/docs/api-reference/streaming: comments keep a connection alive until a provider answers.
fn pings(count: u64) -> impl Iterator<Item = (u64, Piece)> {
    (0..count).map(|_| (1_000, data(": PROCESSING\n\n")))
}

// A new user's test: the body ended well after an error event, where nothing but comments had come within the bound.
#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_after_it_was_passed_on_ends_with_an_error_also_without_content() {
    let ends = [
        (vec![data(OVERLOADED)], StreamError::ErrorEvent),
        (vec![data(OVERLOADED), data(DONE)], StreamError::ErrorEvent),
        (vec![], StreamError::Unterminated),
    ];
    for (end, expected) in ends {
        let pieces = pings(15).chain(end.into_iter().map(|piece| (0, piece)));
        let response = answered(asking(), EVENTS, late(pieces)).await;
        assert!(outcome(&response).is_success());
        let error = response.collect().await.unwrap_err();
        assert_eq!(error.downcast_ref::<StreamError>(), Some(&expected));
    }
}

// Within the bound, who made the call is told; the body is what the upstream sent.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_told_to_have_failed_ends_well() {
    let pieces = pings(5).chain([(0, data(OVERLOADED)), (0, data(DONE))]);
    let response = answered(asking(), EVENTS, late(pieces)).await;
    assert_eq!(kind(&response), FailureKind::Overloaded);
    assert!(response.collect().await.is_ok());
}

/// A new user's test: a stream whose head came at once, and whose first word after the attempt's time, was cut off and sent again.
#[tokio::test(start_paused = true)]
async fn nothing_is_held_back_until_its_attempt_is_cut_off() {
    for (left, held) in [(5_000, 4_900), (400, 350), (4, 2), (1, 0), (60_000, 10_000)] {
        for (kind, status) in [(EVENTS, 200), (JSON, 200), (JSON, 500)] {
            let mut request = asking();
            let start = TokioClock.now();
            let attempt = AttemptDeadline::new(start + ms(left), None);
            request.extensions_mut().insert(attempt);
            let answer = Response::builder()
                .status(status)
                .header(CONTENT_TYPE, kind);
            let silent = stream::pending::<Piece>().boxed();
            let mut answer = Some(answer.body(StreamBody::new(silent)).unwrap());
            let client = service_fn(move |_: Request<Full<Bytes>>| {
                let answer = answer.take().unwrap();
                async { Ok::<_, BoxError>(answer) }
            });
            let service = ProviderLayer::new().layer(client);
            let response = service.oneshot(request).await.unwrap();
            assert_eq!(TokioClock.now() - start, ms(held), "{left}");
            assert_eq!(outcome(&response).is_success(), status == 200);
        }
    }
}

// A server trusted the size, and sent an answer with a `content-length` and nothing behind it.
#[tokio::test(start_paused = true)]
async fn json_that_breaks_off_while_it_is_held_is_no_empty_answer() {
    let broken = Err(io::Error::other("reset"));
    let response = answered(asking(), JSON, stream::iter([broken])).await;
    assert_eq!(response.body().size_hint().exact(), None);
    assert!(!response.body().is_end_stream());
    assert!(response.collect().await.is_err());
}

// So it was with a stream that had ended before it began.
#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_it_began_is_no_empty_answer() {
    for text in ["", ": PROCESSING\n\n"] {
        let answer = Response::builder().header(CONTENT_TYPE, EVENTS);
        let body = Full::<Bytes>::from(text);
        let mut answer = Some(answer.body(LateEnd(body)).unwrap());
        let client = service_fn(move |_: Request<Full<Bytes>>| {
            let answer = answer.take().unwrap();
            async { Ok::<_, BoxError>(answer) }
        });
        let response = ProviderLayer::new().layer(client).oneshot(asking()).await;
        let response = response.unwrap();
        assert_eq!(kind(&response), FailureKind::Transport);
        assert_eq!(response.body().size_hint().exact(), None, "{text}");
        assert!(!response.body().is_end_stream());
        let error = response.collect().await.unwrap_err();
        assert!(error.is::<StreamError>());
    }
}

/// Knows its size, and that it is at its end only when it has said so.
struct LateEnd(Full<Bytes>);

impl Body for LateEnd {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

// A 204 may promise a length, of which nothing comes. Where its body is not at its end at once, hyper takes that for a mistake.
#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_is_not_held() {
    let answer = Response::builder().status(204).header(CONTENT_TYPE, JSON);
    let mut answer = Some(answer.body(Full::<Bytes>::default()).unwrap());
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.take().unwrap();
        async { Ok::<_, BoxError>(answer) }
    });
    let response = ProviderLayer::new().layer(client).oneshot(asking()).await;
    assert!(response.unwrap().body().is_end_stream());
}
