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
    body::Replay,
    clock::Sleep,
    error::{BoxError, Error},
    upstream::{ServedBy, Upstream},
};

pin_project! {
    /// The future of [`Fallback`](super::Fallback).
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        step: Step<F>,
        onward: Option<Onward<S, B>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Calling {
            #[pin]
            call: F,
            upstream: Upstream,
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

/// What it takes to turn to another upstream. The call of a chain of one has none.
pub(super) struct Onward<S, B> {
    pub(super) course: Course,
    pub(super) service: S,
    /// The request for whoever is asked next, where there may be somebody.
    pub(super) request: Option<Request<B>>,
}

impl<S, B> Onward<S, B> {
    /// Sends the request through the service, which must be ready.
    pub(super) fn send(&mut self, mut request: Request<B>, upstream: &Upstream) -> S::Future
    where
        S: Service<Request<B>>,
        B: Replay,
    {
        self.request = self.course.address(&mut request, upstream);
        self.service.call(request)
    }
}

impl<S, F, B> ResponseFuture<S, F, B> {
    pub(super) fn calling(call: F, upstream: Upstream, onward: Option<Onward<S, B>>) -> Self {
        Self {
            step: Step::Calling { call, upstream },
            onward,
        }
    }

    pub(super) fn waiting(sleep: Sleep, onward: Onward<S, B>) -> Self {
        Self {
            step: Step::Waiting { sleep },
            onward: Some(onward),
        }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self {
            step: Step::Failed { error: Some(error) },
            onward: None,
        }
    }
}

impl<S, F, B, R> Future for ResponseFuture<S, F, B>
where
    S: Service<Request<B>, Response = Response<R>, Future = F>,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<R>, S::Error>>,
    B: Replay,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut step, onward) = (this.step, this.onward);
        loop {
            let next = match step.as_mut().project() {
                StepProjection::Calling { call, upstream } => {
                    let mut result = ready!(call.poll(cx)).map_err(Error::from_service);
                    if let Ok(response) = &mut result {
                        response.extensions_mut().insert(ServedBy(upstream.clone()));
                    }
                    let judged = onward.as_mut().and_then(|onward| {
                        let Onward {
                            course, request, ..
                        } = onward;
                        course.judge(upstream, &result, request.as_mut())
                    });
                    match judged {
                        Some(next) => next,
                        None => return Poll::Ready(result),
                    }
                }
                StepProjection::Readying { upstream } => {
                    let upstream = upstream.clone();
                    let onward = onward.as_mut().expect(SEVERAL);
                    ready!(onward.service.poll_ready(cx)).map_err(Error::from_service)?;
                    let request = onward.request.take().expect(KEPT);
                    let call = onward.send(request, &upstream);
                    step.set(Step::Calling { call, upstream });
                    continue;
                }
                StepProjection::Waiting { sleep } => {
                    ready!(sleep.as_mut().poll(cx));
                    let Onward {
                        course, request, ..
                    } = onward.as_mut().expect(SEVERAL);
                    course.wake(request.as_ref())
                }
                StepProjection::Failed { error } => {
                    let error = error.take().expect("polled after it was ready");
                    return Poll::Ready(Err(error));
                }
            };
            // The failed response is gone by here, and its call goes now: what they hold, a connection or a place under a
            // concurrency limit, is free before the next upstream is asked.
            step.set(match next {
                Move::Ask(upstream) => Step::Readying { upstream },
                Move::Wait(sleep) => Step::Waiting { sleep },
                Move::Fail(error) => Step::Failed { error: Some(error) },
            });
        }
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

const SEVERAL: &str = "only a chain of several waits or goes on";
const KEPT: &str = "nobody is asked without a request to send";
