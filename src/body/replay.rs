//! Request bodies that can be sent more than once.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};
use pin_project_lite::pin_project;

use super::carried::Carried;
use crate::request::RequestHead;

/// A request body that can be sent again.
///
/// Implemented for the bodies that lie in memory, where a copy shares the bytes. Any other body becomes one as a
/// [`ReplayBody`](super::ReplayBody), which keeps what passes; as a [`Once`], which is sent once; or by
/// [`IntakeLayer`](crate::IntakeLayer), which takes it into memory first.
///
/// ```compile_fail,E0277
/// use tower::{Service, ServiceBuilder, service_fn};
/// use tower_upstream::RetryLayer;
///
/// # type Streaming = http_body_util::StreamBody<futures::stream::Empty<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>>;
/// # fn check<S: Service<http::Request<Streaming>>>(_: S) {}
/// let client = service_fn(async |_: http::Request<Streaming>| Ok::<_, std::io::Error>(http::Response::new(String::new())));
/// // error: the request body `StreamBody<..>` cannot be sent again
/// // note: put a `ReplayBodyLayer` outside of this layer, which keeps what passes of the body ..
/// check(ServiceBuilder::new().layer(RetryLayer::default()).service(client));
/// ```
///
/// The same with one layer more:
///
/// ```
/// use tower::{Service, ServiceBuilder, service_fn};
/// use tower_upstream::{RetryLayer, body::{ReplayBody, ReplayBodyLayer}};
///
/// # type Streaming = http_body_util::StreamBody<futures::stream::Empty<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>>;
/// # fn check<S: Service<http::Request<Streaming>>>(_: S) {}
/// let client = service_fn(async |_: http::Request<ReplayBody<Streaming>>| Ok::<_, std::io::Error>(http::Response::new(String::new())));
/// check(ServiceBuilder::new().layer(ReplayBodyLayer::default()).layer(RetryLayer::default()).service(client));
/// ```
#[diagnostic::on_unimplemented(
    message = "the request body `{Self}` cannot be sent again",
    label = "a retry or a fallback would need to send this body a second time",
    note = "put a `ReplayBodyLayer` outside of this layer, which keeps what passes of the body up to a cap, or an `IntakeLayer`, \
            which takes it into memory",
    note = "or use a body in memory, such as `http_body_util::Full<Bytes>`",
    note = "or wrap the body in `tower_upstream::body::Once`: the request is then sent once and never repeated"
)]
pub trait Replay: Sized {
    /// A copy that sends the same bytes, or `None` when this body can be sent only once. Called before the body is sent.
    fn replay(&self) -> Option<Self>;

    /// Whether this copy, which was made before an attempt, can still be sent now that the attempt has failed. After `true` it
    /// must stay so. Default: it can.
    ///
    /// For bodies that keep what passes. It is asked once, before the wait for the attempt that will send this copy.
    fn claim(&mut self) -> bool {
        true
    }
}

pin_project! {
    /// A body that is sent once: a request that carries it is never repeated, and never fails for that.
    ///
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use tower_upstream::body::{Once, Replay};
    ///
    /// let upload = Once::new(Full::new(bytes::Bytes::from("of any kind")));
    /// assert!(upload.replay().is_none());
    /// ```
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Once<B> {
        #[pin]
        body: B,
    }
}

impl<B> Once<B> {
    /// The body, to be sent once.
    pub fn new(body: B) -> Self {
        Self { body }
    }

    /// The body again.
    pub fn into_inner(self) -> B {
        self.body
    }
}

impl<B> Replay for Once<B> {
    fn replay(&self) -> Option<Self> {
        None
    }
}

impl<B: Body> Body for Once<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

macro_rules! replay_by_clone {
    ($($body:ty),*) => {$(
        impl Replay for $body {
            #[inline]
            fn replay(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

replay_by_clone!((), String, Bytes, Full<Bytes>, Empty<Bytes>);

impl Replay for Full<&'static [u8]> {
    fn replay(&self) -> Option<Self> {
        Some(*self)
    }
}

/// A copy of a request, to be sent later.
///
/// It is kept in pieces: most copies are dropped unused, and to put each together, by moves of some 200 bytes, costs as much as
/// to copy what is in it.
#[derive(Debug)]
pub(crate) struct RequestCopy<B> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    extensions: Carried,
    body: B,
}

impl<B: Replay> RequestCopy<B> {
    /// Extensions included; `None` where the body can be sent only once.
    #[inline(always)]
    pub(crate) fn of(request: &Request<B>) -> Option<Self> {
        Some(Self {
            body: request.body().replay()?,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            extensions: Carried::of(request.extensions()),
        })
    }

    /// See [`Replay::claim`].
    pub(crate) fn claim(&mut self) -> bool {
        self.body.claim()
    }
}

/// A request that was not sent yet.
impl<B> From<Request<B>> for RequestCopy<B> {
    fn from(request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            extensions: Carried::All(head.extensions),
            body,
        }
    }
}

impl<B> RequestCopy<B> {
    pub(crate) fn head(&mut self) -> RequestHead<'_> {
        let extensions = self.extensions.unfold();
        RequestHead::new(&self.method, &self.uri, &self.headers, extensions)
    }

    pub(crate) fn into_request(mut self) -> Request<B> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        *request.extensions_mut() = mem::take(self.extensions.unfold());
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_carries_everything_and_shares_the_bytes() {
        let bytes = Bytes::from_static(b"hello");
        let mut request = Request::post("http://example.com/a?b")
            .header("x-a", "1")
            .body(bytes.clone())
            .unwrap();
        request.extensions_mut().insert(7_u8);
        let copy = RequestCopy::of(&request).unwrap().into_request();
        assert_eq!(copy.method(), request.method());
        assert_eq!(copy.uri(), request.uri());
        assert_eq!(copy.headers(), request.headers());
        assert_eq!(copy.extensions().get::<u8>(), Some(&7));
        assert_eq!(copy.body().as_ptr(), bytes.as_ptr());
    }
}
