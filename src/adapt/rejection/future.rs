//! The future of a call that cannot fail.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    body::ResponseBody,
    fields::{Asked, Standing},
    refusal::Refusal,
    response::written,
    settings::Settings,
};
use crate::{
    error::{BoxError, Error},
    outcome::Outcome,
    request::Attempts,
    upstream::ServedBy,
};

pin_project! {
    /// The future of [`Rejection`](super::Rejection).
    pub struct ResponseFuture<F> {
        #[pin]
        step: Step<F>,
        asked: Vec<Asked>,
        settings: Settings,
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
    pub(super) fn calling(call: F, asked: Vec<Asked>, settings: Settings) -> Self {
        Self {
            step: Step::Calling { call },
            asked,
            settings,
        }
    }

    pub(super) fn failed(error: Error, asked: Vec<Asked>, settings: Settings) -> Self {
        Self {
            step: Step::Failed { error: Some(error) },
            asked,
            settings,
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
            Ok(response) => answered(response, this.settings),
            Err(error) => {
                let refusal = Refusal::of(&error);
                let written = written(refusal, this.settings.form, &standing.violated());
                let rejection = match &this.settings.rewrite {
                    Some(rewrite) => rewrite(&error, written),
                    None => written,
                };
                rejection.map(ResponseBody::whole)
            }
        };
        standing.write(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

/// Passes an answer, or hides it.
fn answered<R>(response: Response<R>, settings: &Settings) -> Response<ResponseBody<R>> {
    let outcome = response.extensions().get::<Outcome>();
    let failure = outcome.and_then(Outcome::failure);
    let Some(failure) = failure.filter(|_| settings.hides_failures) else {
        return response.map(ResponseBody::answered);
    };
    let refusal = Refusal::of_answer(failure, response.status());
    let mut rejection = written(refusal, settings.form, &[]);
    // Layers outside, in the same process, are still told who failed, and after which attempts. Nothing else is kept: a client may
    // have put the upstream's words for the status there, which servers repeat.
    keep::<ServedBy>(&response, &mut rejection);
    keep::<Attempts>(&response, &mut rejection);
    rejection.map(ResponseBody::whole)
}

fn keep<T: Clone + Send + Sync + 'static>(
    from: &Response<impl Sized>,
    to: &mut Response<impl Sized>,
) {
    if let Some(value) = from.extensions().get::<T>() {
        to.extensions_mut().insert(value.clone());
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
