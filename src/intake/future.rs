//! The future of a request whose body is taken into memory.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::{collect::Collect, settings::Settings};
use crate::error::{BoxError, Error};

pin_project! {
    /// The future of [`Intake`](super::Intake).
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        #[pin]
        step: Step<S, B>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, B>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        Collect { arriving: Box<Arriving<S, B>> },
        // The body lay in memory: the service that was made ready is used.
        Call { #[pin] call: S::Future },
        Oneshot { call: Pin<Box<Oneshot<S, Request<Full<Bytes>>>>> },
        Failed { error: Option<Error> },
    }
}

/// A request whose body is not there yet.
struct Arriving<S, B> {
    collect: Collect<B>,
    held: Option<(Parts, S)>,
    settings: Arc<Settings>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn collect(
        collect: Collect<B>,
        parts: Parts,
        service: S,
        settings: Arc<Settings>,
    ) -> Self {
        let arriving = Box::new(Arriving {
            collect,
            held: Some((parts, service)),
            settings,
        });
        Self {
            step: Step::Collect { arriving },
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

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    S::Error: Into<BoxError> + 'static,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepProjection::Collect { arriving } => {
                    let body = ready!(arriving.collect.poll(cx)).map_err(Error::Body)?;
                    let (parts, service) =
                        arriving.held.take().expect("held until the body is there");
                    let request = arriving.settings.request(parts, body);
                    let call = Box::pin(Oneshot::new(service, request));
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

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
