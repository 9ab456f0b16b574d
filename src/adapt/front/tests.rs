use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::FrontLayer;
use crate::{
    clock::{Clock, TokioClock},
    error::BoxError,
    fallback::Preferences,
    outcome::{Failure, FailureKind, Outcome},
    outline::Outline,
    request::{Caller, Deadline},
    upstream::{Provider, ServedBy, Upstream},
};

const CHATS: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";

fn upstreams() -> [Upstream; 4] {
    let openai = Provider::openai().key("of-nobody").unwrap();
    [
        Provider::groq().key("of-nobody").unwrap().model("llama"),
        openai.model("gpt"),
        openai.model("text-embedding-3-small"),
        Provider::ollama().model("llama"),
    ]
}

fn asking(path: &str, body: &str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    Request::post(path).body(body).unwrap()
}

#[tokio::test]
async fn a_body_in_many_pieces_is_one_and_a_field_in_two_lines_keeps_both() {
    let body = r#"{"model":"llama"}"#;
    let pieces = body.as_bytes().chunks(1).flat_map(|byte| [byte, b""]);
    let pieces =
        pieces.map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
    let request = Request::post(CHATS)
        .header("tracestate", "a=1")
        .header("tracestate", "b=2")
        .body(StreamBody::new(futures::stream::iter(
            pieces.collect::<Vec<_>>(),
        )));
    let (sent, _) = passed(FrontLayer::new(&upstreams()), request.unwrap(), ok()).await;
    let (head, sent) = sent.unwrap().into_parts();
    assert_eq!(sent.collect().await.unwrap().to_bytes(), body);
    let states = head.headers.get_all("tracestate").iter();
    assert_eq!(states.collect::<Vec<_>>(), ["a=1", "b=2"]);
}

/// What the service inside is sent, and the answer of the front, with this one inside.
async fn passed<B>(
    front: FrontLayer,
    request: Request<B>,
    inside: Result<Response<Full<Bytes>>, BoxError>,
) -> (Option<Request<Full<Bytes>>>, Response<Bytes>)
where
    B: Body<Data: Send> + Send + 'static,
{
    let (sent, inside) = (
        Arc::new(Mutex::new(None)),
        Arc::new(Mutex::new(Some(inside))),
    );
    let sending = sent.clone();
    let inner = service_fn(move |request| {
        *sending.lock().unwrap() = Some(request);
        let answer = inside.lock().unwrap().take().unwrap();
        async move { answer }
    });
    let Ok(answer) = front.layer(inner).oneshot(request).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let sent = sent.lock().unwrap().take();
    (sent, Response::from_parts(head, body))
}

fn ok() -> Result<Response<Full<Bytes>>, BoxError> {
    Ok(Response::new(Full::from("answer")))
}

/// Status, code and param of an error in OpenAI's form.
fn told(answer: &Response<Bytes>) -> (u16, String, Value) {
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(body["error"]["message"].is_string());
    let code = body["error"]["code"].as_str().unwrap().to_owned();
    (
        answer.status().as_u16(),
        code,
        body["error"]["param"].clone(),
    )
}

#[tokio::test]
async fn a_model_is_asked_of_those_who_have_it() {
    for (path, model, ids) in [
        (CHATS, "llama", &["groq/llama", "ollama/llama"][..]),
        (CHATS, "ollama/llama", &["ollama/llama"]),
        (CHATS, "auto", &["groq/llama", "openai/gpt", "ollama/llama"]),
        (EMBEDDINGS, "auto", &["openai/text-embedding-3-small"]),
        (
            EMBEDDINGS,
            "text-embedding-3-small",
            &["openai/text-embedding-3-small"],
        ),
    ] {
        let request = asking(path, &json!({ "model": model, "x": [1] }).to_string());
        let (sent, answer) = passed(FrontLayer::new(&upstreams()), request, ok()).await;
        let sent = sent.unwrap();
        let wanted = Preferences::new().only(ids.iter().copied());
        assert_eq!(sent.extensions().get(), Some(&wanted), "{path} {model}");
        assert_eq!(sent.uri().path(), path);
        let outline: &Outline = sent.extensions().get().unwrap();
        let body = sent.body().clone().collect().await.unwrap().to_bytes();
        assert!(outline.is_of(&body), "the layers inside need not read it");
        assert_eq!(answer.body(), "answer");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_and_asked_of_nobody() {
    for (path, body, status, code, param) in [
        (CHATS, "", 400, "invalid_request", Value::Null),
        (CHATS, "{", 400, "invalid_request", Value::Null),
        (CHATS, "[]", 400, "invalid_request", Value::Null),
        (
            CHATS,
            r#"{"model":"gpt",}"#,
            400,
            "invalid_request",
            Value::Null,
        ),
        (
            CHATS,
            r#"{'model':"gpt"}"#,
            400,
            "invalid_request",
            Value::Null,
        ),
        (
            CHATS,
            r#"{"model":"gpt"} {}"#,
            400,
            "invalid_request",
            Value::Null,
        ),
        (
            CHATS,
            r#"{"x":{"model":"gpt"}}"#,
            400,
            "invalid_request",
            "model".into(),
        ),
        (CHATS, "{}", 400, "invalid_request", "model".into()),
        (
            CHATS,
            r#"{"model":7}"#,
            400,
            "invalid_request",
            "model".into(),
        ),
        (
            CHATS,
            r#"{"model":"m"}"#,
            404,
            "model_not_found",
            "model".into(),
        ),
        (
            EMBEDDINGS,
            r#"{"model":"gpt"}"#,
            404,
            "model_not_found",
            "model".into(),
        ),
        (
            CHATS,
            r#"{"model":"text-embedding-3-small"}"#,
            404,
            "model_not_found",
            "model".into(),
        ),
    ] {
        let front = FrontLayer::new(&upstreams());
        let (sent, answer) = passed(front, asking(path, body), ok()).await;
        assert_eq!(
            told(&answer),
            (status, code.to_owned(), param),
            "{path} {body}"
        );
        assert!(sent.is_none());
    }
}

#[tokio::test]
async fn only_what_concerns_the_other_side_goes_on_and_comes_back() {
    let mut request = asking("/v1/chat/completions?a=b", r#"{"model":"gpt"}"#);
    *request.version_mut() = http::Version::HTTP_10;
    for (name, value) in [
        ("content-type", "application/json"),
        ("traceparent", "00-1-1-01"),
        ("authorization", "Bearer of-the-caller"),
        ("cookie", "c=1"),
        ("x-forwarded-for", "192.0.2.7"),
        ("openai-beta", "b"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(Caller("anna".into()));
    request.extensions_mut().insert("of a server");
    let mut inside = ok().unwrap();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("x-ratelimit-limit-requests", "60"),
        ("openai-organization", "org-1"),
        ("openai-processing-ms", "7"),
        ("set-cookie", "c=1"),
    ] {
        inside.headers_mut().insert(name, value.parse().unwrap());
    }
    inside.extensions_mut().insert("words for the status");
    inside
        .extensions_mut()
        .insert(ServedBy(upstreams()[1].clone()));
    let field = http::HeaderName::from_static;
    let front = FrontLayer::new(&upstreams())
        .send_on(field("openai-beta"))
        .pass_back(field("openai-processing-ms"));
    let (sent, answer) = passed(front, request, Ok(inside)).await;
    let sent = sent.unwrap();
    let names = |headers: &http::HeaderMap| {
        let mut names: Vec<_> = headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(sent.headers()),
        ["content-type", "openai-beta", "traceparent"]
    );
    assert_eq!(sent.version(), http::Version::HTTP_11);
    assert_eq!(sent.extensions().get(), Some(&Caller("anna".into())));
    assert_eq!(
        sent.extensions().len(),
        4,
        "with whom to ask, until when, and what was read of the body"
    );
    assert_eq!(
        names(answer.headers()),
        ["content-type", "openai-processing-ms", "x-served-by"]
    );
    assert_eq!(answer.headers()["x-served-by"], "openai/gpt");
    assert_eq!(answer.extensions().len(), 1, "who has served it");
}

#[tokio::test]
async fn a_body_as_large_as_allowed_is_taken_and_one_byte_more_is_not() {
    let body = r#"{"model":"gpt"}"#;
    for (most, status) in [(body.len(), 200), (body.len() - 1, 413)] {
        let front = FrontLayer::new(&upstreams()).max_body(most);
        let (sent, answer) = passed(front, asking(CHATS, body), ok()).await;
        assert_eq!(answer.status(), status);
        assert_eq!(sent.is_some(), status == 200);
    }
}

/// A body of so many pieces of one byte, or of so many and then nothing.
struct Pieces {
    left: usize,
    ends: bool,
    is_announced: bool,
    read: Arc<Mutex<usize>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left {
            0 if self.ends => Poll::Ready(None),
            0 => Poll::Pending,
            _ => {
                self.left -= 1;
                *self.read.lock().unwrap() += 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.is_announced {
            true => SizeHint::with_exact(self.left as u64),
            false => SizeHint::default(),
        }
    }
}

#[tokio::test]
async fn who_asks_before_he_sends_what_is_not_too_large_is_let_send_it() {
    let mut request = asking(CHATS, r#"{"model":"gpt"}"#);
    let expect = "100-continue".parse().unwrap();
    request.headers_mut().insert("expect", expect);
    let (sent, answer) = passed(FrontLayer::new(&upstreams()), request, ok()).await;
    assert!(sent.is_some() && answer.status() == 200);
}

async fn of_pieces(left: usize, ends: bool, expects: bool) -> (u16, usize) {
    let read = Arc::new(Mutex::new(0));
    let body = Pieces {
        left,
        ends,
        is_announced: expects,
        read: read.clone(),
    };
    let mut request = Request::post(CHATS).body(body).unwrap();
    if expects {
        request
            .headers_mut()
            .insert("expect", "100-continue".parse().unwrap());
    }
    let front = FrontLayer::new(&upstreams()).max_body(10);
    let (sent, answer) = passed(front, request, ok()).await;
    assert!(sent.is_none());
    let read = *read.lock().unwrap();
    (answer.status().as_u16(), read)
}

// RFC 9112, 9.6: a connection that is closed while bytes are still on their way is reset, and with it goes the answer.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_read_to_its_end_while_there_is_time() {
    assert_eq!(of_pieces(100, true, false).await, (413, 100));
    assert_eq!(of_pieces(100, false, false).await, (413, 100));
}

#[tokio::test]
async fn who_asks_before_he_sends_is_told_at_once() {
    assert_eq!(of_pieces(100, true, true).await, (413, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let start = TokioClock.now();
    assert_eq!(of_pieces(5, false, false).await, (408, 5));
    assert_eq!(TokioClock.now() - start, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_begin_is_not_waited_for() {
    let front = FrontLayer::new(&upstreams()).answer_time(Duration::from_secs(7));
    let silent = service_fn(async |request: Request<Full<Bytes>>| {
        let Some(Deadline(at)) = request.extensions().get() else {
            panic!("until when, is known inside");
        };
        assert_eq!(*at - TokioClock.now(), Duration::from_secs(7));
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    });
    let request = asking(CHATS, r#"{"model":"gpt"}"#);
    let Ok(answer) = front.layer(silent).oneshot(request).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_callers_stays_where_it_is_the_earlier_one() {
    for (own, kept) in [(3, 3), (9, 7)] {
        let mut request = asking(CHATS, r#"{"model":"gpt"}"#);
        let at = |seconds| Deadline(TokioClock.now() + Duration::from_secs(seconds));
        request.extensions_mut().insert(at(own));
        let front = FrontLayer::new(&upstreams()).answer_time(Duration::from_secs(7));
        let (sent, _) = passed(front, request, ok()).await;
        assert_eq!(sent.unwrap().extensions().get(), Some(&at(kept)));
    }
}

#[tokio::test]
async fn what_an_upstream_says_of_the_account_stays_inside_and_an_error_is_an_answer() {
    let ask = async |inside| {
        let request = asking(CHATS, r#"{"model":"gpt"}"#);
        passed(FrontLayer::new(&upstreams()), request, inside)
            .await
            .1
    };
    let mut refused = Response::new(Full::from("Incorrect API key provided: sk-secret"));
    *refused.status_mut() = StatusCode::UNAUTHORIZED;
    let failure = Failure::new(FailureKind::Auth);
    refused.extensions_mut().insert(Outcome::from(failure));
    for inside in [Ok(refused), Err("sk-secret".into())] {
        let answer = ask(inside).await;
        assert_eq!(
            told(&answer),
            (502, "upstream_error".to_owned(), Value::Null)
        );
        assert!(!String::from_utf8_lossy(answer.body()).contains("secret"));
    }
}

#[tokio::test]
async fn models_are_listed_once_each_by_name_and_asked_of_nobody() {
    let request = Request::get("/v1/models")
        .body(Full::<Bytes>::default())
        .unwrap();
    let (sent, answer) = passed(FrontLayer::new(&upstreams()), request, ok()).await;
    assert!(sent.is_none());
    assert_eq!(answer.headers()["content-type"], "application/json");
    let list: Value = serde_json::from_slice(answer.body()).unwrap();
    let models = list["data"].as_array().unwrap().iter();
    let models: Vec<_> = models
        .map(|it| (it["id"].as_str().unwrap(), it["owned_by"].as_str().unwrap()))
        .collect();
    let wanted = [
        ("auto", "gateway"),
        ("gpt", "openai"),
        ("groq/llama", "groq"),
        ("llama", "groq"),
        ("ollama/llama", "ollama"),
        ("openai/gpt", "openai"),
        ("openai/text-embedding-3-small", "openai"),
        ("text-embedding-3-small", "openai"),
    ];
    assert_eq!(models, wanted);
}

#[tokio::test]
async fn of_two_models_in_a_body_the_last_is_asked_for_however_it_is_written() {
    let body = r#" {"model":"llama","x":[{"model":"m"}],"mod\u0065l":"g\u0070t"}"#;
    let (sent, _) = passed(FrontLayer::new(&upstreams()), asking(CHATS, body), ok()).await;
    let wanted = Preferences::new().only(["openai/gpt"]);
    assert_eq!(sent.unwrap().extensions().get(), Some(&wanted));
}

#[tokio::test]
async fn only_a_get_of_models_is_a_wish_for_their_list() {
    let request = Request::get(CHATS).body(Full::<Bytes>::default());
    let (_, answer) = passed(FrontLayer::new(&upstreams()), request.unwrap(), ok()).await;
    assert_eq!(answer.status(), 400, "no model is named");
    let request = asking("/v1/models", r#"{"model":"gpt"}"#);
    let (sent, _) = passed(FrontLayer::new(&upstreams()), request, ok()).await;
    assert!(sent.is_some());
}
