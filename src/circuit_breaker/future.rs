//! The future of a call through a circuit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::admission::{Admission, GoodHead};
use crate::{
    body::Tracked,
    error::{BoxError, Error},
};

pin_project! {
    /// The future of [`CircuitBreak`](super::CircuitBreak).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepProjection]
    #[derive(Debug)]
    enum Step<F> {
        Admitted {
            #[pin]
            call: F,
            admission: Option<Admission>,
        },
        Refused {
            error: Option<Error>,
        },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn admitted(call: F, admission: Admission) -> Self {
        Self {
            step: Step::Admitted {
                call,
                admission: Some(admission),
            },
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            step: Step::Refused { error: Some(error) },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Into<BoxError>,
{
    type Output = Result<Response<Tracked<B, GoodHead>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProjection::Admitted { call, admission } => {
                let watched = admission.as_mut().expect(POLLED);
                let result = ready!(watched.watch(|| call.poll(cx))).map_err(Error::from_service);
                let mut guard = admission
                    .take()
                    .and_then(|admission| admission.judge(&result));
                Poll::Ready(
                    result.map(|response| response.map(|body| Tracked::guarded(body, &mut guard))),
                )
            }
            StepProjection::Refused { error } => Poll::Ready(Err(error.take().expect(POLLED))),
        }
    }
}

const POLLED: &str = "polled after it was ready";
