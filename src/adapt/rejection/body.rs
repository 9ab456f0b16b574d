//! The body of an answer, or of a refusal.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;

use crate::error::BoxError;

pin_project! {
    /// The body of what the inner service answered, or of a refusal.
    ///
    /// The default is empty, as layers want it that answer by themselves, such as tower-http's `TimeoutLayer`.
    #[derive(Debug)]
    pub struct ResponseBody<R> {
        #[pin]
        body: Either<R, Full<Bytes>>,
    }
}

impl<R> ResponseBody<R> {
    pub(super) fn answered(body: R) -> Self {
        Self {
            body: Either::Left(body),
        }
    }

    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            body: Either::Right(Full::new(body)),
        }
    }
}

impl<R> Default for ResponseBody<R> {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl<R> Body for ResponseBody<R>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

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
