//! Retries over real connections: which are used again, and how bodies that stream arrive.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_upstream::{
    Jitter, RetryLayer, RetryPolicy,
    body::{ReplayBody, ReplayBodyLayer},
    clock::{Clock, TokioClock},
};

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Reply {
    /// Reads it and says this, with a body that comes a little later than the head.
    Late(u16),
    /// Says 503 after the first piece, and reads no more.
    Early,
}

/// A server that follows a script, and then answers 200.
#[derive(Clone, Default)]
struct Server {
    script: Arc<Mutex<VecDeque<Reply>>>,
    connections: Arc<AtomicU32>,
    /// The bodies that were read to their ends.
    bodies: Arc<Mutex<Vec<Bytes>>>,
    requests: Arc<AtomicU32>,
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Reply>) -> (Self, SocketAddr) {
        let server = Self::default();
        held(&server.script).extend(script);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Relaxed);
                let server = serving.clone();
                let service = service_fn(move |request| server.clone().answer(request));
                tokio::spawn(async move {
                    let connection = auto::Builder::new(TokioExecutor::new());
                    _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        (server, address)
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
        self.requests.fetch_add(1, Relaxed);
        let reply = held(&self.script).pop_front();
        let mut body = request.into_body();
        let status = match reply.unwrap_or(Reply::Late(200)) {
            Reply::Late(status) => {
                // One that is cut off is of an attempt that is over.
                if let Ok(body) = body.collect().await {
                    held(&self.bodies).push(body.to_bytes());
                }
                status
            }
            Reply::Early => {
                _ = body.frame().await;
                // Held, so that the connection lives until the client has seen the answer.
                tokio::spawn(async move {
                    sleep(Duration::from_millis(500)).await;
                    drop(body);
                });
                503
            }
        };
        let late = stream::once(async {
            sleep(Duration::from_millis(10)).await;
            Ok(Frame::data(Bytes::from(vec![b'x'; 2_048])))
        });
        let body = StreamBody::new(late).boxed_unsync();
        Ok(Response::builder()
            .status(status)
            .body(body)
            .expect("a response"))
    }

    fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

fn policy() -> RetryPolicy {
    let wait = Duration::from_millis(100);
    RetryPolicy::default()
        .backoff(wait, wait)
        .jitter(Jitter::None)
}

/// How many connections a call took that was answered at its second attempt.
async fn connections(policy: RetryPolicy, http2: bool) -> u32 {
    let (server, address) = Server::start([Reply::Late(503)]).await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http();
    let service = RetryLayer::new(policy).expect("a policy").layer(client);
    let request = Request::get(format!("http://{address}/")).body(Full::<Bytes>::default());
    let response = service
        .oneshot(request.expect("a request"))
        .await
        .expect("an answer");
    assert_eq!((response.status().as_u16(), server.requests()), (200, 2));
    server.connections.load(Relaxed)
}

#[tokio::test]
async fn the_connection_is_used_again_after_a_503_that_was_retried() {
    assert_eq!(connections(policy(), false).await, 1);
    assert_eq!(connections(policy(), true).await, 1);
}

/// Why the layer reads what it drops.
#[tokio::test]
async fn hyper_closes_an_http_1_connection_whose_response_was_dropped_unread() {
    let unread = || policy().drain(0, Duration::ZERO);
    assert_eq!(connections(unread(), false).await, 2);
    assert_eq!(connections(unread(), true).await, 1);
}

const PIECE: usize = 64 * 1024;
const PIECES: usize = 160;

/// 10 MiB that come in pieces, each other than the rest, and a count of those that were asked for.
fn upload() -> (
    Arc<AtomicU32>,
    impl Body<Data = Bytes, Error = Infallible> + Send,
) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let pieces = stream::iter(0..PIECES).then(move |piece| {
        count.fetch_add(1, Relaxed);
        async move {
            tokio::task::yield_now().await;
            Ok(Frame::data(content(piece)))
        }
    });
    (asked, StreamBody::new(pieces))
}

fn content(piece: usize) -> Bytes {
    (0..PIECE).map(|at| (at * 31 + piece * 7) as u8).collect()
}

fn whole() -> Bytes {
    let pieces = (0..PIECES).map(content);
    Bytes::from(pieces.flat_map(|piece| piece.to_vec()).collect::<Vec<_>>())
}

/// Sends the upload; gives back its status, and how many of its pieces were asked for.
async fn send(address: SocketAddr, cap: usize, http2: bool) -> (u16, u32) {
    let (asked, body) = upload();
    let client = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http::<ReplayBody<UnsyncBoxBody<Bytes, Infallible>>>();
    let service = ServiceBuilder::new()
        .layer(ReplayBodyLayer::new(cap))
        .layer(RetryLayer::new(policy()).expect("a policy"))
        .service(client);
    let request = Request::put(format!("http://{address}/")).body(body.boxed_unsync());
    let response = service
        .oneshot(request.expect("a request"))
        .await
        .expect("an answer");
    let status = response.status().as_u16();
    response.into_body().collect().await.expect("an answer");
    (status, asked.load(Relaxed))
}

#[tokio::test]
async fn an_upload_of_10_mib_is_retried_after_an_early_503_and_arrives_whole() {
    for http2 in [false, true] {
        let (server, address) = Server::start([Reply::Early]).await;
        let (status, asked) = send(address, 16 << 20, http2).await;
        assert_eq!((status, server.requests()), (200, 2), "http2: {http2}");
        assert_eq!(asked, PIECES as u32, "no piece is asked for twice");
        let bodies = held(&server.bodies);
        assert_eq!(bodies.len(), 1);
        assert!(bodies[0] == whole());
    }
}

#[tokio::test]
async fn an_upload_of_10_mib_that_was_read_whole_is_sent_whole_again() {
    for http2 in [false, true] {
        let (server, address) = Server::start([Reply::Late(503), Reply::Late(502)]).await;
        let (status, asked) = send(address, 10 << 20, http2).await;
        assert_eq!((status, server.requests(), asked), (200, 3, PIECES as u32));
        let bodies = held(&server.bodies);
        assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == whole()));
    }
}

#[tokio::test]
async fn an_upload_past_the_cap_is_sent_once_and_whole() {
    for http2 in [false, true] {
        let (server, address) = Server::start([Reply::Late(503)]).await;
        let (status, asked) = send(address, (10 << 20) - 1, http2).await;
        assert_eq!((status, server.requests(), asked), (503, 1, PIECES as u32));
        assert!(held(&server.bodies)[..] == [whole()]);
    }
}
