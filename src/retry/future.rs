//! The future of a call that is tried again.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::course::Course;
use crate::{
    body::Replay,
    clock::Sleep,
    error::{BoxError, Error},
};

pin_project! {
    /// The future of [`Retry`](super::Retry).
    pub struct ResponseFuture<S, B, F> {
        #[pin]
        step: Step<F>,
        course: Course,
        again: Option<Again<S, B>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Calling {
            #[pin]
            call: F,
            timeout: Option<Sleep>,
        },
        Waiting {
            sleep: Sleep,
        },
        // A service is made ready after the wait, not before: its readiness may be a slot that others need.
        Readying,
        Done,
    }
}

/// What another attempt needs: a service, which is not ready yet, and a copy of the request.
pub(super) struct Again<S, B> {
    pub(super) service: S,
    pub(super) request: Request<B>,
}

impl<S, B, F> ResponseFuture<S, B, F> {
    pub(super) fn new(call: F, course: Course, again: Option<Again<S, B>>) -> Self {
        Self {
            step: Step::calling(call, &course),
            course,
            again,
        }
    }
}

impl<F> Step<F> {
    fn calling(call: F, course: &Course) -> Self {
        Self::Calling {
            call,
            timeout: course.timeout(),
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, S::Future>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Replay,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Calling { call, timeout } => {
                    let mut result = match (call.poll(cx), timeout) {
                        (Poll::Ready(result), _) => result.map_err(Error::from_service),
                        (Poll::Pending, None) => return Poll::Pending,
                        (Poll::Pending, Some(timeout)) => {
                            ready!(timeout.as_mut().poll(cx));
                            Err(this.course.timed_out())
                        }
                    };
                    let Some(sleep) = this.course.judge(&mut result, this.again.is_some()) else {
                        this.step.set(Step::Done);
                        return Poll::Ready(result);
                    };
                    // A failed response that lives through the wait would hold its connection.
                    drop(result);
                    this.step.set(Step::Waiting { sleep });
                }
                StepProjection::Waiting { sleep } => {
                    ready!(sleep.as_mut().poll(cx));
                    this.step.set(Step::Readying);
                }
                StepProjection::Readying => {
                    let again = this.again.as_mut().expect(KEPT);
                    ready!(again.service.poll_ready(cx)).map_err(Error::from_service)?;
                    let Again {
                        mut service,
                        mut request,
                    } = this.again.take().expect(KEPT);
                    this.course.resend(&mut request);
                    let copy = this.course.copy(&request);
                    let call = service.call(request);
                    *this.again = copy.map(|request| Again { service, request });
                    this.step.set(Step::calling(call, this.course));
                }
                StepProjection::Done => panic!("polled after it was ready"),
            }
        }
    }
}

impl<S, B, F> fmt::Debug for ResponseFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("course", &self.course)
            .finish_non_exhaustive()
    }
}

const KEPT: &str = "a wait begins only with a request to send after it";
