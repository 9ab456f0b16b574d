//! [`ReplayBody`]: a body that streams through and can be sent again.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::{
    kept::{Cursor, Kept},
    replay::Replay,
    source::{Content, Loan, Shared, Source, State, longer},
};
use crate::error::BoxError;

/// A body that streams through and can be sent again: what passes is kept, up to a cap.
///
/// 1. The first attempt streams. A later one gets what was kept, and goes on with the rest as it comes, trailers included;
///    several may read at the same time.
/// 2. Nothing is kept while there is no copy: where no further attempt is possible, or where the body says beforehand that it
///    is longer than the cap.
/// 3. A body that turns out to be longer than the cap passes whole to the attempt that is under way. What was kept is freed,
///    and the request cannot be sent again.
/// 4. A body that breaks cannot be sent again either.
/// 5. An attempt that is over may still be read by its connection, as when the answer came early. It cannot push what was kept
///    past the cap once another is to follow: its body ends with an error instead.
///
/// The cap counts bytes of content. Small pieces are put together and large ones shared with the source, so that an allocation
/// that a large piece is a part of lives as long. Trailers are kept besides.
///
/// ```
/// use http_body_util::{BodyExt, Full};
/// use tower_upstream::body::{Replay, ReplayBody};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_upstream::error::BoxError> {
/// let upload = Full::new(bytes::Bytes::from("of any kind"));
/// let first = ReplayBody::new(upload, 64 * 1024);
/// let again = first.replay().expect("nothing has passed yet");
/// assert_eq!(first.collect().await?.to_bytes(), "of any kind");
/// assert_eq!(again.collect().await?.to_bytes(), "of any kind");
/// # Ok(()) }
/// ```
///
/// [`ReplayBodyLayer`](super::ReplayBodyLayer) makes them of the bodies of requests. The ancestor is the replay body of
/// [linkerd2-proxy](https://github.com/linkerd/linkerd2-proxy/tree/main/linkerd/http/retry).
pub struct ReplayBody<B> {
    shared: Arc<Shared<B>>,
    cursor: Cursor,
    /// Higher than that of all who came, or were chosen, before.
    turn: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Untouched,
    Reading,
    Ended,
}

impl<B: Body> ReplayBody<B> {
    /// Keeps at most `cap` bytes of what passes.
    pub fn new(body: B, cap: usize) -> Self {
        let source = Source::of(Box::pin(body));
        let mut state = State {
            rest: source.size_hint(),
            source,
            content: Content::Kept {
                kept: Kept::default(),
                trailers: None,
                beyond: None,
            },
            readers: 0,
            turns: 0,
            leader: 0,
            contended: false,
        };
        let turn = state.join();
        let shared = Shared {
            state: Mutex::new(state),
            wakers: Arc::default(),
            cap,
        };
        Self::at_start(Arc::new(shared), turn)
    }

    fn at_start(shared: Arc<Shared<B>>, turn: u64) -> Self {
        Self {
            shared,
            cursor: Cursor::default(),
            turn,
            stage: Stage::Untouched,
        }
    }
}

impl<B> ReplayBody<B> {
    /// How many bytes are kept at the moment.
    pub fn kept(&self) -> usize {
        match &self.shared.lock().content {
            Content::Kept { kept, .. } => kept.len(),
            Content::Passed { .. } => 0,
        }
    }

    /// What this reader gets without the source, or else the source.
    fn look(&mut self, waker: &Waker) -> Look<B> {
        let mut state = self.shared.lock();
        let state = &mut *state;
        match self.stage {
            Stage::Ended => return Look::Frame(None),
            Stage::Untouched => state.leader = state.leader.max(self.turn),
            Stage::Reading => {}
        }
        self.stage = Stage::Reading;
        match &mut state.content {
            Content::Passed { by } if *by != self.turn => return Look::Gone,
            Content::Passed { .. } => {}
            Content::Kept {
                kept,
                trailers,
                beyond,
            } => {
                if let Some(bytes) = kept.read(&mut self.cursor) {
                    return Look::Frame(Some(Frame::data(bytes)));
                }
                if let Some(bytes) = beyond.take() {
                    let bytes = state.pass(bytes, self.shared.cap, self.turn, &mut self.cursor);
                    return bytes.map_or(Look::Gone, |bytes| Look::Frame(Some(Frame::data(bytes))));
                }
                if let Source::Ended = state.source {
                    self.stage = Stage::Ended;
                    return Look::Frame(trailers.clone().map(Frame::trailers));
                }
            }
        }
        match mem::replace(&mut state.source, Source::Lent) {
            Source::Here(body) => {
                self.shared.wakers.wait(self.turn, waker);
                return Look::Source(body);
            }
            Source::Lent => {
                self.shared.wakers.wait(self.turn, waker);
                state.contended = true;
                return Look::Wait;
            }
            ended => state.source = ended,
        }
        match state.source {
            Source::Broken => Look::Gone,
            _ => Look::Frame(None),
        }
    }

    /// The error of a reader who gets no more.
    fn gone(&mut self) -> BoxError {
        self.stage = Stage::Ended;
        Gone.into()
    }
}

enum Look<B> {
    Frame(Option<Frame<Bytes>>),
    Source(Pin<Box<B>>),
    Wait,
    Gone,
}

impl<B: Body> Replay for ReplayBody<B> {
    /// A copy that begins at the start; `None` where the start is gone, or the body is known to be longer than the cap.
    fn replay(&self) -> Option<Self> {
        let mut state = self.shared.lock();
        if !state.is_whole() || state.least() > self.shared.cap as u64 {
            return None;
        }
        let turn = state.join();
        drop(state);
        Some(Self::at_start(self.shared.clone(), turn))
    }

    /// Whether all that has passed is still kept. From now on no earlier attempt lets the body pass the cap.
    fn claim(&mut self) -> bool {
        let mut state = self.shared.lock();
        let is_whole = state.is_whole() && self.stage == Stage::Untouched;
        if is_whole {
            self.turn = state.next_turn();
            state.leader = self.turn;
        }
        is_whole
    }
}

impl<B> Body for ReplayBody<B>
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
        let this = self.get_mut();
        let body = match this.look(cx.waker()) {
            Look::Frame(frame) => return Poll::Ready(frame.map(Ok)),
            Look::Wait => return Poll::Pending,
            Look::Gone => return Poll::Ready(Some(Err(this.gone()))),
            Look::Source(body) => body,
        };
        let mut loan = Loan::of(&this.shared, body);
        let polled = loan.poll();
        let mut state = loan.end(&polled);
        if polled.is_ready() {
            // He has what he waited for: only others are to be woken.
            this.shared.wakers.forget(this.turn);
        }
        let frame = match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                state.finish(None);
                this.stage = Stage::Ended;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                this.stage = Stage::Ended;
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                state.finish(Some(&trailers));
                this.stage = Stage::Ended;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        };
        // Shares the bytes where they are `Bytes` already.
        let bytes = data.copy_to_bytes(data.remaining());
        let bytes = state.pass(bytes, this.shared.cap, this.turn, &mut this.cursor);
        drop(state);
        drop(loan);
        Poll::Ready(Some(match bytes {
            Some(bytes) => Ok(Frame::data(bytes)),
            None => Err(this.gone()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        let is_ended = matches!(state.source, Source::Ended);
        match &state.content {
            _ if self.stage == Stage::Ended => true,
            Content::Kept {
                kept,
                trailers,
                beyond,
            } => {
                let is_read = kept.remaining(&self.cursor) == 0 && beyond.is_none();
                is_ended && is_read && trailers.is_none()
            }
            Content::Passed { by } => is_ended && *by == self.turn,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.shared.lock();
        match &state.content {
            _ if self.stage == Stage::Ended => SizeHint::with_exact(0),
            Content::Kept { kept, beyond, .. } => {
                let beyond = beyond.as_ref().map_or(0, Bytes::len);
                longer(&state.rest, kept.remaining(&self.cursor) + beyond)
            }
            Content::Passed { by } if *by == self.turn => longer(&state.rest, 0),
            Content::Passed { .. } => SizeHint::default(),
        }
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        self.shared.wakers.forget(self.turn);
        let mut state = self.shared.lock();
        state.readers -= 1;
        if state.leader == self.turn {
            state.leader = 0;
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("kept", &self.kept())
            .field("cap", &self.shared.cap)
            .finish_non_exhaustive()
    }
}

/// What the body of an attempt ends with whose place was taken.
#[derive(Debug, thiserror::Error)]
#[error("the request body cannot be sent again")]
struct Gone;

#[cfg(test)]
#[path = "replay_body/tests.rs"]
mod tests;
