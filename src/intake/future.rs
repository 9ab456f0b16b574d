//! The future of a request whose body is taken into memory.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, request::Parts};
use http_body_util::{Collected, Full};
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::settings::Settings;
use crate::error::{BoxError, Error};

pin_project! {
    /// The future of [`Intake`](super::Intake).
    pub struct ResponseFuture<S, C>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        #[pin]
        step: Step<S, C>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, C>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        Collect { collect: Pin<Box<C>>, held: Option<(Parts, S, Settings)> },
        // The body lay in memory: the service that was made ready is used.
        Call { #[pin] call: S::Future },
        Oneshot { call: Pin<Box<Oneshot<S, Request<Full<Bytes>>>>> },
        Failed { error: Option<Error> },
    }
}

impl<S, C> ResponseFuture<S, C>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn collect(
        collect: Pin<Box<C>>,
        parts: Parts,
        service: S,
        settings: Settings,
    ) -> Self {
        let held = Some((parts, service, settings));
        Self {
            step: Step::Collect { collect, held },
        }
    }

    pub(super) fn call(call: S::Future) -> Self {
        Self {
            step: Step::Call { call },
        }
    }

    pub(super) fn failed(error: BoxError) -> Self {
        Self {
            step: Step::Failed {
                error: Some(Error::Body(error)),
            },
        }
    }
}

impl<S, C, D> Future for ResponseFuture<S, C>
where
    S: Service<Request<Full<Bytes>>>,
    S::Error: Into<BoxError>,
    C: Future<Output = Result<Collected<D>, BoxError>>,
    D: Buf,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepProjection::Collect { collect, held } => {
                    let body = ready!(collect.as_mut().poll(cx))
                        .map_err(Error::Body)?
                        .to_bytes();
                    let (parts, service, settings) =
                        held.take().expect("held until the body is there");
                    let call = Box::pin(Oneshot::new(service, settings.request(parts, body)));
                    step.set(Step::Oneshot { call });
                }
                StepProjection::Call { call } => return call.poll(cx).map_err(Error::from_service),
                StepProjection::Oneshot { call } => {
                    return call.as_mut().poll(cx).map_err(Error::from_service);
                }
                StepProjection::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after it was ready")));
                }
            }
        }
    }
}

impl<S, C> fmt::Debug for ResponseFuture<S, C>
where
    S: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
