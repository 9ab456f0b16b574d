//! Keys that expire: a layer right around the client puts a token in, and asks for it before each request that is sent.

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use tower::{BoxError, Layer, Service, ServiceExt, filter::AsyncFilterLayer, service_fn};
use tower_upstream::{
    Attempts, Limit, Provider, Quota, ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
    error::Unsent,
};

/// Gives tokens that are numbered, and for a while none.
#[derive(Clone, Default)]
struct Tokens {
    asked: Arc<AtomicU32>,
    missing: Arc<AtomicU32>,
}

impl Tokens {
    async fn token(&self) -> Result<String, BoxError> {
        // As over a network.
        let then = TokioClock.now() + Duration::from_millis(20);
        TokioClock.sleep_until(then).await;
        let count = |counter: &AtomicU32, by: fn(u32) -> Option<u32>| {
            counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, by)
        };
        if count(&self.missing, |left| left.checked_sub(1)).is_ok() {
            return Err(Unsent::new("the source of tokens is away").into());
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(format!("Bearer token-{number}"))
    }
}

type Asked = Arc<Mutex<Vec<HeaderMap>>>;

/// A stack in front of a client that keeps what fields it was sent, and answers.
fn client(
    stack: &Stack,
    tokens: &Tokens,
) -> (
    impl Service<Request<Full<Bytes>>, Response = Response<impl Sized>, Error = tower_upstream::Error>
    + Clone,
    Asked,
) {
    let asked = Asked::default();
    let kept = asked.clone();
    let server = service_fn(move |request: Request<Full<Bytes>>| {
        kept.lock()
            .expect("it is there")
            .push(request.headers().clone());
        let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
        ready(Ok::<_, Infallible>(Response::new(body.to_owned())))
    });
    let tokens = tokens.clone();
    let signed = AsyncFilterLayer::new(move |mut request: Request<Full<Bytes>>| {
        let tokens = tokens.clone();
        async move {
            let upstream = request.extensions().get::<Upstream>();
            if upstream.is_some_and(|upstream| upstream.provider().name() == "azure") {
                let mut token = HeaderValue::try_from(tokens.token().await?)?;
                token.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, token);
            }
            Ok::<_, BoxError>(request)
        }
    });
    (stack.layer().layer(signed.layer(server)), asked)
}

fn stack() -> Stack {
    let azure =
        Provider::azure("https://mine.openai.azure.com", "2024-10-21").expect("it is there");
    let quota = Quota::new().limit(Limit::requests(10).per_hour());
    let azure = azure.model("deployed").quota(quota).expect("it is there");
    let openai = Provider::openai().key("sk-own").expect("it is there");
    let stack = Stack::builder()
        .upstream(azure)
        .upstream(openai.model("gpt-4o-mini"));
    stack.build().expect("it is there")
}

fn chat() -> Request<Full<Bytes>> {
    let body = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
    Request::post("/v1/chat/completions")
        .body(Full::from(body))
        .expect("it is there")
}

fn authorizations(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().expect("it is there");
    let told = asked.iter().map(|fields| {
        fields[AUTHORIZATION]
            .to_str()
            .expect("it is there")
            .to_owned()
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn each_request_that_is_sent_has_a_token_of_its_time() {
    let (stack, tokens) = (stack(), Tokens::default());
    let (client, asked) = client(&stack, &tokens);
    for _ in 0..3 {
        let answer = client.clone().oneshot(chat()).await.expect("it is there");
        assert_eq!(
            answer
                .extensions()
                .get::<ServedBy>()
                .expect("it is there")
                .0
                .id(),
            "azure/deployed"
        );
    }
    let expected = [0, 1, 2].map(|number| format!("Bearer token-{number}"));
    assert_eq!(authorizations(&asked), expected);
}

// A token cannot be had: nothing was sent, so it is tried again although it is a POST, and the quota is left as it was.
#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_counted_and_the_next_upstream_answers() {
    let (stack, tokens) = (stack(), Tokens::default());
    let (client, asked) = client(&stack, &tokens);
    tokens.missing.store(1, Ordering::Relaxed);
    let answer = client.clone().oneshot(chat()).await.expect("it is there");
    assert_eq!(
        answer
            .extensions()
            .get::<ServedBy>()
            .expect("it is there")
            .0
            .id(),
        "azure/deployed"
    );
    drop(answer);
    assert_eq!(stack.limiter().status("azure/deployed").limits[0].used, 1);

    tokens.missing.store(u32::MAX, Ordering::Relaxed);
    let answer = client.oneshot(chat()).await.expect("it is there");
    assert_eq!(
        answer
            .extensions()
            .get::<ServedBy>()
            .expect("it is there")
            .0
            .id(),
        "openai/gpt-4o-mini"
    );
    assert_eq!(authorizations(&asked), ["Bearer token-0", "Bearer sk-own"]);
    assert_eq!(stack.limiter().status("azure/deployed").limits[0].used, 1);
    let attempts = answer
        .extensions()
        .get::<Attempts>()
        .expect("it is there")
        .failed();
    let told = attempts
        .last()
        .expect("it is there")
        .failure
        .message
        .as_deref()
        .map(str::to_owned);
    assert_eq!(
        told.as_deref(),
        Some("nothing was sent: the source of tokens is away")
    );
}
