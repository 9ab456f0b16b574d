//! What each attempt takes from a limiter inside of the retries.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_upstream::{
    Jitter, Limit, Quota, RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
    clock::{Clock, TokioClock},
};

type Body = Full<Bytes>;

/// RL-52, PITFALLS 60: retries pay like anybody else, so that a storm of them is no storm for the upstream.
#[tokio::test(start_paused = true)]
async fn attempts_beyond_the_quota_wait_for_it() {
    let start = TokioClock.now();
    let sent = Arc::<Mutex<Vec<_>>>::default();
    let log = sent.clone();
    let client = service_fn(move |_: Request<Body>| {
        let mut log = log.lock().expect("nobody panics with it");
        log.push(TokioClock.now() - start);
        let status = if log.len() < 3 { 500 } else { 200 };
        let answer = Response::builder().status(status).body(Body::default());
        async { Ok::<_, Infallible>(answer.expect("an answer")) }
    });
    let short = Duration::from_nanos(1);
    let policy = RetryPolicy::default()
        .backoff(short, short)
        .jitter(Jitter::None);
    let quota = Quota::new().limit(Limit::requests(1).per_second().burst(2));
    let limiter = RateLimiter::new(quota).expect("a limiter");
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy).expect("a policy"))
        .layer(RateLimitLayer::new(limiter))
        .service(client);
    let request = Request::get("http://host/").body(Body::default());
    let answer = service.oneshot(request.expect("a request")).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let sent = sent.lock().expect("nobody panics with it");
    let near = |index: usize, millis: u64| {
        let late = sent[index].checked_sub(Duration::from_millis(millis));
        late.is_some_and(|late| late < Duration::from_millis(10))
    };
    assert!(near(0, 0) && near(1, 0) && near(2, 1_000), "{sent:?}");
}
