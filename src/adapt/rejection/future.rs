//! The future of a call that cannot fail.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    body::ResponseBody,
    fields::{Asked, Standing},
    problem::written,
    settings::Rewrite,
};
use crate::error::{BoxError, Error};

pin_project! {
    /// The future of [`Rejection`](super::Rejection).
    pub struct ResponseFuture<F> {
        #[pin]
        step: Step<F>,
        asked: Vec<Asked>,
        rewrite: Option<Arc<Rewrite>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Calling {
            #[pin]
            call: F,
        },
        Failed {
            error: Option<Error>,
        },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn calling(call: F, asked: Vec<Asked>, rewrite: Option<Arc<Rewrite>>) -> Self {
        Self {
            step: Step::Calling { call },
            asked,
            rewrite,
        }
    }

    pub(super) fn failed(error: Error, asked: Vec<Asked>, rewrite: Option<Arc<Rewrite>>) -> Self {
        Self {
            step: Step::Failed { error: Some(error) },
            asked,
            rewrite,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError> + 'static,
{
    type Output = Result<Response<ResponseBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.step.project() {
            StepProjection::Calling { call } => ready!(call.poll(cx)).map_err(Error::from_service),
            StepProjection::Failed { error } => {
                Err(error.take().expect("polled after it was ready"))
            }
        };
        let standing = Standing::of(this.asked);
        let mut response = match result {
            Ok(response) => response.map(ResponseBody::answered),
            Err(error) => {
                let problem = written(&error, &standing.violated());
                let rejection = match this.rewrite {
                    Some(rewrite) => rewrite(&error, problem),
                    None => problem,
                };
                rejection.map(ResponseBody::refused)
            }
        };
        standing.write(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
