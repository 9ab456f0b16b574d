//! The layers under a gRPC client, for unary calls: a call that fails is a 200 in HTTP, and a small layer of your own tells
//! the others what its `grpc-status` means.
//!
//! ```sh
//! cargo run -p ecosystem --example tonic
//! ```

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tokio::net::TcpListener;
use tonic::{
    Code, Status,
    body::Body,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::NamedService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_upstream::{
    CircuitBreaker, CircuitBreakerLayer, Failure, FailureKind, IntakeLayer, Outcome,
    RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
};

/// What an answer means, where its head tells: an answer without a message has its status there, and where it asks to be
/// left alone, for how long.
pub(crate) fn outcome(headers: &HeaderMap) -> Option<Outcome> {
    let text = |name| headers.get(name)?.to_str().ok();
    let kind = match Code::from_bytes(text("grpc-status")?.as_bytes()) {
        Code::Ok => return Some(Outcome::Success),
        Code::ResourceExhausted => FailureKind::RateLimited,
        Code::Unavailable => FailureKind::Overloaded,
        Code::DeadlineExceeded => FailureKind::Timeout,
        Code::Unauthenticated | Code::PermissionDenied => FailureKind::Auth,
        Code::NotFound | Code::Unimplemented => FailureKind::NotFound,
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Aborted => FailureKind::ServerError,
        _ => FailureKind::InvalidRequest,
    };
    let pushback = text("grpc-retry-pushback-ms").and_then(|text| text.parse().ok());
    let failure = Failure::new(kind).with_retry_after(pushback.map(Duration::from_millis));
    Some(failure.into())
}

/// A client for unary calls over this channel.
pub(crate) fn client(
    channel: Channel,
    retry: RetryPolicy,
    breaker: CircuitBreaker,
    limiter: RateLimiter,
) -> Result<Grpc<impl GrpcClient>, BoxError> {
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(IntakeLayer::new()) // a unary call has one message: in memory it can be sent again
        .layer(RetryLayer::new(retry)?)
        .layer(CircuitBreakerLayer::new(breaker))
        .layer(RateLimitLayer::new(limiter))
        .map_response(|mut response: Response<Body>| {
            if let Some(outcome) = outcome(response.headers()) {
                response.extensions_mut().insert(outcome);
            }
            response
        })
        .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
        .service(channel);
    Ok(Grpc::new(stack))
}

/// What tonic wants of a service under its client.
pub(crate) trait GrpcClient:
    Service<Request<Body>, Response = Response<Body>, Error = tower_upstream::Error, Future: Send>
    + Clone
    + Send
{
}

impl<S> GrpcClient for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = tower_upstream::Error,
            Future: Send,
        > + Clone
        + Send
{
}

/// One call.
pub(crate) async fn greet(
    client: &mut Grpc<impl GrpcClient>,
    name: &str,
) -> Result<String, Status> {
    let ready = client.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    let path = http::uri::PathAndQuery::from_static("/greeter.Greeter/Greet");
    let request = tonic::Request::new(name.to_owned());
    Ok(client.unary(request, path, Text).await?.into_inner())
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let greeter = Greeter::default();
    greeter.script([
        Status::unavailable("busy"),
        Status::resource_exhausted("slowly"),
    ]);
    let channel = Endpoint::new(greeter.clone().start().await?)?.connect_lazy();
    let retry = RetryPolicy::llm().backoff(Duration::from_millis(10), Duration::from_millis(50));
    let mut client = client(
        channel,
        retry,
        CircuitBreaker::default(),
        RateLimiter::default(),
    )?;
    println!("{}", greet(&mut client, "Anna").await?);
    println!("the server was called {} times", greeter.calls());
    Ok(())
}

/// A server that fails as it is told to, and greets otherwise.
#[derive(Clone, Default)]
pub(crate) struct Greeter(Arc<Mutex<(VecDeque<Status>, u32)>>);

impl Greeter {
    pub(crate) fn script(&self, failures: impl IntoIterator<Item = Status>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.extend(failures);
    }

    pub(crate) fn calls(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    pub(crate) async fn start(self) -> Result<String, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = Server::builder().add_service(self);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(url)
    }

    fn greet(&self, name: &str) -> Result<tonic::Response<String>, Status> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        match state.0.pop_front() {
            Some(failure) => Err(failure),
            None => Ok(tonic::Response::new(format!("Good day, {name}."))),
        }
    }
}

impl Service<Request<Body>> for Greeter {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let greeter = self.clone();
        let method = service_fn(move |request: tonic::Request<String>| -> Ready<_> {
            ready(greeter.greet(request.get_ref()))
        });
        Box::pin(async { Ok(tonic::server::Grpc::new(Text).unary(method, request).await) })
    }
}

impl NamedService for Greeter {
    const NAME: &'static str = "greeter.Greeter";
}

/// Messages are text here, where yours are protobuf.
#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
