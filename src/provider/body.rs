//! The body of a provider's answer: what was peeked, then the rest, with the usage read as it passes.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{meter::Meter, witness::Witness};
use crate::{error::BoxError, observe::End, signal::usage::Ending};

pin_project! {
    /// The body of a provider's answer, byte for byte as it was sent.
    ///
    /// A stream that breaks off ends with a [`StreamError`].
    pub struct ProviderBody<B> {
        // What was read ahead, already counted.
        peeked: VecDeque<Frame<Bytes>>,
        #[pin]
        rest: Rest<B>,
        // Whether the rest has ended or broken: not every body bears to be asked again.
        is_over: bool,
        watch: Watch,
        // What the body still has to fail with.
        error: Option<BoxError>,
    }
}

pin_project! {
    #[project = RestProjection]
    enum Rest<B> {
        // Nothing was read ahead: the body stays where it is.
        Inline { #[pin] body: B },
        Boxed { body: Pin<Box<B>> },
    }
}

/// Who sees what passes, until the end.
struct Watch {
    // A box: the body is moved through every layer.
    meter: Option<Box<Meter>>,
    witness: Option<Box<Witness>>,
}

/// A stream that broke off after a part of it had been passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The provider sent an error in the middle of its answer.
    #[error("the provider broke its answer off with an error")]
    ErrorEvent,
    /// The stream ended without the event that ends it.
    #[error("the stream ended before the answer did")]
    Unterminated,
}

impl<B> ProviderBody<B> {
    pub(super) fn passing(body: B, meter: Option<Box<Meter>>, witness: Option<Box<Witness>>) -> Self
    where
        B: Body,
    {
        let mut watch = Watch { meter, witness };
        // Nobody asks such a body for anything.
        let error = body.is_end_stream().then(|| watch.finish(false)).flatten();
        Self {
            peeked: VecDeque::new(),
            rest: Rest::Inline { body },
            is_over: false,
            watch,
            error,
        }
    }

    /// A body of which the beginning was read ahead; `end` is how it ended, where that was seen.
    pub(super) fn peeked(
        peeked: VecDeque<Frame<Bytes>>,
        rest: Pin<Box<B>>,
        end: Option<Result<(), BoxError>>,
        meter: Option<Box<Meter>>,
        witness: Option<Box<Witness>>,
    ) -> Self {
        let (mut watch, is_over) = (Watch { meter, witness }, end.is_some());
        let error = match end {
            // What is wrong with it must be known before its size is told.
            Some(Ok(())) => watch.finish(false),
            Some(Err(error)) => Some(error),
            None => None,
        };
        Self {
            peeked,
            rest: Rest::Boxed { body: rest },
            is_over,
            watch,
            error,
        }
    }
}

impl<B> Body for ProviderBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Some(frame) = this.peeked.pop_front() {
            let is_last = *this.is_over || this.rest.is_end_stream();
            if is_last && this.peeked.is_empty() && this.error.is_none() {
                *this.error = this.watch.finish(false);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = this.error.take() {
            *this.is_over = true;
            this.watch.finish(true);
            return Poll::Ready(Some(Err(error)));
        }
        if *this.is_over {
            return Poll::Ready(this.watch.finish(false).map(Err));
        }
        match ready!(this.rest.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => {
                let frame = frame.map_data(into_bytes);
                let broke_off = this.watch.count(&frame);
                if broke_off || this.rest.is_end_stream() {
                    *this.error = this.watch.finish(false);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                *this.is_over = true;
                this.watch.finish(true);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                *this.is_over = true;
                Poll::Ready(this.watch.finish(false).map(Err))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.peeked.is_empty()
            && self.error.is_none()
            && self.watch.meter.is_none()
            && (self.is_over || self.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self
            .peeked
            .iter()
            .filter_map(Frame::data_ref)
            .map(|data| data.len() as u64)
            .sum::<u64>();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        // Of one that broke off while it was read ahead, the rest says that nothing is left: a server would take the answer for a
        // whole one, and send less than its head has promised.
        if let (Some(upper), None) = (rest.upper(), &self.error) {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

impl<B> Rest<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let frame = match self.project() {
            RestProjection::Inline { body } => ready!(body.poll_frame(cx)),
            RestProjection::Boxed { body } => ready!(body.as_mut().poll_frame(cx)),
        };
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Inline { body } => body.is_end_stream(),
            Self::Boxed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Inline { body } => body.size_hint(),
            Self::Boxed { body } => body.size_hint(),
        }
    }
}

/// The bytes of a piece of data; nothing is copied where they are `Bytes` already.
pub(super) fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

impl Watch {
    /// Counts a frame that passes. Returns whether the answer broke off with it.
    fn count(&mut self, frame: &Frame<Bytes>) -> bool {
        let (Some(meter), Some(data)) = (&mut self.meter, frame.data_ref()) else {
            return false;
        };
        let reading = meter.push(data);
        if let Some(witness) = &mut self.witness
            && reading.content
        {
            witness.saw_content();
        }
        meter.is_broken_off(&reading)
    }

    /// Tells the usage and how the answer ended, once. Returns what is wrong with it, if anything is.
    fn finish(&mut self, is_cut: bool) -> Option<BoxError> {
        let meter = self.meter.take();
        let finished = meter.map(|mut meter| {
            let reading = meter.finish();
            let problem = match meter.is_broken_off(&reading) {
                true => Some(StreamError::ErrorEvent),
                false if meter.is_cut_short(&reading) => Some(StreamError::Unterminated),
                false => None,
            };
            (reading, problem)
        });
        let (reading, problem) = finished.unzip();
        let problem = problem.flatten();
        if let Some(witness) = self.witness.take() {
            let end = match problem.is_some() || is_cut {
                true => End::Broken,
                false => End::Answered,
            };
            witness.ended(end, reading.as_ref());
        }
        problem.map(Into::into)
    }
}

/// A caller who goes away after the last word of a stream has had his answer.
impl Drop for Watch {
    fn drop(&mut self) {
        let Some(witness) = self.witness.take() else {
            return;
        };
        let meter = self.meter.as_ref();
        let Some(mut reading) = meter.map(|meter| meter.reading()) else {
            return;
        };
        match reading.ending {
            Ending::Terminated => {}
            // More of its usage may have been to come.
            Ending::Finished => reading.usage = None,
            Ending::NotAStream | Ending::Unterminated => return,
        }
        witness.ended(End::Answered, Some(&reading));
    }
}

impl<B> fmt::Debug for ProviderBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderBody")
            .field("peeked", &self.peeked.len())
            .finish_non_exhaustive()
    }
}
