//! Bodies on their way to reqwest.

use std::{
    any::Any,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::FutureExt;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

use crate::{body::Replay, error::BoxError};

/// The body of a request that was made with reqwest. One that lies in memory can be sent again, a stream is sent once.
#[derive(Debug)]
pub struct RequestBody(Inner);

#[derive(Debug)]
enum Inner {
    Memory(Full<Bytes>),
    Stream(reqwest::Body),
}

impl RequestBody {
    pub(super) fn new(body: reqwest::Body) -> Self {
        Self(match body.as_bytes() {
            Some(_) => Inner::Memory(Full::new(taken(body))),
            None => Inner::Stream(body),
        })
    }
}

impl Replay for RequestBody {
    fn replay(&self) -> Option<Self> {
        match &self.0 {
            Inner::Memory(body) => Some(Self(Inner::Memory(body.clone()))),
            Inner::Stream(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut self.get_mut().0 {
            Inner::Memory(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map_err(|never| match never {})
            }
            Inner::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Memory(body) => body.is_end_stream(),
            Inner::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Memory(body) => body.size_hint(),
            Inner::Stream(body) => body.size_hint(),
        }
    }
}

/// A body as reqwest sends it. One that lies in memory stays so, so that reqwest can send it again after a redirect.
pub(in crate::adapt) fn outgoing<B>(body: B) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut body = Some(body);
    let known: &mut dyn Any = &mut body;
    if let Some(body) = known.downcast_mut::<Option<Full<Bytes>>>() {
        return body.take().map(taken).unwrap_or_default().into();
    }
    if let Some(body) = known.downcast_mut::<Option<reqwest::Body>>() {
        return body.take().unwrap_or_default();
    }
    if let Some(Some(RequestBody(inner))) = known
        .downcast_mut::<Option<RequestBody>>()
        .map(Option::take)
    {
        return match inner {
            Inner::Memory(body) => taken(body).into(),
            Inner::Stream(body) => body,
        };
    }
    match body {
        Some(body) => reqwest::Body::wrap(Shareable(Mutex::new(
            body.map_err(Into::into).boxed_unsync(),
        ))),
        None => reqwest::Body::default(),
    }
}

/// The bytes of a body that has all of them in one frame.
fn taken<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Bytes {
    let frame = body.frame().now_or_never().flatten();
    let data = frame.and_then(|frame| frame.ok()?.into_data().ok());
    data.unwrap_or_default()
}

/// A body that threads may share, as reqwest asks. Nobody waits for the lock, for the body has one owner.
struct Shareable(Mutex<UnsyncBoxBody<Bytes, BoxError>>);

impl Shareable {
    fn body(&mut self) -> Pin<&mut UnsyncBoxBody<Bytes, BoxError>> {
        Pin::new(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for Shareable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.get_mut().body().poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock();
        body.unwrap_or_else(PoisonError::into_inner).size_hint()
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock();
        body.unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    #[test]
    fn a_body_in_memory_is_not_copied() {
        let bytes = Bytes::from_static(b"hello");
        let body = outgoing(Full::new(bytes.clone()));
        let body = RequestBody::new(body);
        let again = body.replay().expect("it lies in memory");
        for body in [body, again] {
            let sent = outgoing(body);
            assert_eq!(sent.as_bytes().map(<[u8]>::as_ptr), Some(bytes.as_ptr()));
        }
        assert_eq!(
            outgoing(Full::<Bytes>::default()).as_bytes(),
            Some(&b""[..])
        );
    }

    #[test]
    fn a_stream_is_sent_once_and_whole() {
        let frames = ["he", "llo"].map(|text| Ok::<_, BoxError>(Frame::data(Bytes::from(text))));
        let body = RequestBody::new(outgoing(StreamBody::new(stream::iter(frames))));
        assert!(body.replay().is_none());
        let sent = outgoing(body).collect().now_or_never().unwrap().unwrap();
        assert_eq!(sent.to_bytes(), "hello");
    }
}
