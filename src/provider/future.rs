//! The future of a call to a provider.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    asked::Asked,
    body::ProviderBody,
    peek::{Peek, judge},
    settings::Settings,
    witness::Witness,
};
use crate::error::{BoxError, Error};

pin_project! {
    /// The future of [`Provide`](super::Provide).
    pub struct ResponseFuture<F, B> {
        #[pin]
        step: Step<F, B>,
        asked: Asked,
        witness: Option<Box<Witness>>,
        settings: Arc<Settings>,
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
    pub(super) fn new(
        call: F,
        asked: Asked,
        witness: Option<Box<Witness>>,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            step: Step::Call { call },
            asked,
            witness,
            settings,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError> + 'static,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ProviderBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Call { call } => {
                    let result = match this.witness {
                        None => call.poll(cx),
                        Some(witness) => witness.in_scope(|| call.poll(cx)),
                    };
                    let mut witness = this.witness.take_if(|_| result.is_ready());
                    let response = match ready!(result).map_err(Error::from_service) {
                        Ok(response) => response,
                        Err(error) => {
                            witness
                                .into_iter()
                                .for_each(|witness| witness.failed(&error));
                            return Poll::Ready(Err(error));
                        }
                    };
                    if let Some(witness) = &mut witness {
                        witness.saw_head(response.status().as_u16());
                    }
                    match judge(response, this.asked, witness, this.settings) {
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
            .field("dialect", &self.asked.dialect)
            .finish_non_exhaustive()
    }
}
