//! Reads a failed response to its end, within bounds.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http_body::Body;

use crate::clock::Sleep;

/// A failed response that is read to its end, so that its connection can be used again: hyper closes an HTTP/1 connection whose
/// response was dropped unread.
pub(super) struct Drain<R> {
    body: Pin<Box<R>>,
    /// How many bytes it may still have.
    left: u64,
    until: Sleep,
}

impl<R: Body> Drain<R> {
    /// `None` where there is nothing to read, or more than may be.
    pub(super) fn begin(body: R, most: u64, until: impl FnOnce() -> Sleep) -> Option<Self> {
        if most == 0 || body.is_end_stream() || body.size_hint().lower() > most {
            return None;
        }
        Some(Self {
            body: Box::pin(body),
            left: most,
            until: until(),
        })
    }

    /// Ready when there is nothing more to read, or it has taken too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.body.is_end_stream() {
            let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) else {
                return self.until.as_mut().poll(cx);
            };
            let Some(Ok(frame)) = frame else { break };
            // An empty frame counts too: there may be no end of them.
            let length = frame.data_ref().map_or(1, |data| data.remaining().max(1));
            match self.left.checked_sub(length as u64) {
                Some(left) => self.left = left,
                None => break,
            }
        }
        Poll::Ready(())
    }
}
