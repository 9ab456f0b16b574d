//! A body on its way into memory.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::Limited;

use crate::error::BoxError;

/// Collects a body. What comes in one piece, as most do, is passed on as it is.
pub(super) struct Collect<B> {
    body: Pin<Box<Limited<B>>>,
    first: Bytes,
    more: Vec<Bytes>,
}

impl<B> Collect<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B, most: usize) -> Self {
        Self {
            body: Box::pin(Limited::new(body, most)),
            first: Bytes::new(),
            more: Vec::new(),
        }
    }

    /// Ready with all of it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BoxError>> {
        while let Some(frame) = ready!(self.body.as_mut().poll_frame(cx)?) {
            // Trailers have no place in memory.
            if let Ok(mut data) = frame.into_data() {
                let piece = data.copy_to_bytes(data.remaining());
                match self.first.is_empty() {
                    true => self.first = piece,
                    false => self.more.push(piece),
                }
            }
        }
        if !self.more.is_empty() {
            self.more.insert(0, std::mem::take(&mut self.first));
            self.first = self.more.concat().into();
        }
        Poll::Ready(Ok(std::mem::take(&mut self.first)))
    }
}
