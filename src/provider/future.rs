//! The future of a call to a provider.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    body::ProviderBody,
    peek::{Peek, judge},
    settings::Settings,
};
use crate::{
    error::{BoxError, Error},
    signal::Dialect,
};

pin_project! {
    /// The future of [`Provide`](super::Provide).
    pub struct ResponseFuture<F, B> {
        #[pin]
        step: Step<F, B>,
        dialect: Option<Dialect>,
        settings: Settings,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F, B> {
        Call { #[pin] call: F },
        Peek { peek: Box<Peek<B>> },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn new(call: F, dialect: Option<Dialect>, settings: Settings) -> Self {
        Self {
            step: Step::Call { call },
            dialect,
            settings,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ProviderBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Call { call } => {
                    let response = ready!(call.poll(cx)).map_err(Error::from_service)?;
                    match judge(response, *this.dialect, this.settings) {
                        Ok(response) => return Poll::Ready(Ok(response)),
                        Err(peek) => this.step.set(Step::Peek { peek }),
                    }
                }
                StepProjection::Peek { peek } => return peek.poll(cx).map(Ok),
            }
        }
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}
