//! The future of a call along a chain.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::course::{Course, Move};
use crate::{
    body::{Replay, RequestCopy},
    classify,
    clock::Sleep,
    error::{BoxError, Error},
    upstream::{ServedBy, Upstream},
};

pin_project! {
    /// The future of [`Fallback`](super::Fallback).
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        step: Step<F>,
        // What it takes to turn to another upstream. The call of a chain of one has none.
        course: Option<Course<S>>,
        // The service that makes the calls after the first, once there is one. In a box: most futures never need it, and all are
        // moved with it.
        service: Option<Box<S>>,
        // The request for whoever is asked next, where there may be somebody.
        again: Option<RequestCopy<B>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Calling {
            #[pin]
            call: F,
            upstream: Option<Upstream>,
        },
        Readying {
            upstream: Upstream,
        },
        Waiting {
            sleep: Sleep,
        },
        Failed {
            error: Option<Error>,
        },
    }
}

impl<S, F, B> ResponseFuture<S, F, B> {
    #[inline(always)]
    pub(super) fn calling(
        call: F,
        upstream: Upstream,
        course: Option<Course<S>>,
        again: Option<RequestCopy<B>>,
    ) -> Self {
        let upstream = Some(upstream);
        Self {
            step: Step::Calling { call, upstream },
            course,
            service: None,
            again,
        }
    }

    pub(super) fn waiting(sleep: Sleep, course: Course<S>, request: RequestCopy<B>) -> Self {
        Self {
            step: Step::Waiting { sleep },
            course: Some(course),
            service: None,
            again: Some(request),
        }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self {
            step: Step::Failed { error: Some(error) },
            course: None,
            service: None,
            again: None,
        }
    }
}

impl<S, F, B, R> Future for ResponseFuture<S, F, B>
where
    S: Service<Request<B>, Response = Response<R>, Future = F> + Clone,
    S::Error: Into<BoxError> + 'static,
    F: Future<Output = Result<Response<R>, S::Error>>,
    B: Replay,
{
    type Output = Result<Response<R>, Error>;

    // As with the service's call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepProjection::Calling { call, upstream } => {
                    let Poll::Ready(mut result) = call.poll(cx) else {
                        if let Some(course) = this.course {
                            course.note_start();
                            if course.calls_back(this.again.as_mut()) {
                                continue;
                            }
                        }
                        return Poll::Pending;
                    };
                    // In place: to move a response takes longer than to judge it.
                    if let Ok(response) = &mut result
                        && classify::is_success(response)
                    {
                        if let Some(course) = this.course {
                            course.succeed();
                            course.attach(response);
                        }
                        tell(response, upstream.take());
                        return Poll::Ready(result.map_err(Error::from_service));
                    }
                    let mut result = result.map_err(Error::from_service);
                    let judged = this.course.as_mut().and_then(|course| {
                        course.judge(upstream.as_ref()?, &result, this.again.as_mut())
                    });
                    match judged {
                        Some(next) => next,
                        None => {
                            if let Ok(response) = &mut result {
                                if let Some(course) = this.course {
                                    course.attach(response);
                                }
                                tell(response, upstream.take());
                            }
                            return Poll::Ready(result.map_err(|error| match upstream {
                                Some(upstream) => error.of(upstream.shared_id()),
                                None => error,
                            }));
                        }
                    }
                }
                StepProjection::Readying { upstream } => {
                    let course = this.course.as_mut().expect(SEVERAL);
                    let service = this
                        .service
                        .get_or_insert_with(|| Box::new(course.service()));
                    ready!(service.poll_ready(cx)).map_err(Error::from_service)?;
                    let mut request = this.again.take().expect(KEPT).into_request();
                    *this.again = course.address(&mut request, upstream);
                    let upstream = Some(upstream.clone());
                    let call = service.call(request);
                    this.step.set(Step::Calling { call, upstream });
                    continue;
                }
                StepProjection::Waiting { sleep } => {
                    ready!(sleep.as_mut().poll(cx));
                    let course = this.course.as_mut().expect(SEVERAL);
                    course.wake(this.again.as_mut())
                }
                StepProjection::Failed { error } => {
                    let error = error.take().expect("polled after it was ready");
                    return Poll::Ready(Err(error));
                }
            };
            // The failed response is gone by here, and its call goes now: what they hold, a connection or a place under a
            // concurrency limit, is free before the next upstream is asked.
            this.step.set(match next {
                Move::Ask(upstream) => Step::Readying { upstream },
                Move::Wait(sleep) => Step::Waiting { sleep },
                Move::Fail(error) => Step::Failed { error: Some(error) },
            });
        }
    }
}

/// Tells the caller who answered.
#[inline]
fn tell<R>(response: &mut Response<R>, upstream: Option<Upstream>) {
    if let Some(upstream) = upstream {
        response.extensions_mut().insert(ServedBy(upstream));
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

const SEVERAL: &str = "only a chain of several waits or goes on";
const KEPT: &str = "nobody is asked without a request to send";
