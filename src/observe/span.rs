//! Spans for `tracing`: [`SpanLayer`] opens one for each request; each attempt is a child of it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{
    Instrument, Level, Span, field::Empty, info_span, instrument::Instrumented,
    level_filters::LevelFilter,
};

use super::{names::gen_ai_provider, receipt::Receipt, trace::TARGET};
use crate::{
    error::{BoxError, Error},
    request::Attempts,
    upstream::{ServedBy, Upstream},
};

/// Opens a span `request` for each request, and is meant to be the outermost layer: whatever the layers inside tell of the
/// request is told within it, and each attempt that the [`ProviderLayer`](crate::ProviderLayer) makes is a child.
///
/// It ends with the head of the answer. Without a subscriber that wants it, it costs a branch. Its fields are in the table
/// of the [module docs](super#spans); where the request went to (a URL may hold a key) and what it said are not among them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanLayer(());

impl SpanLayer {
    /// A layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for SpanLayer {
    type Service = Spanned<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Spanned { inner }
    }
}

/// The service of [`SpanLayer`].
#[derive(Clone, Debug)]
pub struct Spanned<S> {
    inner: S,
}

impl<S> Spanned<S> {
    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Spanned<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError> + 'static,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = SpannedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if LevelFilter::current() < Level::INFO {
            let call = self.inner.call(request);
            let step = Step::Plain { call };
            return SpannedFuture { step };
        }
        let span = info_span!(
            target: TARGET,
            "request",
            http.request.method = %request.method(),
            http.response.status_code = Empty,
            upstream = Empty,
            failed_attempts = Empty,
            error.type = Empty,
        );
        let call = span.in_scope(|| self.inner.call(request));
        let step = Step::Spanned {
            call: call.instrument(span),
        };
        SpannedFuture { step }
    }
}

pin_project! {
    /// The future of [`Spanned`].
    pub struct SpannedFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        // Nobody wants the span.
        Plain { #[pin] call: F },
        Spanned { #[pin] call: Instrumented<F> },
    }
}

impl<F, R, E> Future for SpannedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError> + 'static,
{
    type Output = Result<Response<R>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProjection::Plain { call } => call.poll(cx).map_err(Error::from_service),
            StepProjection::Spanned { mut call } => {
                let result = ready!(call.as_mut().poll(cx)).map_err(Error::from_service);
                if !call.span().is_disabled() {
                    record(call.span(), &result);
                }
                Poll::Ready(result)
            }
        }
    }
}

fn record<R>(span: &Span, result: &Result<Response<R>, Error>) {
    match result {
        Ok(response) => {
            span.record("http.response.status_code", response.status().as_u16());
            let extensions = response.extensions();
            if let Some(ServedBy(upstream)) = extensions.get() {
                span.record("upstream", upstream.id());
            }
            if let Some(attempts) = extensions.get::<Attempts>() {
                span.record("failed_attempts", attempts.count());
            }
        }
        Err(error) => {
            if let Error::Exhausted(exhausted) = error {
                span.record("failed_attempts", exhausted.attempts.len());
            }
            span.record("error.type", error.failure().kind.as_str());
        }
    }
}

impl<F> fmt::Debug for SpannedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = match &self.step {
            Step::Plain { .. } => None,
            Step::Spanned { call } => Some(call.span()),
        };
        f.debug_struct("SpannedFuture")
            .field("span", &span)
            .finish_non_exhaustive()
    }
}

/// The span of one attempt, from its sending to the end of its answer's body.
///
/// There is none where nobody wants it: with the feature `log` of `tracing`, one that is disabled costs as much as an event.
pub(crate) struct AttemptSpan(Option<Span>);

impl AttemptSpan {
    pub(crate) fn new(upstream: Option<&Upstream>, operation: &'static str) -> Self {
        if LevelFilter::current() < Level::INFO {
            return Self(None);
        }
        let span = info_span!(
            target: TARGET,
            "attempt",
            upstream = upstream.map(Upstream::id),
            gen_ai.operation.name = Some(operation).filter(|operation| !operation.is_empty()),
            gen_ai.provider.name = upstream.map(|upstream| gen_ai_provider(upstream.provider().name())),
            gen_ai.request.model = upstream.and_then(Upstream::model),
            end = Empty,
            http.response.status_code = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.usage.cache_read.input_tokens = Empty,
            gen_ai.response.time_to_first_chunk = Empty,
            error.type = Empty,
        );
        Self(Some(span).filter(|span| !span.is_disabled()))
    }

    /// Does this within the span.
    pub(crate) fn in_scope<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.0 {
            None => act(),
            Some(span) => span.in_scope(act),
        }
    }

    /// Says how the attempt ended.
    pub(crate) fn end(&self, receipt: &Receipt<'_>) {
        let Some(span) = &self.0 else { return };
        span.record("end", receipt.end.as_str());
        if let Some(status) = receipt.status {
            span.record("http.response.status_code", status);
        }
        let usage = &receipt.usage;
        if let Some(input) = usage.input_tokens {
            span.record("gen_ai.usage.input_tokens", input);
        }
        if let Some(output) = usage.output_tokens {
            span.record("gen_ai.usage.output_tokens", output);
        }
        if let Some(cached) = usage.cached_tokens {
            span.record("gen_ai.usage.cache_read.input_tokens", cached);
        }
        if let Some(after) = receipt.content_after.filter(|_| receipt.is_stream) {
            span.record("gen_ai.response.time_to_first_chunk", after.as_secs_f64());
        }
        if let Some(error) = receipt.error_type() {
            span.record("error.type", error);
        }
    }
}
