//! In front of axum: limits over all connections and routes, by whom a request is from, with tower-http around.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::StatusCode,
    middleware,
    routing::get,
};
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::{Reply, Simulator};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{
    compression::CompressionLayer, decompression::DecompressionLayer, timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_upstream::{
    Limit, Quota, RateLimitLayer, RateLimiter, RejectionLayer, Scope,
    adapt::{peer, rejection},
};

use super::rig::{Front, GROQ, LONG, Rig, at_once, chat, ms, streamed, until, within};

/// Serves this on a port of its own; gives its URL.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    url
}

/// A client with connections of its own.
fn client<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

/// The answer to a GET over a connection of its own.
async fn get_with(url: &str, headers: &[(&str, &str)]) -> Response<hyper::body::Incoming> {
    let mut request = Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    within(client().request(request)).await.unwrap()
}

async fn statuses(url: &str, headers: &[&[(&str, &str)]]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for headers in headers {
        statuses.push(get_with(url, headers).await.status().as_u16());
    }
    statuses
}

fn limiter(requests: u64, scope: Scope) -> RateLimiter {
    let quota = Quota::new().limit(Limit::requests(requests).per_minute());
    let limiter = RateLimiter::new(quota).unwrap().scope(scope);
    limiter.max_wait(Duration::ZERO).heed_answers(false)
}

#[derive(Clone)]
struct Tenant(Arc<str>);

/// Who has one of our keys is a tenant, nobody else gets in.
async fn authenticate(
    mut request: axum::extract::Request,
    next: middleware::Next,
) -> Result<axum::response::Response, StatusCode> {
    let key = request
        .headers()
        .get("authorization")
        .and_then(|key| key.to_str().ok());
    let tenant = match key {
        Some("Bearer of-anna" | "Bearer second-of-anna") => Tenant("anna".into()),
        Some("Bearer of-ben") => Tenant("ben".into()),
        _ => return Err(StatusCode::UNAUTHORIZED),
    };
    request.extensions_mut().insert(tenant);
    Ok(next.run(request).await)
}

/// PITFALLS 11: axum calls `Layer::layer` for each route (<https://github.com/tokio-rs/axum/issues/2634>), and a state that
/// was made there would be one for each.
#[tokio::test]
async fn one_limit_holds_over_all_connections_and_routes() {
    let limiter = limiter(3, Scope::All);
    let layers = ServiceBuilder::new()
        .layer(
            RejectionLayer::new()
                .advertise("", limiter.clone())
                .unwrap(),
        )
        .layer(RateLimitLayer::new(limiter));
    let app = Router::new()
        .route("/a", get(async || "a"))
        .route("/b", get(async || "b"))
        .layer(layers);
    let url = serve(app).await;
    let [a, b] = ["a", "b"].map(|path| format!("{url}/{path}"));
    let mut seen = Vec::new();
    for url in [&a, &b, &a, &b, &a] {
        seen.push(get_with(url, &[]).await.status().as_u16());
    }
    assert_eq!(seen, [200, 200, 200, 429, 429]);

    let refused = get_with(&a, &[]).await;
    let headers = refused.headers().clone();
    let after: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(headers["ratelimit-policy"], r#""requests-60s";q=3;w=60"#);
    let left = headers["ratelimit"].to_str().unwrap();
    assert!(left.starts_with(r#""requests-60s";r=0;t="#), "{left}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!(["requests-60s"])
    );
}

#[tokio::test]
async fn a_tenant_has_one_limit_for_all_of_his_keys_and_nobody_elses() {
    let tenants = limiter(
        2,
        Scope::by(|head| match head.extensions.get() {
            Some(Tenant(name)) => name.clone(),
            None => "".into(),
        }),
    );
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(authenticate))
        .layer(
            RejectionLayer::new()
                .advertise("tenant", tenants.clone())
                .unwrap(),
        )
        .layer(RateLimitLayer::new(tenants.clone()));
    let url = serve(
        Router::new()
            .route("/", get(async || "served"))
            .layer(layers),
    )
    .await;
    let by = |key: &'static str| [("authorization", key)];
    let [one, two, ben, eve] = [
        "Bearer of-anna",
        "Bearer second-of-anna",
        "Bearer of-ben",
        "Bearer made-up",
    ]
    .map(by);
    let seen = statuses(&url, &[&one, &two, &one, &two, &ben, &eve]).await;
    assert_eq!(seen, [200, 200, 429, 429, 200, 401]);
    let mut keys: Vec<_> = tenants.keys().iter().map(ToString::to_string).collect();
    keys.sort();
    assert_eq!(keys, ["anna", "ben"], "a made-up key is no key");
}

#[tokio::test]
async fn an_address_is_limited_whatever_its_requests_say_of_themselves() {
    let peers = limiter(
        2,
        Scope::by(|head| match head.extensions.get() {
            Some(ConnectInfo::<SocketAddr>(address)) => peer::peer_key(address.ip()),
            None => "".into(),
        }),
    );
    let layers = ServiceBuilder::new()
        .layer(RejectionLayer::new())
        .layer(RateLimitLayer::new(peers.clone()));
    let url = serve(
        Router::new()
            .route("/", get(async || "served"))
            .layer(layers),
    )
    .await;
    let forged = [
        [("x-forwarded-for", "192.0.2.1")],
        [("x-forwarded-for", "192.0.2.2")],
    ];
    let seen = statuses(&url, &[&forged[0], &forged[1], &[]]).await;
    assert_eq!(seen, [200, 200, 429]);
    assert_eq!(*peers.keys(), ["127.0.0.1".into()]);
}

#[tokio::test]
async fn behind_a_proxy_of_ones_own_its_word_counts_and_only_its() {
    let clients = limiter(
        1,
        Scope::by(|head| {
            let forwarded = peer::forwarded_for(head.headers, 1);
            forwarded.map_or("".into(), peer::peer_key)
        }),
    );
    let layers = ServiceBuilder::new()
        .layer(RejectionLayer::new())
        .layer(RateLimitLayer::new(clients));
    let url = serve(
        Router::new()
            .route("/", get(async || "served"))
            .layer(layers),
    )
    .await;
    let forwarded = |list: &'static str| [("x-forwarded-for", list)];
    let [first, forged, other] =
        ["192.0.2.1", "198.51.100.9, 192.0.2.1", "192.0.2.2"].map(forwarded);
    assert_eq!(
        statuses(&url, &[&first, &forged, &other]).await,
        [200, 429, 200]
    );
}

/// A permit lasts as long as the body: who reads slowly, or goes away, is still counted, or no more.
#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends_or_its_reader_leaves() {
    let quota = Quota::new().max_concurrent(1);
    let limiter = RateLimiter::new(quota)
        .unwrap()
        .max_wait(Duration::ZERO)
        .heed_answers(false);
    let layers = ServiceBuilder::new()
        .layer(RejectionLayer::new())
        .layer(RateLimitLayer::new(limiter.clone()));
    let endless = async || {
        let ticks = stream::unfold((), async |()| {
            super::rig::sleep(ms(5)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from("tick\n")), ()))
        });
        Body::from_stream(ticks)
    };
    let app = Router::new().route("/", get(endless)).layer(layers);
    let url = serve(app).await;
    let mut first = get_with(&url, &[]).await;
    first.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(get_with(&url, &[]).await.status(), 429);
    drop(first);
    until(|| limiter.status("").in_flight == 0).await;
    assert_eq!(get_with(&url, &[]).await.status(), 200);
}

#[tokio::test]
async fn tower_http_stands_above_and_below() {
    let limiter = limiter(2, Scope::All);
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            LONG,
        ))
        .layer(CompressionLayer::new().compress_when(|_: StatusCode, _, _: &_, _: &_| true))
        .layer(
            RejectionLayer::new()
                .advertise("", limiter.clone())
                .unwrap(),
        )
        .layer(RateLimitLayer::new(limiter))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            ms(50),
        ));
    let app = Router::new()
        .route("/", get(async || "served ".repeat(100)))
        .route("/slow", get(std::future::pending::<()>))
        .layer(layers);
    let url = serve(app).await;
    let client = ServiceBuilder::new()
        .layer(DecompressionLayer::new())
        .service(client());
    let ask = async |path: &str| {
        let request = Request::get(format!("{url}{path}")).body(Empty::<Bytes>::new());
        let response = within(client.clone().oneshot(request.unwrap()))
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    let (head, body) = ask("/").await;
    assert_eq!((head.status.as_u16(), body.len()), (200, 700));
    assert!(head.headers.contains_key("ratelimit"));
    assert_eq!(ask("/slow").await.0.status, 504, "the one below");
    let (head, problem) = ask("/").await;
    assert_eq!(head.status, 429);
    assert!(serde_json::from_slice::<serde_json::Value>(&problem).is_ok());
}

/// What passes through a handler that asks a stack in its state.
async fn relay(State(upstreams): State<Front>, body: axum::body::Bytes) -> Response<Body> {
    let request = Request::post("/v1/chat/completions")
        .body(Full::new(body))
        .unwrap();
    match upstreams.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => rejection::response(&error).map(Body::new),
    }
}

async fn relaying(rig: &Rig) -> String {
    let app = Router::new().route("/", axum::routing::post(relay));
    serve(app.with_state(rig.over(client()))).await
}

async fn post(url: &str, chat: &serde_json::Value) -> Response<hyper::body::Incoming> {
    let request = Request::post(url)
        .body(Full::<Bytes>::from(chat.to_string()))
        .unwrap();
    within(client().request(request)).await.unwrap()
}

#[tokio::test]
async fn a_stack_in_the_state_answers_retries_and_falls_back() {
    let rig = Rig::new().await;
    rig.groq
        .script([Reply::Overloaded, Reply::Answer, Reply::Quota]);
    let url = relaying(&rig).await;
    for chat in [chat(), streamed()] {
        let response = post(&url, &chat).await;
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(
        (rig.groq.counts().received, rig.openai.counts().received),
        (3, 1)
    );
}

#[tokio::test]
async fn a_stack_that_has_nobody_left_says_when_to_come_back() {
    let rig = Rig::with(Simulator::groq(), |quota| {
        quota.limit(Limit::requests(1).per_hour())
    })
    .await;
    let url = relaying(&rig).await;
    for _ in 0..2 {
        post(&url, &chat())
            .await
            .into_body()
            .collect()
            .await
            .unwrap();
    }
    let response = post(&url, &chat()).await;
    assert!([429, 503].contains(&response.status().as_u16()));
    let after: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((3_590..=3_600).contains(&after), "{after}");
}

/// The server's caller goes away in the middle of a stream: axum drops the handler's body, and the upstream is left.
#[tokio::test]
async fn who_leaves_the_server_leaves_the_upstream() {
    let slow = Simulator::groq()
        .chunk_interval(ms(20))
        .completion_tokens(1_000);
    let rig = Rig::with(slow, at_once(1)).await;
    let url = relaying(&rig).await;
    let mut chat = streamed();
    chat["max_tokens"] = 1_000.into();
    let mut response = post(&url, &chat).await;
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(rig.groq.counts().in_flight, 1);
    drop(response);
    until(|| rig.groq.counts().in_flight == 0 && rig.occupied(GROQ) == (0, 0)).await;
}
