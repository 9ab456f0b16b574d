//! The future of a call through a circuit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::admission::{Admission, GoodHead, Unwound};
use crate::{
    body::Tracked,
    error::{BoxError, Error},
};

pin_project! {
    /// The future of [`CircuitBreak`](super::CircuitBreak).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = Projected]
    enum State<F> {
        Admitted {
            #[pin]
            call: F,
            admission: Admission,
        },
        Refused {
            refusal: Option<Error>,
        },
    }
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn admitted(call: F, admission: Admission) -> Self {
        Self {
            state: State::Admitted { call, admission },
        }
    }

    pub(super) fn refused(refusal: Error) -> Self {
        let refusal = Some(refusal);
        Self {
            state: State::Refused { refusal },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Into<BoxError> + 'static,
{
    type Output = Result<Response<Tracked<B, GoodHead>>, Error>;

    // As with the service's call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (call, admission) = match self.project().state.project() {
            Projected::Admitted { call, admission } => (call, admission),
            Projected::Refused { refusal } => {
                return Poll::Ready(Err(refusal.take().expect(POLLED)));
            }
        };
        admission.poll();
        let unwound = Unwound(admission);
        let result = call.poll(cx);
        unwound.forget();
        match result {
            Poll::Pending => Poll::Pending,
            // Each way makes an answer of its own: where they come together, it is moved.
            Poll::Ready(Ok(response)) if admission.is_plainly_good(&response) => {
                let (head, body) = response.into_parts();
                if body.is_end_stream() {
                    admission.succeed();
                    let body = Tracked::with(body, None);
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
                let body = Tracked::with(body, admission.guard());
                Poll::Ready(Ok(Response::from_parts(head, body)))
            }
            Poll::Ready(result) => Poll::Ready(judge(admission, result)),
        }
    }
}

/// Looks closer at what came back, and tells the verdict where it falls.
#[inline(never)]
fn judge<B, E>(
    admission: &mut Admission,
    result: Result<Response<B>, E>,
) -> Result<Response<Tracked<B, GoodHead>>, Error>
where
    B: Body,
    E: Into<BoxError> + 'static,
{
    match result {
        Ok(response) => {
            admission.judge(&response);
            Ok(response.map(|body| Tracked::guarded(body, &mut admission.guard())))
        }
        Err(error) => {
            let error = Error::from_service(error);
            admission.judge_error(&error);
            Err(error)
        }
    }
}

const POLLED: &str = "polled after it was ready";
