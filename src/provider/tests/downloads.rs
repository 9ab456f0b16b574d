//! What is no answer of a model passes as it is: files, records of what has been, transcripts in plain text.

use super::{held::answered, *};

fn fetch(path: &str) -> Request<Full<Bytes>> {
    let mut fetch = Request::get(path).body(Full::default()).unwrap();
    fetch.extensions_mut().insert(upstream());
    fetch
}

fn ask(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut ask = Request::post(path).body(Full::from(body)).unwrap();
    ask.extensions_mut().insert(upstream());
    ask
}

/// What the body came to, whole or broken, and the tokens that it told.
async fn read<B>(response: Response<B>) -> (Result<Bytes, Option<StreamError>>, Option<u64>)
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    assert!(outcome(&response).is_success());
    let cell = response.extensions().get::<UsageCell>().cloned();
    let body = response.collect().await.map(|body| body.to_bytes());
    let body = body.map_err(|error| error.downcast_ref().copied());
    (body, cell.and_then(|cell| cell.get()?.total()))
}

const RESULT: &str = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":5000,"output_tokens":2000}}}}"#;
const ERRED: &str = r#"{"custom_id":"b","result":{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}}}"#;
const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";

/// A user's test: five downloads of results, each of which ended with an error, opened the circuit for all chats.
#[tokio::test(start_paused = true)]
async fn what_is_fetched_is_whole_and_uses_nothing() {
    for (kind, body) in [
        ("application/x-jsonl", format!("{RESULT}\n{ERRED}\n")),
        ("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n".to_owned()),
        ("application/octet-stream", format!("{RESULT}\n")),
        ("application/json", format!("[{RESULT},{ERRED}]")),
        ("text/plain", "data: the new oil\n".to_owned()),
        ("text/csv", "error,1\n".to_owned()),
        // A feed of events has no last word that anybody knows.
        ("text/event-stream", EVENT.to_owned()),
        ("text/event-stream", "event: error\ndata: x\n\n".to_owned()),
    ] {
        let pieces = stream::iter([data(&body)]);
        let response = answered(fetch("/v1/messages/batches/b/results"), kind, pieces).await;
        assert_eq!(read(response).await, (Ok(body.into()), None), "{kind}");
    }
    let now = TokioClock.now();
    let feed = stream::iter([data(": hello\n\n")]).chain(stream::pending());
    let response = answered(fetch("/v1/x"), "text/event-stream", feed).await;
    assert!(outcome(&response).is_success());
    assert_eq!(TokioClock.now(), now, "it is not held back");
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_plain_text_is_no_stream_whatever_it_begins_with() {
    for body in [
        "data: the new oil\n",
        "event: error\ndata: party\n",
        "id: 5 is my number",
        ": hm\n",
        "error,1\n",
    ] {
        for kind in [
            "text/plain; charset=utf-8",
            "text/csv",
            "application/json",
            "",
        ] {
            let pieces = stream::iter([data(body)]);
            let response = answered(ask("/v1/audio/transcriptions", "--B--"), kind, pieces).await;
            assert_eq!(read(response).await, (Ok(body.into()), None), "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_asked_for_is_one_whatever_it_is_called() {
    let asking = || ask("/v1/chat/completions", r#"{"stream":true}"#);
    for kind in [
        "text/plain",
        "application/json",
        "application/octet-stream",
        "",
    ] {
        let pieces = stream::iter([data(EVENT)]);
        let cut = read(answered(asking(), kind, pieces).await).await;
        assert_eq!(cut, (Err(Some(StreamError::Unterminated)), None), "{kind}");
        let pieces = stream::iter([EVENT, USAGE, DONE].map(data));
        let (body, used) = read(answered(asking(), kind, pieces).await).await;
        assert_eq!((body.is_ok(), used), (true, Some(9)), "{kind}");
        let pieces = stream::iter([data("Hello")]);
        let plain = read(answered(asking(), kind, pieces).await).await;
        assert_eq!(plain, (Ok("Hello".into()), None), "{kind}");
    }
    // Where no upstream was chosen, the intake has read what was asked for.
    let body = Bytes::from_static(br#"{"stream":true}"#);
    let mut plain = Request::post("/").body(Full::from(body.clone())).unwrap();
    plain
        .extensions_mut()
        .insert(crate::outline::Outline::of(&body).unwrap());
    let pieces = stream::iter([EVENT, USAGE, DONE].map(data));
    let (_, used) = read(answered(plain, "text/plain", pieces).await).await;
    assert_eq!(used, Some(9));
}

/// A user's test: four counts of 60,000 tokens stood in line for minutes behind a limit of 100,000.
#[tokio::test(start_paused = true)]
async fn tokens_that_were_only_counted_are_not_used() {
    for (path, body) in [
        ("/v1/messages/count_tokens", r#"{"input_tokens":60000}"#),
        ("/v1/responses/input_tokens", r#"{"input_tokens":60000}"#),
        ("/v1beta/models/m:countTokens", r#"{"totalTokens":60000}"#),
        (
            "/tokenize",
            r#"{"count":2,"tokens":[1,2],"total_tokens":60000}"#,
        ),
    ] {
        let pieces = stream::iter([data(body)]);
        let response = answered(ask(path, "{}"), "application/json", pieces).await;
        assert_eq!(read(response).await, (Ok(body.into()), None), "{path}");
    }
}
