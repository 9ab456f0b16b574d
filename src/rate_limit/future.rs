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
    pub(super) fn admitted(call: S::Future, permit: Option<Permit>) -> Self {
        Self {
            step: Step::Call { call },
            permit,
        }
    }

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
                StepProjection::Wait { wait } => {
                    let permit = match this.permit {
                        Some(permit) => permit,
                        None => this.permit.insert(ready!(wait.poll_turn(cx))?),
                    };
                    if let Err(error) = ready!(wait.service.poll_ready(cx)) {
                        // The future may live on for long: what was taken is given back now.
                        *this.permit = None;
                        return Poll::Ready(Err(Error::from_service(error)));
                    }
                    permit.send();
                    let request = wait.request.take().expect("held until it is sent");
                    let call = wait.service.call(request);
                    this.step.set(Step::Call { call });
                }
                StepProjection::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after it was ready")));
                }
            }
        };
        match result {
            Ok(response) => {
                if let Some(permit) = this.permit {
                    permit.heed(&response);
                }
                let (head, body) = response.into_parts();
                if body.is_end_stream() {
                    *this.permit = None;
                }
                let body = Tracked::guarded(body, this.permit);
                Poll::Ready(Ok(Response::from_parts(head, body)))
            }
            Err(error) => {
                let error = Error::from_service(error);
                if let Some(permit) = this.permit.take() {
                    permit.fail(&error);
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<S, B> Wait<S, B> {
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
