//! A stream that HTTP/2 refused, over a real connection: how h2 says it is known by its words alone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_upstream::{Error, Limit, Quota, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy};

const SETTINGS: u8 = 0x04;
const HEADERS: u8 = 0x01;
const RST_STREAM: u8 = 0x03;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// `:status: 200`, by its number in the static table of HPACK.
const OK: [u8; 1] = [0x88];

fn frame(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let head = [&[0, 0, length, kind, flags], &stream[..]].concat();
    [head, payload.to_vec()].concat()
}

/// A server of just enough HTTP/2 (RFC 9113) to reset the first stream for this reason, and to answer all others.
async fn server(reason: [u8; 4]) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, reason, count.clone()));
        }
    });
    (address, asked)
}

async fn serve(mut client: TcpStream, reason: [u8; 4], asked: Arc<AtomicU32>) -> io::Result<()> {
    let mut preface = [0; 24];
    client.read_exact(&mut preface).await?;
    client.write_all(&frame(SETTINGS, 0, [0; 4], &[])).await?;
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await?;
        let [_, high, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
        client.read_exact(&mut payload).await?;
        let answer = match kind {
            SETTINGS if flags == 0 => frame(SETTINGS, 0x01, [0; 4], &[]),
            HEADERS if asked.fetch_add(1, Relaxed) == 0 => frame(RST_STREAM, 0, stream, &reason),
            // The end of the head and of the stream.
            HEADERS => frame(HEADERS, 0x05, stream, &OK),
            _ => continue,
        };
        client.write_all(&answer).await?;
    }
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

fn post(address: SocketAddr) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://{address}/"));
    request.body(Full::from("x")).expect("a request")
}

/// https://www.rfc-editor.org/rfc/rfc9113#section-8.7: what was refused was not processed.
#[tokio::test]
async fn a_post_that_http2_refused_unseen_is_sent_again_and_counts_once() {
    let quota = Quota::new().limit(Limit::requests(10).per_hour());
    let limiter = RateLimiter::new(quota).expect("a quota");
    let wait = Duration::from_millis(1);
    let retry = RetryLayer::new(RetryPolicy::default().backoff(wait, wait)).expect("a policy");
    let (address, asked) = server(REFUSED_STREAM).await;
    let service = ServiceBuilder::new()
        .layer(retry)
        .layer(RateLimitLayer::new(limiter.clone()))
        .service(client());
    let response = service.oneshot(post(address)).await.expect("an answer");
    assert_eq!((response.status().as_u16(), asked.load(Relaxed)), (200, 2));
    assert_eq!(limiter.status("").limits[0].used, 1);
}

#[tokio::test]
async fn a_stream_that_was_reset_for_another_reason_may_have_been_processed() {
    for (reason, is_unsent) in [(REFUSED_STREAM, true), (CANCEL, false)] {
        let (address, _) = server(reason).await;
        let service = RetryLayer::new(RetryPolicy::default().max_attempts(1)).expect("a policy");
        let service = ServiceBuilder::new().layer(service).service(client());
        let error: Error = service.oneshot(post(address)).await.expect_err("no answer");
        assert_eq!(error.is_unsent(), is_unsent, "{error:?}");
    }
}
