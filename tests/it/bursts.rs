//! A burst at an upstream of whose limits nothing is known.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use http::{HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_upstream::{
    RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
    clock::{Clock, TokioClock},
};

const PERIOD: Duration = Duration::from_secs(2);

/// What an upstream has taken that takes 20 requests in 2 s.
#[derive(Default)]
struct Window(Mutex<VecDeque<Instant>>);

impl Window {
    /// The wait until there is room.
    fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut taken = self.0.lock().expect("no thread has panicked");
        while taken.front().is_some_and(|at| *at + PERIOD <= now) {
            taken.pop_front();
        }
        match taken.len() {
            20.. => Err(taken[0] + PERIOD - now),
            _ => {
                taken.push_back(now);
                Ok(())
            }
        }
    }
}

/// How many of a hundred requests at once are answered, and how many are sent for that.
async fn burst(names_wait: bool) -> (usize, usize) {
    let (window, sent) = (Window::default(), AtomicUsize::new(0));
    let (window, sent) = (&window, &sent);
    let upstream = service_fn(move |_: Request<String>| async move {
        sent.fetch_add(1, Ordering::Relaxed);
        let taken = window.take(TokioClock.now());
        TokioClock
            .sleep_until(TokioClock.now() + Duration::from_millis(5))
            .await;
        let mut response = Response::new(String::new());
        if let Err(wait) = taken {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let wait = wait.as_secs_f64().ceil() as u64;
            let named = names_wait.then(|| (RETRY_AFTER, HeaderValue::from(wait)));
            response.headers_mut().extend(named);
        }
        Ok::<_, Infallible>(response)
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default().seed(7)).expect("the policy is valid"))
        .layer(RateLimitLayer::new(RateLimiter::default()))
        .service(upstream);
    let calls = (0..100).map(|_| service.clone().oneshot(Request::new(String::new())));
    let answers = join_all(calls).await;
    let answered = answers.iter().flatten();
    let answered = answered.filter(|answer| answer.status().is_success());
    (answered.count(), sent.load(Ordering::Relaxed))
}

/// A new user's test: after 100 requests at once, each wave of retries was a herd again, and 20 to 40 of them were lost.
#[tokio::test(start_paused = true)]
async fn a_burst_at_an_unknown_limit_is_answered_whole() {
    let (answered, sent) = burst(true).await;
    assert_eq!(answered, 100);
    assert!(sent <= 200, "{sent} sent");
}

/// Nobody knows for how long to wait: few are lost, where two in three were.
#[tokio::test(start_paused = true)]
async fn a_burst_at_an_upstream_that_names_no_wait_is_mostly_answered() {
    let (answered, sent) = burst(false).await;
    assert!(answered >= 90, "{answered} answered");
    assert!(sent <= 230, "{sent} sent");
}
