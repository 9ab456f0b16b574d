//! The future of a call through a circuit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
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
        call: Option<F>,
        admission: Option<Admission>,
        refusal: Option<Error>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn admitted(call: F, admission: Option<Admission>) -> Self {
        Self {
            call: Some(call),
            admission,
            refusal: None,
        }
    }

    pub(super) fn refused(refusal: Error) -> Self {
        Self {
            call: None,
            admission: None,
            refusal: Some(refusal),
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

    // As with the service's call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (Some(call), admission) = (this.call.as_pin_mut(), this.admission) else {
            return Poll::Ready(Err(this.refusal.take().expect(POLLED)));
        };
        admission.as_mut().expect(POLLED).poll();
        let unwound = Unwound(admission.as_mut().expect(POLLED));
        let result = call.poll(cx);
        unwound.forget();
        match ready!(result) {
            Ok(response) => {
                admission.as_mut().expect(POLLED).judge(&response);
                let mut guard = Admission::good_head(admission);
                *admission = None;
                let (head, body) = response.into_parts();
                let body = Tracked::guarded(body, &mut guard);
                Poll::Ready(Ok(Response::from_parts(head, body)))
            }
            Err(error) => {
                let error = Error::from_service(error);
                admission.as_mut().expect(POLLED).judge_error(&error);
                *admission = None;
                Poll::Ready(Err(error))
            }
        }
    }
}

const POLLED: &str = "polled after it was ready";
