use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::visit::Visit;

/// The body of an answer. The request counts as in flight until its last byte is taken.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    frames: VecDeque<Bytes>,
    length: Option<u64>,
    interval: Duration,
    cut: bool,
    pause: Option<Pin<Box<Sleep>>>,
    visit: Option<Visit>,
}

impl AnswerBody {
    pub(crate) fn whole(content: impl Into<Bytes>, visit: Visit) -> Self {
        let content = content.into();
        let length = Some(content.len() as u64);
        Self {
            length,
            ..Self::stream(vec![content], Duration::ZERO, visit)
        }
    }

    pub(crate) fn stream(frames: Vec<Bytes>, interval: Duration, visit: Visit) -> Self {
        Self {
            frames: frames.into(),
            length: None,
            interval,
            cut: false,
            pause: None,
            visit: Some(visit),
        }
    }

    /// Promises all, sends the first half and breaks off.
    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self.frames.truncate(self.frames.len().div_ceil(2));
        if let Some(last) = self.frames.back_mut() {
            last.truncate(last.len() / 2);
        }
        self
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let frame = self.frames.pop_front();
        let mut interval = self.interval;
        if self.cut && self.frames.is_empty() {
            interval = BEFORE_A_CUT;
        }
        if !interval.is_zero() {
            self.pause = Some(Box::pin(sleep(interval)));
        }
        if self.is_end_stream() {
            self.visit = None;
        }
        match frame {
            Some(frame) => Poll::Ready(Some(Ok(Frame::data(frame)))),
            None if self.cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What was sent must have left before the connection is cut, which would overtake it.
const BEFORE_A_CUT: Duration = Duration::from_millis(5);
