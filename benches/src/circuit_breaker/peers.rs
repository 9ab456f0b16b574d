//! The crate's breaker and its peers, ready to be compared.

use std::{
    convert::Infallible,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use failsafe::{
    Config, FailurePolicy, StateMachine,
    backoff::{self, Constant},
    failure_policy::{self, ConsecutiveFailures, SuccessRateOverTimeWindow},
};
use http::{Request, Response};
use http_body_util::Full;
use recloser::{AnyError, AsyncRecloser, Recloser, RecloserFuture};
use tower::Layer;
use tower_resilience_circuitbreaker::{
    CircuitBreaker as Resilience, CircuitBreakerConfigBuilder, CircuitBreakerHandle,
    CircuitBreakerLayer as ResilienceLayer, DefaultClassifier, SlidingWindowType,
};
use tower_service::Service;
use tower_upstream::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, Scope,
    circuit_breaker::{CircuitBreak, Over},
};

use crate::requests::{Inner, Tenant};

/// A rule over the last calls, as all of them have it.
pub const CALLS: u32 = 100;
/// A rule over time.
pub const TIME: Duration = Duration::from_secs(60);

pub fn ours(breaker: CircuitBreaker) -> CircuitBreak<Inner> {
    CircuitBreakerLayer::new(breaker).layer(Inner)
}

pub fn breaker(policy: CircuitBreakerPolicy) -> CircuitBreaker {
    CircuitBreaker::new(policy).expect("the policy is valid")
}

pub fn over_calls() -> CircuitBreakerPolicy {
    CircuitBreakerPolicy::never()
        .failure_rate(0.5)
        .window(Over::Calls(CALLS))
}

pub fn over_time() -> CircuitBreakerPolicy {
    CircuitBreakerPolicy::never()
        .failure_rate(0.5)
        .window(Over::Time(TIME))
}

pub fn in_a_row() -> CircuitBreakerPolicy {
    CircuitBreakerPolicy::never().consecutive_failures(5)
}

pub fn by_tenant() -> Scope {
    Scope::by(|head| Tenant::of(head.extensions))
}

pub type Resilient = Resilience<Inner, DefaultClassifier>;

/// tower-resilience's breaker, and its handle.
pub fn resilience(
    window: SlidingWindowType,
) -> (Resilient, CircuitBreakerHandle<DefaultClassifier>) {
    with_handle(
        ResilienceLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_type(window)
            .sliding_window_size(CALLS as usize)
            .sliding_window_duration(TIME)
            .minimum_number_of_calls(10),
    )
}

fn with_handle(
    builder: CircuitBreakerConfigBuilder<DefaultClassifier>,
) -> (Resilient, CircuitBreakerHandle<DefaultClassifier>) {
    let (layer, handle) = builder
        .wait_duration_in_open(Duration::from_secs(3_600))
        .build_with_handle()
        .expect("the settings are valid");
    (layer.layer(Inner), handle)
}

/// failsafe's breaker of failures in a row.
pub fn failsafe_in_a_row() -> Failsafe<ConsecutiveFailures<Constant>> {
    Failsafe::of(failure_policy::consecutive_failures(5, hour()))
}

/// failsafe's breaker over time.
pub fn failsafe_over_time() -> Failsafe<SuccessRateOverTimeWindow<Constant>> {
    let policy = failure_policy::success_rate_over_time_window(0.5, 10, TIME, hour());
    Failsafe::of(policy)
}

fn hour() -> Constant {
    backoff::constant(Duration::from_secs(3_600))
}

/// The shortest service that asks failsafe.
pub struct Failsafe<P> {
    pub machine: StateMachine<P, ()>,
    inner: Inner,
}

impl<P: FailurePolicy> Failsafe<P> {
    fn of(policy: P) -> Self {
        Self {
            machine: Config::new().failure_policy(policy).build(),
            inner: Inner,
        }
    }
}

impl<P: FailurePolicy> Clone for Failsafe<P> {
    fn clone(&self) -> Self {
        Self {
            machine: self.machine.clone(),
            inner: Inner,
        }
    }
}

impl<P: FailurePolicy> Service<Request<()>> for Failsafe<P> {
    type Response = Answer;
    type Error = Infallible;
    type Future = Judged<P>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let call = self.machine.is_call_permitted();
        Judged {
            call: call.then(|| self.inner.call(request)),
            machine: self.machine.clone(),
        }
    }
}

/// Tells failsafe how the call ended; a refused one answers with an empty response.
pub struct Judged<P> {
    call: Option<future::Ready<Result<Answer, Infallible>>>,
    machine: StateMachine<P, ()>,
}

impl<P: FailurePolicy> Future for Judged<P> {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(Ok(Answer::default()));
        };
        let result = Pin::new(call).poll(context);
        match &result {
            Poll::Ready(Ok(answer)) if answer.status().is_server_error() => self.machine.on_error(),
            Poll::Ready(_) => self.machine.on_success(),
            Poll::Pending => {}
        }
        result
    }
}

// Nothing in it is pinned.
impl<P> Unpin for Judged<P> {}

/// recloser's breaker, over the last calls.
pub fn recloser() -> Reclosed {
    let recloser = Recloser::custom()
        .error_rate(0.5)
        .closed_len(CALLS as usize)
        .open_wait(Duration::from_secs(3_600))
        .build();
    Reclosed {
        recloser: recloser.into(),
        inner: Inner,
    }
}

/// The shortest service that asks recloser, which is asked at the first poll.
#[derive(Clone)]
pub struct Reclosed {
    pub recloser: AsyncRecloser,
    inner: Inner,
}

impl Service<Request<()>> for Reclosed {
    type Response = Answer;
    type Error = recloser::Error<Infallible>;
    type Future = RecloserFuture<future::Ready<Result<Answer, Infallible>>, AnyError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.recloser.call(self.inner.call(request))
    }
}

type Answer = Response<Full<Bytes>>;
