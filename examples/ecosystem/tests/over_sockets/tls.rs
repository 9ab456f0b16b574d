//! hyper over TLS: what is agreed in the handshake, and what is known when there is none.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use provider_simulator::Simulator;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use tower::{ServiceBuilder, ServiceExt};
use tower_upstream::{
    CircuitBreakerLayer, Limit, Quota, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
};

use super::rig::ms;

/// A server that fails once for each connection and answers then, and its certificate.
async fn server(protocol: &[u8]) -> (String, CertificateDer<'static>) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
                let answer = service_fn(move |request: Request<Incoming>| {
                    let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    async move {
                        let mut response = Response::new(request.into_body());
                        if call == 0 {
                            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(stream, answer).await;
            });
        }
    });
    (url, certificate)
}

fn client(
    trusted: Option<CertificateDer<'static>>,
) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config);
    let connector = connector.https_only().enable_http1().enable_http2().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

fn echo(url: &str) -> Request<Full<Bytes>> {
    Request::post(url).body(Full::from("hello")).unwrap()
}

#[tokio::test]
async fn http1_and_http2_are_agreed_in_the_handshake() {
    for (protocol, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let (url, certificate) = server(protocol.as_bytes()).await;
        let policy = RetryPolicy::llm().backoff(ms(1), ms(1));
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy).unwrap())
            .layer(CircuitBreakerLayer::default())
            .layer(RateLimitLayer::new(RateLimiter::default()))
            .service(client(Some(certificate)));
        let response = stack.oneshot(echo(&url)).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, version)
        );
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
    }
}

/// The feature `hyper-util` reads it off the client's error. Without one of the two, a POST would not be tried again.
#[tokio::test]
async fn a_handshake_that_fails_has_sent_nothing() {
    let (untrusted, _) = server(b"h2").await;
    let plain = Simulator::groq().start().await.unwrap();
    let plain = plain.url().replace("http:", "https:");
    for url in [&*untrusted, &*plain] {
        let quota = Quota::new().limit(Limit::requests(10).per_minute());
        let limiter = RateLimiter::new(quota).unwrap();
        let policy = RetryPolicy::default().max_attempts(2).backoff(ms(1), ms(1));
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy).unwrap())
            .layer(RateLimitLayer::new(limiter.clone()))
            .service(client(None));
        let error = stack.oneshot(echo(url)).await.unwrap_err();
        assert!(error.is_unsent(), "{error:?}");
        assert_eq!(limiter.status("").limits[0].used, 0);
    }
}
