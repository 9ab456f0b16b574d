//! Two threads on one stack, and 64 tasks.

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use http::Request;
use tokio::runtime;
use tower_service::Service;

use super::{ours, peers};
use crate::{
    exchange::{Answer, Body, Inner, light},
    harness::Bench,
    race::{BARE, ROUND, Row, compare},
};

pub fn threads(bench: &Bench) {
    let rows = vec![
        Row::light(BARE, Inner),
        Row::light(PEER, peers::four(Inner)),
        Row::light(OURS, ours::four(Inner)).goal(15.0),
    ];
    compare(bench, "two threads, a light request", PEER, rows);
}

/// 64 tasks on two threads, and on one. The service inside answers when it is polled for the second time, so that 64 calls are
/// under way at once.
pub fn tasks(bench: &Bench) {
    let rows = vec![
        Row::measured(BARE, |threads| tasks_on(threads, &Later)),
        Row::measured(PEER, {
            let service = peers::four(Later);
            move |threads| tasks_on(threads, &service)
        }),
        Row::measured(OURS, {
            let service = ours::four(Later);
            move |threads| tasks_on(threads, &service)
        })
        .goal(5.0),
    ];
    compare(bench, "64 tasks on two threads", PEER, rows);
}

/// Million calls a second.
fn tasks_on<S>(threads: usize, service: &S) -> f64
where
    S: Service<Request<Body>, Error: Send, Response: Send, Future: Send> + Clone + Send + 'static,
{
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .expect("there are threads");
    let (calls, ended) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (mut service, request) = (service.clone(), light());
            let (calls, ended) = (calls.clone(), ended.clone());
            runtime.spawn(async move {
                let mut made = 0;
                while !ended.load(Ordering::Relaxed) {
                    for _ in 0..BETWEEN_LOOKS {
                        let ready = poll_fn(|context| service.poll_ready(context)).await;
                        assert!(ready.is_ok(), "the service is not ready");
                        drop(service.call(request.clone()).await);
                        made += 1;
                    }
                    if start.elapsed() > ROUND * 4 {
                        ended.store(true, Ordering::Relaxed);
                    }
                }
                calls.fetch_add(made, Ordering::Relaxed);
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("a task panicked");
        }
    });
    calls.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// Answers at the second poll.
#[derive(Clone)]
struct Later;

impl Service<Request<Body>> for Later {
    type Response = Answer;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(request);
        Answering { was_polled: false }
    }
}

struct Answering {
    was_polled: bool,
}

impl Future for Answering {
    type Output = Result<Answer, std::convert::Infallible>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.was_polled {
            return Poll::Ready(Ok(Answer::default()));
        }
        self.was_polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

const OURS: &str = "four layers";
/// What the others are held against.
const PEER: &str = "tower-resilience's four";
const TASKS: usize = 64;
const BETWEEN_LOOKS: usize = 10;
