//! The future of a call under a rate limit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
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
        Call { #[pin] call: S::Future },
        Wait { wait: Box<Wait<S, B>> },
        Refused { error: Option<Error> },
    }
}

/// A request on its way through the queue, and then to a service that is made ready only now.
struct Wait<S, B> {
    waiter: Box<Waiter>,
    sleep: Option<Sleep>,
    service: S,
    request: Option<Request<B>>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[inline]
    pub(super) fn admitted(call: S::Future, permit: Option<Permit>) -> Self {
        Self {
            step: Step::Call { call },
            permit,
        }
    }

    #[cold]
    pub(super) fn queued(waiter: Box<Waiter>, service: S, request: Request<B>) -> Self {
        let wait = Wait {
            waiter,
            sleep: None,
            service,
            request: Some(request),
        };
        Self {
            step: Step::Wait {
                wait: Box::new(wait),
            },
            permit: None,
        }
    }

    #[inline]
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
    S::Error: Into<BoxError> + 'static,
    R: Body,
{
    type Output = Result<Response<Tracked<R, Permit>>, Error>;

    // As with the service's call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Call { call } => {
                    return Poll::Ready(match ready!(call.poll(cx)) {
                        Ok(response) => Ok(track(response, this.permit)),
                        Err(error) => Err(fail(error, this.permit)),
                    });
                }
                StepProjection::Wait { wait } => {
                    let call = ready!(wait.poll_call(cx, this.permit))?;
                    this.step.set(Step::Call { call });
                }
                StepProjection::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after it was ready")));
                }
            }
        }
    }
}

/// Puts the permit onto the body, if that is not at its end.
#[inline(always)]
fn track<R: Body>(
    response: Response<R>,
    permit: &mut Option<Permit>,
) -> Response<Tracked<R, Permit>> {
    if let Some(permit) = permit {
        permit.heed(&response);
    }
    // Where it stands, for to move it only to end it would take longer than its end.
    if response.body().is_end_stream() {
        *permit = None;
    }
    response.map(|body| Tracked::guarded(body, permit))
}

#[cold]
fn fail(error: impl Into<BoxError> + 'static, permit: &mut Option<Permit>) -> Error {
    let error = Error::from_service(error);
    if let Some(permit) = permit.take() {
        permit.fail(&error);
    }
    error
}

impl<S, B> Wait<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError> + 'static,
{
    /// Sends the request once it is admitted and the service is ready for it.
    #[cold]
    fn poll_call(
        &mut self,
        cx: &mut Context<'_>,
        permit: &mut Option<Permit>,
    ) -> Poll<Result<S::Future, Error>> {
        let admitted = match permit {
            Some(permit) => permit,
            None => permit.insert(ready!(self.poll_turn(cx))?),
        };
        if let Err(error) = ready!(self.service.poll_ready(cx)) {
            // The future may live on for long: what was taken is given back now.
            *permit = None;
            return Poll::Ready(Err(Error::from_service(error)));
        }
        admitted.send();
        let request = self.request.take().expect("held until it is sent");
        Poll::Ready(Ok(self.service.call(request)))
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Error>> {
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
