//! The future of a call that is tried again.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{course::Course, drain::Drain, timeout::Timeout};
use crate::{
    body::{Replay, RequestCopy},
    clock::Sleep,
    error::{BoxError, Error},
};

pin_project! {
    /// The future of [`Retry`](super::Retry).
    pub struct ResponseFuture<S, B, F, R> {
        #[pin]
        step: Step<F, R>,
        course: Course<S>,
        // The service that makes the attempts after the first, once there is one. In a box: most futures never need it, and all are
        // moved with it.
        service: Option<Box<S>>,
        // The request for another attempt, where there may be one.
        again: Option<RequestCopy<B>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F, R> {
        Calling {
            #[pin]
            call: F,
            timeout: Option<Timeout>,
        },
        Waiting {
            sleep: Sleep,
            // The response that failed, while it is read.
            drain: Option<Drain<R>>,
        },
        // A service is made ready after the wait, not before: its readiness may be a slot that others need.
        Readying,
        Refused {
            error: Option<Error>,
        },
        Done,
    }
}

impl<S, B, F, R> ResponseFuture<S, B, F, R> {
    #[inline(always)]
    pub(super) fn new(
        call: F,
        timeout: Option<Timeout>,
        course: Course<S>,
        again: Option<RequestCopy<B>>,
    ) -> Self {
        Self {
            step: Step::Calling { call, timeout },
            course,
            service: None,
            again,
        }
    }

    #[cold]
    pub(super) fn refused(error: Error, course: Course<S>) -> Self {
        let error = Some(error);
        Self {
            step: Step::Refused { error },
            course,
            service: None,
            again: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, S::Future, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError> + 'static,
    B: Replay,
    R: Body,
{
    type Output = Result<Response<R>, Error>;

    // As with the service's call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Calling { call, timeout } => {
                    let mut result = match (call.poll(cx), timeout) {
                        (Poll::Ready(result), _) => {
                            // In place: to move a response takes longer than to judge it.
                            if result
                                .as_ref()
                                .is_ok_and(|response| this.course.accepts(response))
                            {
                                return Poll::Ready(result.map_err(Error::from_service));
                            }
                            result.map_err(Error::from_service)
                        }
                        (Poll::Pending, None) => {
                            this.course.note_start();
                            return Poll::Pending;
                        }
                        (Poll::Pending, Some(timeout)) => {
                            ready!(timeout.poll(this.course.clock(), cx));
                            Err(this.course.timed_out())
                        }
                    };
                    let judged = this.course.judge(&mut result, this.again.as_mut());
                    let Some(sleep) = judged else {
                        this.step.set(Step::Done);
                        *this.again = None;
                        return Poll::Ready(result);
                    };
                    let (most, until) = this.course.drain();
                    let drain = match result {
                        Ok(response) => Drain::begin(response.into_body(), most, until),
                        Err(_) => None,
                    };
                    this.step.set(Step::Waiting { sleep, drain });
                }
                StepProjection::Waiting { sleep, drain } => {
                    let slept = sleep.as_mut().poll(cx);
                    // One that lives on through the wait would hold its connection. It is looked at even where there is no wait:
                    // what is short has mostly come with its head.
                    if drain
                        .as_mut()
                        .is_some_and(|drain| drain.poll(cx).is_ready())
                    {
                        *drain = None;
                    }
                    ready!(slept);
                    this.step.set(Step::Readying);
                }
                StepProjection::Readying => {
                    let course = &*this.course;
                    let service = this
                        .service
                        .get_or_insert_with(|| Box::new(course.service()));
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        this.step.set(Step::Done);
                        (*this.service, *this.again) = (None, None);
                        return Poll::Ready(Err(Error::from_service(error)));
                    }
                    let mut request = this.again.take().expect(KEPT).into_request();
                    this.course.advance();
                    if this.course.may_go_on() {
                        *this.again = RequestCopy::of(&request);
                    }
                    let timeout = this.course.resend(&mut request);
                    let call = service.call(request);
                    if this.again.is_none() {
                        *this.service = None;
                    }
                    this.step.set(Step::Calling { call, timeout });
                }
                StepProjection::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect(POLLED)));
                }
                StepProjection::Done => panic!("{POLLED}"),
            }
        }
    }
}

impl<S, B, F, R> fmt::Debug for ResponseFuture<S, B, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

const POLLED: &str = "polled after it was ready";
const KEPT: &str = "a wait begins only with a request to send after it";
