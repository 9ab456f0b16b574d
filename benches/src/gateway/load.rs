//! Callers, each on a connection of its own, and the upstream that answers at once.

use std::{
    convert::Infallible,
    fmt, io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What came of one round of calls.
pub(super) struct Round {
    /// In order.
    latencies: Vec<Duration>,
    took: Duration,
    pub(super) processor: Duration,
}

impl Round {
    pub(super) fn throughput(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    pub(super) fn quantile(&self, share: f64) -> Duration {
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }

    /// In microseconds.
    pub(super) fn processor_each(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |share| format!("{:.3} ms", self.quantile(share).as_secs_f64() * 1e3);
        let (throughput, each) = (self.throughput(), self.processor_each());
        write!(
            f,
            "{throughput:>12.0}{:>12}{:>12}{each:>16.1}",
            ms(0.5),
            ms(0.99)
        )
    }
}

/// Asks over so many connections for so long; every answer is a 200, or this is no measurement.
pub(super) async fn drive(
    address: &str,
    connections: usize,
    time: Duration,
) -> Result<Round, String> {
    let start = Instant::now();
    let callers = (0..connections).map(|_| tokio::spawn(call(address.to_owned(), start + time)));
    let mut latencies = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let told = caller.await.map_err(|error| error.to_string())?;
        latencies.extend(told.map_err(|error| error.to_string())?);
    }
    let took = start.elapsed();
    latencies.sort();
    Ok(Round {
        latencies,
        took,
        processor: Duration::ZERO,
    })
}

async fn call(address: String, until: Instant) -> Result<Vec<Duration>, tower::BoxError> {
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let request = Request::post("/v1/chat/completions").header("host", &*address);
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from_static(CHAT)))?;
        let sent = Instant::now();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status != 200 {
            return Err(format!("answered by {status}").into());
        }
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Listens on a port of its own; gives its URL.
pub(super) async fn upstream() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let answer = service_fn(async |request: Request<Incoming>| {
                let _ = request.into_body().collect().await;
                let response = Response::builder().header("content-type", "application/json");
                let response = response.body(Full::new(Bytes::from_static(ANSWER)));
                Ok::<_, Infallible>(response.unwrap_or_default())
            });
            tokio::spawn(
                server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    Ok(url)
}

const CHAT: &[u8] = br#"{"model":"m","messages":[{"role":"system","content":"You are brief."},{"role":"user","content":"In one sentence: what is the seventh prime number good for?"}],"max_tokens":64,"temperature":0.2}"#;

const ANSWER: &[u8] = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1795398381,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"All work and no play makes tokens dull."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":27,"completion_tokens":16,"total_tokens":43},"system_fingerprint":"fp_simulated"}"#;
