//! What it costs to be seen, and not to be: a call through the provider layer whose answer is there at once, read to its end.

use std::{
    convert::Infallible,
    future::{self, Future},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;
use tower_upstream::{
    Provider, ProviderLayer, Upstream,
    observe::{AuditLog, Event, Metrics, Stats, channel},
};

use crate::harness::{Bench, Goal};

pub fn run(bench: &Bench) -> Result<(), String> {
    bench.title("a call through the provider layer");
    row(bench, "nobody listens", ProviderLayer::new());
    let nothing = |_: &Event<'_>| {};
    row(
        bench,
        "an observer that does nothing",
        ProviderLayer::new().observe(nothing),
    );
    row(bench, "Stats", ProviderLayer::new().observe(Stats::new()));
    let (feed, receiver) = channel(1_024);
    row(
        bench,
        "a channel with a receiver",
        ProviderLayer::new().observe(feed.clone()),
    );
    drop(receiver);
    row(
        bench,
        "a channel without one",
        ProviderLayer::new().observe(feed),
    );
    row(
        bench,
        "Metrics without a recorder",
        ProviderLayer::new().observe(Metrics::new()),
    );
    if bench.wants("AuditLog") {
        let path = std::env::temp_dir().join(format!("bench-{}.jsonl", std::process::id()));
        let log = AuditLog::options(&path).keep(0).open();
        let log = log.map_err(|error| error.to_string())?;
        row(bench, "AuditLog", ProviderLayer::new().observe(log.clone()));
        println!("\n{} lines lost for want of room in the queue", log.lost());
        drop(log);
        std::fs::remove_file(path).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn row(bench: &Bench, name: &str, layer: ProviderLayer) {
    let mut service = tower_layer(layer);
    let upstream = Provider::groq().model("llama-3.1-8b-instant");
    bench.row(name, Goal::None, 1, || call(&mut service, &upstream));
}

fn tower_layer(
    layer: ProviderLayer,
) -> impl Service<Request<Full<Bytes>>, Response = Response<impl Body<Data = Bytes>>> {
    tower::Layer::layer(&layer, Ready)
}

fn call<S, B>(service: &mut S, upstream: &Upstream)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    let mut request = Request::new(Full::new(Bytes::from_static(QUESTION)));
    *request.uri_mut() = http::Uri::from_static("/v1/chat/completions");
    request.extensions_mut().insert(upstream.clone());
    let mut context = Context::from_waker(Waker::noop());
    let future = pin!(service.call(black_box(request)));
    let Poll::Ready(Ok(response)) = future.poll(&mut context) else {
        panic!("the answer is not there");
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        drop(black_box(frame));
    }
}

/// Answers at once.
#[derive(Clone)]
struct Ready;

impl Service<Request<Full<Bytes>>> for Ready {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        drop(black_box(request));
        let mut answer = Response::new(Full::new(Bytes::from_static(ANSWER)));
        let json = http::HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, json);
        future::ready(Ok(answer))
    }
}

const QUESTION: &[u8] = br#"{"model":"any","messages":[{"role":"user","content":"Hello"}]}"#;

const ANSWER: &[u8] = br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
