//! What the layer tells of the end of each request: once, on every path.

use std::{
    future::{pending, ready},
    time::Duration,
};

use futures::FutureExt;
use tower_service::Service;

use super::*;
use crate::{
    Cost, Money, Price,
    clock::ManualClock,
    observe::{Event, Receipt},
    outcome::Usage,
    request::AttemptDeadline,
};

/// Every receipt, in words that are short enough to compare.
#[derive(Clone, Default)]
struct Receipts(Arc<Mutex<Vec<String>>>);

impl Receipts {
    fn layer(&self, clock: &ManualClock) -> ProviderLayer {
        let told = self.0.clone();
        let observer = move |event: &Event<'_>| {
            if let Event::Ended(receipt) = event {
                told.lock().unwrap().push(words(receipt));
            }
        };
        ProviderLayer::new().clock(clock.clone()).observe(observer)
    }

    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn words(receipt: &Receipt<'_>) -> String {
    let Receipt { end, status, .. } = receipt;
    let failure = end.failure().map_or("", FailureKind::as_str);
    let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let usage = receipt
        .usage
        .total()
        .map_or("?".to_owned(), |total| total.to_string());
    format!("{} {failure} {status} {usage}", end.as_str())
}

/// What is told of an answer of these pieces, whose body is read as far as `frames` says.
async fn told_of(status: u16, kind: &str, pieces: Vec<Piece>, frames: usize) -> Vec<String> {
    let receipts = Receipts::default();
    let answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind);
    let mut answer = Some(answer.body(StreamBody::new(stream::iter(pieces))).unwrap());
    let client =
        service_fn(move |_: Request<Full<Bytes>>| ready(Ok::<_, BoxError>(answer.take().unwrap())));
    let service = receipts.layer(&ManualClock::new()).layer(client);
    let mut response = service.oneshot(request()).await.unwrap();
    for _ in 0..frames {
        let _ = response.frame().await;
    }
    drop(response);
    receipts.told()
}

const JSON: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

#[tokio::test]
async fn every_request_has_one_receipt_however_it_ends() {
    let (json, events) = ("application/json", "text/event-stream");
    let stream = || {
        vec![
            data(FIRST),
            data(&chunk("a")),
            data(LAST),
            data(USAGE),
            data(DONE),
        ]
    };
    for (told, status, kind, pieces, frames) in [
        ("answered  200 9", 200, json, vec![data(JSON)], 9),
        (
            "cancelled  200 ?",
            200,
            json,
            vec![data(&JSON[..30]), data(&JSON[30..])],
            1,
        ),
        ("cancelled  200 ?", 200, json, vec![data(JSON)], 0),
        (
            "broken  200 ?",
            200,
            json,
            vec![data(&JSON[..30]), cut()],
            9,
        ),
        ("answered  200 9", 200, events, stream(), 9),
        // A reader that stops at the last word.
        ("answered  200 9", 200, events, stream(), 5),
        // One that stops at the reason to stop: the answer was whole, what it used was still to come.
        ("answered  200 ?", 200, events, stream(), 3),
        ("cancelled  200 ?", 200, events, stream(), 2),
        ("cancelled  200 ?", 200, events, stream(), 0),
        (
            "broken  200 ?",
            200,
            events,
            vec![data(FIRST), data(&chunk("a")), cut()],
            9,
        ),
        (
            "broken  200 ?",
            200,
            events,
            vec![data(&chunk("a")), data(OVERLOADED)],
            9,
        ),
        (
            "broken  200 ?",
            200,
            events,
            vec![data(FIRST), data(&chunk("a"))],
            9,
        ),
        (
            "failed overloaded 200 ?",
            200,
            events,
            vec![data(OVERLOADED)],
            0,
        ),
        (
            "failed overloaded 200 ?",
            200,
            json,
            vec![data(&OVERLOADED["data: ".len()..])],
            9,
        ),
        ("failed transport 200 ?", 200, events, vec![cut()], 0),
        ("failed rate_limited 429 ?", 429, json, vec![data("{}")], 0),
        (
            "failed server_error 500 ?",
            500,
            json,
            vec![data("no"), cut()],
            9,
        ),
    ] {
        let shown = format!("{told}, read as far as {frames}");
        assert_eq!(
            told_of(status, kind, pieces, frames).await,
            [told],
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_empty_answer_has_ended_before_anybody_reads_it() {
    let receipts = Receipts::default();
    let client = service_fn(|_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let service = receipts.layer(&ManualClock::new()).layer(client);
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(receipts.told(), ["answered  200 ?"]);
    drop(response);
    assert_eq!(receipts.told().len(), 1);
}

#[tokio::test]
async fn a_call_without_an_answer_tells_why_and_one_that_is_dropped_tells_that() {
    let receipts = Receipts::default();
    let layer = receipts.layer(&ManualClock::new());
    let refuses = service_fn(|_: Request<Full<Bytes>>| {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        ready(Err::<Response<Full<Bytes>>, _>(error))
    });
    layer.layer(refuses).oneshot(request()).await.unwrap_err();
    let never = service_fn(|_: Request<Full<Bytes>>| {
        pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let service = layer.layer(never);
    assert!(service.clone().oneshot(request()).now_or_never().is_none());
    // Dropped before it was ever polled: it may have been sent all the same.
    drop(service.clone().call(request()));
    assert_eq!(
        receipts.told(),
        ["failed transport - ?", "cancelled  - ?", "cancelled  - ?"]
    );
}

/// A future that is dropped learns no reason: the layer that cuts attempts off leaves word of it.
#[test]
fn an_attempt_that_was_cut_off_for_its_time_is_told_as_a_timeout() {
    let (receipts, clock) = (Receipts::default(), ManualClock::new());
    let never = service_fn(|_: Request<Full<Bytes>>| {
        pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let service = receipts.layer(&clock).layer(never);
    for waited in [Duration::from_millis(4_999), Duration::from_secs(5)] {
        let mut request = request();
        let end = AttemptDeadline::new(clock.now() + Duration::from_secs(5), None);
        request.extensions_mut().insert(end);
        let mut call = Box::pin(service.clone().oneshot(request));
        assert!((&mut call).now_or_never().is_none());
        clock.advance(waited);
    }
    assert_eq!(receipts.told(), ["cancelled  - ?", "failed timeout - ?"]);
}

#[tokio::test]
async fn a_receipt_is_fit_for_billing() {
    let clock = ManualClock::new();
    let seen = Arc::new(Mutex::new(None));
    let told = seen.clone();
    let observer = move |event: &Event<'_>| {
        let Event::Ended(receipt) = event else {
            panic!("{event:?}");
        };
        assert_eq!(
            (receipt.upstream, receipt.provider),
            ("groq/llama-test", "groq")
        );
        assert_eq!((receipt.model, receipt.operation), ("llama-test", "chat"));
        assert!(receipt.is_stream);
        *told.lock().unwrap() = Some(Receipt {
            upstream: "",
            provider: "",
            model: "",
            operation: "",
            is_stream: false,
            ..**receipt
        });
    };
    let time = clock.clone();
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let time = time.clone();
        time.advance(ms(100));
        let usage = USAGE.replace(
            r#""total_tokens":9"#,
            r#""prompt_tokens_details":{"cached_tokens":4}"#,
        );
        let last = LAST.replace("stop", "length");
        let pieces = [FIRST, &chunk("a"), &last, &usage, DONE].map(data);
        let pieces = stream::iter(pieces).inspect(move |_| time.advance(ms(10)));
        let answer = Response::builder().header(CONTENT_TYPE, "text/event-stream");
        ready(Ok::<_, BoxError>(
            answer.body(StreamBody::new(pieces)).unwrap(),
        ))
    });
    let price = Price::default()
        .input(Money::from_cents(100))
        .cached_input(Money::from_cents(50))
        .output(Money::from_cents(200));
    let mut request = request();
    request.extensions_mut().insert(upstream().price(price));
    request.extensions_mut().insert(Cost::tokens(1_000, 1_000));
    let layer = ProviderLayer::new().clock(clock).observe(observer);
    let response = layer.layer(client).oneshot(request).await.unwrap();
    response.collect().await.unwrap();
    let receipt = seen.lock().unwrap().take().unwrap();
    let expected = Receipt {
        status: Some(200),
        head_after: Some(ms(100)),
        content_after: Some(ms(120)),
        took: ms(150),
        usage: Usage {
            input_tokens: Some(7),
            cached_tokens: Some(4),
            output_tokens: Some(2),
            total_tokens: None,
            // Groq holds what came out of its cache against no limit.
            uncounted_tokens: Some(4),
            ..Usage::default()
        },
        // 3 at 1.00, 4 at 0.50 and 2 at 2.00 a million.
        money: Some(Money::from_nanos(9_000)),
        is_truncated: true,
        ..Receipt::new("", crate::observe::End::Answered)
    };
    assert_eq!(receipt, expected);
}

#[tokio::test]
async fn a_compressed_answer_has_a_receipt_without_a_usage() {
    let receipts = Receipts::default();
    let client = service_fn(|_: Request<Full<Bytes>>| {
        let answer = Response::builder().header("content-encoding", "gzip");
        let body = Full::<Bytes>::from("\u{1f}binary");
        ready(Ok::<_, BoxError>(answer.body(body).unwrap()))
    });
    let service = receipts.layer(&ManualClock::new()).layer(client);
    let response = service.oneshot(request()).await.unwrap();
    response.collect().await.unwrap();
    assert_eq!(receipts.told(), ["answered  200 ?"]);
}
