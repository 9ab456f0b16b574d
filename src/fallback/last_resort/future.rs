//! The future of a call that has a last resort.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::cause::Cause;
use crate::{
    body::Replay,
    classify,
    clock::Clock,
    error::{BoxError, Error},
    fallback::config::falls_back_by_default,
};

pin_project! {
    /// The future of [`LastResort`](super::LastResort).
    pub struct ResponseFuture<F, T, G, B> {
        #[pin]
        step: Step<F, T, G, B>,
        clock: Arc<dyn Clock>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F, T, G, B> {
        Inside {
            #[pin]
            call: F,
            // The backup and its request, where that could be copied.
            backup: Option<(T, Request<B>)>,
        },
        Readying {
            backup: T,
            request: Option<Request<B>>,
        },
        Outside {
            #[pin]
            call: G,
        },
    }
}

impl<F, T, G, B> ResponseFuture<F, T, G, B> {
    pub(super) fn new(call: F, backup: Option<(T, Request<B>)>, clock: Arc<dyn Clock>) -> Self {
        Self {
            step: Step::Inside { call, backup },
            clock,
        }
    }
}

impl<F, T, B, R, L, E> Future for ResponseFuture<F, T, T::Future, B>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError> + 'static,
    T: Service<Request<B>, Response = Response<L>>,
    T::Error: Into<BoxError> + 'static,
    B: Replay,
{
    type Output = Result<Response<Either<R, L>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut step = this.step;
        loop {
            let next = match step.as_mut().project() {
                StepProjection::Inside { call, backup } => {
                    let result = ready!(call.poll(cx)).map_err(Error::from_service);
                    // The time is only asked for what a date in a header means.
                    let failure = classify::failure(&result, &**this.clock);
                    let failure = failure.filter(falls_back_by_default);
                    let mut backup = backup.take();
                    let can_claim = |(_, request): &mut (T, Request<B>)| request.body_mut().claim();
                    let is_whole = failure.is_some() && backup.as_mut().is_some_and(can_claim);
                    let (Some(failure), Some((backup, mut request)), true) =
                        (failure, backup, is_whole)
                    else {
                        return Poll::Ready(result.map(|response| response.map(Either::Left)));
                    };
                    let cause = Cause::new(failure, result.err());
                    request.extensions_mut().insert(cause);
                    Step::Readying {
                        backup,
                        request: Some(request),
                    }
                }
                StepProjection::Readying { backup, request } => {
                    ready!(backup.poll_ready(cx)).map_err(Error::from_service)?;
                    let request = request.take().expect("it is sent once");
                    Step::Outside {
                        call: backup.call(request),
                    }
                }
                StepProjection::Outside { call } => {
                    let result = ready!(call.poll(cx)).map_err(Error::from_service);
                    return Poll::Ready(result.map(|response| response.map(Either::Right)));
                }
            };
            // What failed goes now, and the connection or the place that it holds.
            step.set(next);
        }
    }
}

impl<F, T, G, B> fmt::Debug for ResponseFuture<F, T, G, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
