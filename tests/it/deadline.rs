//! A request that comes after its own deadline.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_upstream::{
    Attempts, Chain, Cooldowns, Deadline, Error, FailureKind, FallbackLayer, Provider, Quota,
    RateLimitLayer, RateLimiter, RetryLayer, Stack, Upstream,
    clock::{Clock, TokioClock},
    observe::{Event, Stats},
};

type Body = Full<Bytes>;

/// Counts what is sent. Each answer takes a second.
#[derive(Clone, Default)]
struct Sent(Arc<AtomicU32>);

impl Sent {
    fn service(
        &self,
        status: u16,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let sent = self.0.clone();
        service_fn(move |_| {
            sent.fetch_add(1, Ordering::Relaxed);
            async move {
                TokioClock
                    .sleep_until(TokioClock.now() + Duration::from_secs(1))
                    .await;
                let response = Response::builder().status(status);
                Ok(response.body(Body::default()).expect("a response"))
            }
        })
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

type Boxed = BoxCloneSyncService<Request<Body>, (), Error>;

fn boxed<S, R>(service: S) -> Boxed
where
    S: Service<Request<Body>, Response = Response<R>, Error = Error, Future: Send>,
    S: Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(service.map_response(|_| ()))
}

fn upstreams() -> [Upstream; 2] {
    ["one", "other"].map(|name| {
        let provider = Provider::new(name, "http://host/v1").expect("a URL");
        provider.model("m")
    })
}

fn request(deadline: std::time::Instant) -> Request<Body> {
    let request = Request::post("http://host/v1/chat/completions");
    let mut request = request.body(Body::from("{}")).expect("a request");
    request.extensions_mut().insert(Deadline(deadline));
    request
}

/// A new user's test: a request whose deadline had passed was sent all the same.
#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_has_passed_is_refused_alike_by_each_layer_and_by_a_stack() {
    let sent = Sent::default();
    let limiter = RateLimiter::default();
    let chain = |upstreams: &[Upstream]| FallbackLayer::new(Chain::new(upstreams.to_vec()));
    let all = upstreams();
    let stack = Stack::builder().upstream(all[0].clone()).build();
    let limited = RateLimitLayer::new(limiter.clone()).layer(sent.service(200));
    let retried = RetryLayer::default().layer(sent.service(200));
    let lone = chain(&all[..1]).expect("a chain").layer(sent.service(200));
    let fallen = chain(&all).expect("a chain").layer(sent.service(200));
    let stacked = stack.expect("a stack").layer().layer(sent.service(200));
    let services: [Boxed; 5] = [
        boxed(limited),
        boxed(retried),
        boxed(lone),
        boxed(fallen),
        boxed(stacked),
    ];
    let now = TokioClock.now();
    for (index, service) in services.iter().enumerate() {
        let late = request(now - Duration::from_nanos(1));
        let error = service.clone().oneshot(late).await.unwrap_err();
        assert!(matches!(error, Error::DeadlineExceeded), "{index}: {error}");
        assert!(error.is_unsent());
        let failure = error.failure();
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(!failure.fall_back && !failure.retry_same);
    }
    assert_eq!(sent.count(), 0);
    assert!(limiter.keys().is_empty(), "nothing was counted");
    // One that ends at this very moment is not over, as with the waits that meet it.
    for service in &services {
        let just_in_time = request(TokioClock.now());
        service.clone().oneshot(just_in_time).await.expect("sent");
    }
    assert_eq!(sent.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_is_asked_once_the_deadline_has_passed() {
    let sent = Sent::default();
    let chain = Chain::new(upstreams());
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).expect("a chain"))
        .layer(RetryLayer::default())
        .layer(RateLimitLayer::new(
            RateLimiter::new(Quota::new()).expect("a limiter"),
        ))
        .service(sent.service(500));
    let half = TokioClock.now() + Duration::from_millis(500);
    let response = service.oneshot(request(half)).await.expect("an answer");
    // What the upstream said is the caller's, and the ledger tells of it.
    assert_eq!(response.status(), 500);
    let ledger = response.extensions().get::<Attempts>();
    assert_eq!(ledger.expect("a ledger").count(), 1);
    assert_eq!(sent.count(), 1);
}

/// No event told it, so that whoever lost requests to deadlines could not see it.
#[tokio::test(start_paused = true)]
async fn observers_are_told_where_a_request_came_too_late_and_by_how_much() {
    let (stats, sent) = (Stats::new(), Sent::default());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = lines.clone();
    let listen = move |event: &Event<'_>| heard.lock().expect("no panic").push(event.to_string());
    let observer = (stats.clone(), listen);
    let limiter = RateLimiter::default().observe(observer.clone());
    let retry = RetryLayer::default().observe(observer.clone());
    let chain = FallbackLayer::new(Chain::new(upstreams())).expect("a chain");
    let cooldowns = Cooldowns::new().observe(observer);
    let services: [Boxed; 3] = [
        boxed(RateLimitLayer::new(limiter).layer(sent.service(200))),
        boxed(retry.layer(sent.service(200))),
        boxed(chain.cooldowns(cooldowns).layer(sent.service(200))),
    ];
    for service in services {
        let mut late = request(TokioClock.now() - Duration::from_millis(20));
        late.extensions_mut().insert(upstreams()[0].clone());
        service.oneshot(late).await.expect_err("too late");
    }
    let wanted = [
        ("rate_limit", "one/m"),
        ("retry", "one/m"),
        ("fallback", ""),
    ];
    let wanted = wanted.map(|(layer, upstream)| {
        format!("deadline_exceeded layer={layer:?} upstream={upstream:?} late_s=0.02")
    });
    assert_eq!(*lines.lock().expect("no panic"), wanted);
    let counted = stats.snapshot().deadlines_exceeded;
    let layers = ["fallback", "rate_limit", "retry"].map(|layer| (layer, 1));
    assert_eq!(counted, layers.into());
}
