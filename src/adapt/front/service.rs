//! The service around a stack.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, Entry},
    request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    arrival::{whole, within},
    settings::Settings,
};
use crate::{
    adapt::rejection::{OpenAiError, Rejection, ResponseBody},
    error::BoxError,
    request::{Caller, Cost, Deadline, Priority},
    upstream::ServedBy,
};

/// The door of a gateway in OpenAI's format. See the [module docs](super).
///
/// It is always ready: the service inside is made ready when a body has arrived.
#[derive(Clone, Debug)]
pub struct Front<S> {
    inner: Rejection<S>,
    settings: Arc<Settings>,
}

impl<S> Front<S> {
    pub(super) fn new(inner: Rejection<S>, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        self.inner.inner()
    }
}

impl<S, B, R> Service<Request<B>> for Front<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Future: Send>,
    S: Clone + Send + 'static,
    S::Error: Into<BoxError> + 'static,
    B: Body<Data: Send> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Infallible;
    type Future = ResponseFuture<R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, settings) = (self.inner.clone(), self.settings.clone());
        let call = Box::pin(async move {
            let answer = ask(inner, &settings, request).await;
            Ok(answer.unwrap_or_else(|error| error.answer().map(ResponseBody::whole)))
        });
        ResponseFuture { call }
    }
}

async fn ask<S, B, R>(
    inner: Rejection<S>,
    settings: &Settings,
    request: Request<B>,
) -> Result<Response<ResponseBody<R>>, OpenAiError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError> + 'static,
    B: Body,
    R: Body<Data = Bytes>,
{
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if is_read && request.uri().path().ends_with("/models") {
        let mut list = Response::new(ResponseBody::whole(settings.models.clone()));
        list.headers_mut().insert(CONTENT_TYPE, JSON);
        return Ok(list);
    }
    let (head, body) = request.into_parts();
    let body = whole(settings, &head.headers, body).await?;
    let (asked, outline) = settings.names.asked(head.uri.path(), &body)?;
    let Deadline(latest) = Deadline::after(settings.answer_time, &*settings.clock);
    let deadline = Deadline::of(&head.extensions).map_or(latest, |Deadline(own)| own.min(latest));
    let mut request = sent_on(head, body, &settings.sent_on);
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert(outline);
    // Whose turn would come too late is told so at once, and when to come back.
    request.extensions_mut().insert(Deadline(deadline));
    let call = Oneshot::new(inner, request);
    match within(&*settings.clock, settings.answer_time, call).await {
        Some(Ok(answer)) => Ok(passed_back(answer, &settings.passed_back)),
        None => {
            let message = "No answer came in time.";
            Err(OpenAiError::new(StatusCode::GATEWAY_TIMEOUT, message))
        }
    }
}

/// The request without what is between the caller and the gateway. A request of its own, for its version is no concern of the
/// upstream's, and what servers put into the extensions would be copied for each attempt.
fn sent_on(mut head: Parts, body: Bytes, names: &[HeaderName]) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = only(&mut head.headers, names);
    hand_on::<Caller>(&mut head.extensions, request.extensions_mut());
    hand_on::<Priority>(&mut head.extensions, request.extensions_mut());
    hand_on::<Cost>(&mut head.extensions, request.extensions_mut());
    request
}

/// The answer without what is between the gateway and the upstream. An answer of its own: in the extensions of the other may be an
/// upstream's words for the status, which servers repeat.
fn passed_back<R>(answer: Response<R>, names: &[HeaderName]) -> Response<R> {
    let (mut head, body) = answer.into_parts();
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    *answer.headers_mut() = only(&mut head.headers, names);
    if let Some(ServedBy(upstream)) = head.extensions.get()
        && let Ok(id) = HeaderValue::from_str(upstream.id())
    {
        answer.headers_mut().insert(SERVED_BY, id);
    }
    hand_on::<ServedBy>(&mut head.extensions, answer.extensions_mut());
    answer
}

fn only(headers: &mut HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut only = HeaderMap::new();
    for name in names {
        // One name may stand in several lines.
        if let Entry::Occupied(field) = headers.entry(name) {
            let (name, values) = field.remove_entry_mult();
            values.for_each(|value| {
                only.append(name.clone(), value);
            });
        }
    }
    only
}

fn hand_on<T: Clone + Send + Sync + 'static>(from: &mut Extensions, to: &mut Extensions) {
    if let Some(value) = from.remove::<T>() {
        to.insert(value);
    }
}

/// The future of [`Front`].
pub struct ResponseFuture<R> {
    // A body that is on its way is waited for.
    call: Pin<Box<dyn Future<Output = Answer<R>> + Send>>,
}

type Answer<R> = Result<Response<ResponseBody<R>>, Infallible>;

impl<R> Future for ResponseFuture<R> {
    type Output = Answer<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for ResponseFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
