//! The future of a call through reqwest.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use reqwest::Client;
use tower_service::Service;

use super::convert::{incoming, without_query};

pin_project! {
    /// The future of [`ReqwestService`](super::ReqwestService).
    pub struct ResponseFuture {
        #[pin]
        step: Step,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step {
        Calling {
            #[pin]
            call: Pending,
        },
        Failed {
            error: Option<reqwest::Error>,
        },
    }
}

/// reqwest does not tell its name.
type Pending = <Client as Service<reqwest::Request>>::Future;

impl ResponseFuture {
    pub(super) fn calling(call: Pending) -> Self {
        Self {
            step: Step::Calling { call },
        }
    }

    pub(super) fn failed(error: reqwest::Error) -> Self {
        Self {
            step: Step::Failed { error: Some(error) },
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<reqwest::Body>, reqwest::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.project().step.project() {
            StepProjection::Calling { call } => ready!(call.poll(cx)).map(incoming),
            StepProjection::Failed { error } => {
                Err(error.take().expect("polled after it was ready"))
            }
        };
        Poll::Ready(result.map_err(without_query))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
