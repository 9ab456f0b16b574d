//! The least that anything can do which counts calls over time exactly, and for all threads: it reads the clock once, and adds
//! one under a lock. It knows one fixed window, and neither keys, costs, queue nor body: a floor for the others' rows, no
//! limiter.

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::Request;
use tower_service::Service;
use tower_upstream::error::{Error, RateLimited, RefusalReason};

use crate::requests::Inner;

/// The name of its rows.
pub const LEAST: &str = "a clock and a lock";

#[derive(Clone)]
pub struct Least {
    window: Arc<Mutex<(Instant, u64)>>,
    most: u64,
}

impl Least {
    /// Lets so many pass in a minute.
    pub fn new(most: u64) -> Self {
        Self {
            window: Arc::new(Mutex::new((Instant::now(), 0))),
            most,
        }
    }
}

impl Service<Request<()>> for Least {
    type Response = <Inner as Service<Request<()>>>::Response;
    type Error = Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let now = Instant::now();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(window.0) >= Duration::from_secs(60) {
            *window = (now, 0);
        }
        window.1 += 1;
        let is_refused = window.1 > self.most;
        drop(window);
        ready(match is_refused {
            true => Err(Error::RateLimited(RateLimited::new(
                RefusalReason::WaitTooLong,
            ))),
            false => Inner
                .call(request)
                .into_inner()
                .map_err(|never| match never {}),
        })
    }
}
