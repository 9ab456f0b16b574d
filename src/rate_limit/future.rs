//! The future of a call under a rate limit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    permit::Permit,
    waiter::{Waiter, Wake},
};
use crate::{
    body::Tracked,
    clock::Sleep,
    error::{BoxError, Error},
};

pin_project! {
    /// The future of [`RateLimit`](super::RateLimit).
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        step: Step<S, B>,
        permit: Option<Permit>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, B>
    where
        S: Service<Request<B>>,
    {
        // Admitted at once: the service that was made ready is used.
        Call { #[pin] call: S::Future },
        Wait { wait: Box<Wait<S, B>> },
        // Admitted after a wait: a service is made ready now, not before.
        Oneshot { #[pin] call: Pin<Box<Oneshot<S, Request<B>>>> },
        Refused { error: Option<Error> },
    }
}

struct Wait<S, B> {
    waiter: Waiter,
    sleep: Option<Sleep>,
    held: Option<(S, Request<B>)>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn admitted(call: S::Future, permit: Permit) -> Self {
        Self {
            step: Step::Call { call },
            permit: Some(permit),
        }
    }

    pub(super) fn queued(waiter: Waiter, service: S, request: Request<B>) -> Self {
        let wait = Wait {
            waiter,
            sleep: None,
            held: Some((service, request)),
        };
        Self {
            step: Step::Wait {
                wait: Box::new(wait),
            },
            permit: None,
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            step: Step::Refused { error: Some(error) },
            permit: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<Tracked<R, Permit>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.step.as_mut().project() {
                StepProjection::Call { call } => break ready!(call.poll(cx)),
                StepProjection::Oneshot { call } => break ready!(call.poll(cx)),
                StepProjection::Wait { wait } => {
                    *this.permit = Some(ready!(wait.poll(cx))?);
                    let (service, request) = wait.held.take().expect("held until admitted");
                    let call = Box::pin(Oneshot::new(service, request));
                    this.step.set(Step::Oneshot { call });
                }
                StepProjection::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after it was ready")));
                }
            }
        };
        let result = result.map_err(Error::from_service);
        let permit = this.permit.take().and_then(|permit| permit.ride(&result));
        Poll::Ready(result.map(|response| response.map(|body| Tracked::guarded(body, permit))))
    }
}

impl<S, B> Wait<S, B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Error>> {
        loop {
            match self.waiter.turn(cx.waker()) {
                Wake::Admitted(permit) => return Poll::Ready(Ok(permit)),
                Wake::Refused(error) => return Poll::Ready(Err(error)),
                Wake::Sleep(None) => {
                    self.sleep = None;
                    return Poll::Pending;
                }
                Wake::Sleep(Some(until)) => {
                    let sleep = self.sleep.insert(self.waiter.clock().sleep_until(until));
                    ready!(sleep.as_mut().poll(cx));
                }
            }
        }
    }
}

impl<S, B> std::fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}
