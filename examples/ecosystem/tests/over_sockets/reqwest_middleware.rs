//! What is particular to chains of middlewares.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::{BodyExt, Full};
use provider_simulator::{Reply, Simulator};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::service_fn;
use tower_layer::{Identity, Layer};
use tower_upstream::{
    Error, Failure, FailureKind, Outcome, Quota, RateLimitLayer, RateLimiter, RetryLayer,
    RetryPolicy, ServedBy,
    adapt::{
        reqwest::ReqwestService,
        reqwest_middleware::{Answer, NextService, TowerMiddleware},
    },
    error::BoxError,
    error::ServiceError,
};

use super::{
    clients::reqwest,
    rig::{Front, GROQ, Rig, ask, boxed, chat, ms},
};

/// The layers in a chain, seen from outside as any other stack: what comes out of the chain is turned back.
pub(crate) fn in_a_chain<L>(layers: L, chain: ClientBuilder) -> Front
where
    L: for<'a> Layer<NextService<'a>, Service: Answer<'a>> + Send + Sync + 'static,
{
    let client = chain.with(TowerMiddleware::new(layers)).build();
    boxed(service_fn(move |request: Request<Full<Bytes>>| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.expect("it lies in memory").to_bytes();
            let request = Request::from_parts(parts, reqwest::Body::from(bytes));
            let request = reqwest::Request::try_from(request).expect("a URL");
            let response = client.execute(request).await.map_err(ours)?;
            Ok(Response::<reqwest::Body>::from(response))
        }
    }))
}

/// What the layers said, by downcast.
fn ours(error: reqwest_middleware::Error) -> Error {
    match error {
        reqwest_middleware::Error::Middleware(error) => error.downcast().expect("one of ours"),
        error => Error::Service(ServiceError::new(error)),
    }
}

/// Counts what passes, and does something to it.
struct Counting<F>(Arc<AtomicU32>, F);

#[async_trait::async_trait]
impl<F> Middleware for Counting<F>
where
    F: Fn(&mut Extensions) -> reqwest_middleware::Result<()> + Send + Sync + 'static,
{
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.0.fetch_add(1, Ordering::Relaxed);
        (self.1)(extensions)?;
        next.run(request, extensions).await
    }
}

fn counting<F>(does: F) -> (Arc<AtomicU32>, Counting<F>)
where
    F: Fn(&mut Extensions) -> reqwest_middleware::Result<()> + Send + Sync + 'static,
{
    let count = Arc::new(AtomicU32::new(0));
    (count.clone(), Counting(count, does))
}

fn patient() -> RetryLayer {
    let policy = RetryPolicy::llm().max_attempts(3).backoff(ms(1), ms(1));
    RetryLayer::new(policy).expect("a policy")
}

#[derive(Clone, Debug, PartialEq)]
struct Mark(&'static str);

#[tokio::test]
async fn what_stands_inside_of_the_layers_sees_each_attempt_and_what_stands_outside_one() {
    let groq = Simulator::groq().start().await.unwrap();
    groq.script([Reply::Status(500), Reply::Overloaded]);
    let (outside, outer) = counting(|_| Ok(()));
    let (inside, inner) = counting(|_| Ok(()));
    let client = ClientBuilder::new(reqwest()).with(outer);
    let client = client
        .with(TowerMiddleware::new(patient()))
        .with(inner)
        .build();
    let url = format!("{}/chat/completions", groq.url());
    let response = client.post(url).json(&chat()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.url().path(),
        "/openai/v1/chat/completions",
        "reqwest's own"
    );
    let counts = [outside, inside].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [1, 3]);
}

#[tokio::test]
async fn extensions_go_in_and_come_out() {
    let rig = Rig::new().await;
    let (_, inner) = counting(|extensions| {
        assert_eq!(extensions.get(), Some(&Mark("from the caller")));
        assert!(
            extensions.get::<tower_upstream::Upstream>().is_some(),
            "from the layers"
        );
        extensions.insert(Mark("from inside"));
        Ok(())
    });
    let client = ClientBuilder::new(reqwest()).with(TowerMiddleware::new(rig.layers.clone()));
    let client = client.with(inner).build();
    let mut extensions = Extensions::new();
    extensions.insert(Mark("from the caller"));
    let request = client
        .post("http://upstream/v1/chat/completions")
        .json(&chat());
    let request = request.build().unwrap();
    let response = client
        .execute_with_extensions(request, &mut extensions)
        .await
        .unwrap();
    for extensions in [response.extensions(), &extensions] {
        assert_eq!(extensions.get(), Some(&Mark("from inside")));
        let ServedBy(upstream) = extensions.get().unwrap();
        assert_eq!(upstream.id(), GROQ);
    }
}

#[tokio::test]
async fn extensions_go_through_a_client_with_middleware() {
    let rig = Rig::new().await;
    let (_, inner) = counting(|extensions| {
        assert!(extensions.get::<tower_upstream::Upstream>().is_some());
        extensions.insert(Mark("from inside"));
        Ok(())
    });
    let client: ClientWithMiddleware = ClientBuilder::new(reqwest()).with(inner).build();
    let front = rig.over(ReqwestService::new(client));
    let response = super::rig::send(&front, &chat()).await.unwrap();
    assert_eq!(response.extensions().get(), Some(&Mark("from inside")));
}

/// A middleware that knows more than the status: an answer with a warning in it counts as an overload.
#[tokio::test]
async fn a_middleware_can_say_what_an_answer_meant() {
    let groq = Simulator::groq().start().await.unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let (_, inner) = counting(move |extensions| {
        if seen.fetch_add(1, Ordering::Relaxed) == 0 {
            extensions.insert(Outcome::from(Failure::new(FailureKind::Overloaded)));
        }
        Ok(())
    });
    let client = ClientBuilder::new(reqwest()).with(TowerMiddleware::new(patient()));
    let client = client.with(inner).build();
    let url = format!("{}/chat/completions", groq.url());
    let response = client.post(url).json(&chat()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        (attempts.load(Ordering::Relaxed), groq.counts().answered),
        (2, 2)
    );
}

#[derive(Debug)]
struct Vetoed;

impl std::fmt::Display for Vetoed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("vetoed")
    }
}

impl std::error::Error for Vetoed {}

#[tokio::test]
async fn errors_come_out_as_they_went_in() {
    // reqwest's own
    let client = ClientBuilder::new(reqwest())
        .with(TowerMiddleware::new(patient()))
        .build();
    let closed = Simulator::groq().start().await.unwrap();
    closed.go_down().await;
    let error = client
        .get(format!("{}?key=secret", closed.url()))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");

    // another middleware's
    let (_, veto) = counting(|_| Err(reqwest_middleware::Error::middleware(Vetoed)));
    let client = ClientBuilder::new(reqwest()).with(TowerMiddleware::new(Identity::new()));
    let client = client.with(veto).build();
    let reqwest_middleware::Error::Middleware(error) =
        client.get(closed.url()).send().await.unwrap_err()
    else {
        panic!("not a middleware's");
    };
    assert!(error.is::<Vetoed>(), "{error:?}");

    // ours, through another of ours
    let refusing = RateLimiter::new(Quota::new().max_tokens_per_request(1)).unwrap();
    let client = ClientBuilder::new(reqwest())
        .with(TowerMiddleware::new(patient()))
        .with(TowerMiddleware::new(RateLimitLayer::new(refusing)))
        .build();
    let request = client.get(closed.url());
    let request = request.with_extension(tower_upstream::Cost::tokens(2, 0));
    let reqwest_middleware::Error::Middleware(error) = request.send().await.unwrap_err() else {
        panic!("not a middleware's");
    };
    let error: &Error = error.downcast_ref().expect("one of ours");
    assert!(matches!(error, Error::RateLimited(_)), "{error:?}");
}

#[tokio::test]
async fn a_timeout_of_one_request_stays_its_own() {
    let slow = Simulator::groq()
        .latency(super::rig::LONG)
        .start()
        .await
        .unwrap();
    let client = ClientBuilder::new(reqwest())
        .with(TowerMiddleware::new(Identity::new()))
        .build();
    let request = client
        .post(format!("{}/chat/completions", slow.url()))
        .json(&chat());
    let error = request.timeout(ms(50)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_stream_is_sent_once_and_fails_as_it_is() {
    let groq = Simulator::groq().start().await.unwrap();
    groq.script([Reply::Status(500)]);
    let client = ClientBuilder::new(reqwest())
        .with(TowerMiddleware::new(patient()))
        .build();
    let text = chat().to_string();
    let pieces = [text[..7].to_owned(), text[7..].to_owned()].map(Ok::<_, BoxError>);
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let request = client.post(format!("{}/chat/completions", groq.url()));
    let request = request
        .header("content-type", "application/json")
        .body(body);
    assert_eq!(request.send().await.unwrap().status(), 500);
    assert_eq!(groq.log()[0].body, text);
}

#[tokio::test]
async fn layers_in_a_chain_share_their_state_over_all_requests() {
    let rig = Rig::with(Simulator::groq(), |quota| quota).await;
    let front = in_a_chain(rig.layers.clone(), ClientBuilder::new(reqwest()));
    rig.groq.script([Reply::Quota]);
    ask(&front, &chat()).await.unwrap();
    ask(&front, &chat()).await.unwrap();
    assert_eq!(
        rig.groq.counts().received,
        1,
        "its cooldown is known to the second request"
    );
}
