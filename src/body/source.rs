//! The source that the readers of one body share, and what is kept of it.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{
    kept::{Cursor, Kept},
    wakers::Wakers,
};

pub(super) struct Shared<B> {
    pub(super) state: Mutex<State<B>>,
    pub(super) wakers: Arc<Wakers>,
    pub(super) cap: usize,
}

pub(super) struct State<B> {
    pub(super) source: Source<B>,
    pub(super) content: Content,
    /// What the source said last of its rest.
    pub(super) rest: SizeHint,
    pub(super) readers: usize,
    pub(super) turns: u64,
    /// The turn of the attempt that goes before all others; 0 for none.
    pub(super) leader: u64,
    /// A reader found the source lent.
    pub(super) contended: bool,
}

pub(super) enum Source<B> {
    Here(Pin<Box<B>>),
    /// A reader polls it right now.
    Lent,
    Ended,
    Broken,
}

pub(super) enum Content {
    /// All that has passed.
    Kept {
        kept: Kept,
        trailers: Option<HeaderMap>,
        /// A piece whose reader must not pass the cap, for one who may.
        beyond: Option<Bytes>,
    },
    /// The start is gone, and the reader with this turn goes on alone.
    Passed { by: u64 },
}

impl<B> Shared<B> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> State<B> {
    pub(super) fn join(&mut self) -> u64 {
        self.readers += 1;
        self.next_turn()
    }

    pub(super) fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.content, Content::Kept { .. }) && !matches!(self.source, Source::Broken)
    }

    /// The least that the whole body comes to.
    pub(super) fn least(&self) -> u64 {
        match &self.content {
            Content::Kept { kept, beyond, .. } => {
                let beyond = beyond.as_ref().map_or(0, Bytes::len);
                longer(&self.rest, kept.len() + beyond).lower()
            }
            Content::Passed { .. } => self.rest.lower(),
        }
    }

    /// What comes next, for the reader who has read all before it; `None` where it must not have it.
    pub(super) fn pass(
        &mut self,
        bytes: Bytes,
        cap: usize,
        turn: u64,
        cursor: &mut Cursor,
    ) -> Option<Bytes> {
        let Content::Kept { kept, beyond, .. } = &mut self.content else {
            return Some(bytes);
        };
        let fits = bytes.len() <= cap.saturating_sub(kept.len());
        if self.readers > 1 && fits {
            kept.push(&bytes);
            kept.skip(cursor);
        } else if self.readers == 1 || turn >= self.leader {
            self.content = Content::Passed { by: turn };
        } else {
            *beyond = Some(bytes);
            return None;
        }
        Some(bytes)
    }

    pub(super) fn finish(&mut self, end: Option<&HeaderMap>) {
        if let Content::Kept { trailers, .. } = &mut self.content {
            *trailers = end.cloned();
        }
    }
}

pub(super) type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// The source in the hands of one reader, who polls it without the lock: it is a user's code, and may hold another reader of the
/// same body.
pub(super) struct Loan<'a, B> {
    shared: &'a Shared<B>,
    body: Option<Pin<Box<B>>>,
    /// Whether others have something to look for.
    wakes: bool,
}

impl<'a, B: Body> Loan<'a, B> {
    pub(super) fn of(shared: &'a Shared<B>, body: Pin<Box<B>>) -> Self {
        Self {
            shared,
            body: Some(body),
            wakes: true,
        }
    }

    pub(super) fn poll(&mut self) -> Polled<B> {
        let waker = Waker::from(self.shared.wakers.clone());
        let body = self.body.as_mut().expect("lent until the loan ends");
        body.as_mut().poll_frame(&mut Context::from_waker(&waker))
    }

    /// Gives the source back, or what has become of it. Others are woken when the loan is dropped.
    pub(super) fn end(&mut self, polled: &Polled<B>) -> MutexGuard<'a, State<B>> {
        let source = match polled {
            Poll::Ready(Some(Err(_))) => Source::Broken,
            Poll::Ready(None) => Source::Ended,
            Poll::Ready(Some(Ok(frame))) if !frame.is_data() => Source::Ended,
            _ => self.body.take().map_or(Source::Broken, Source::of),
        };
        let rest = source.size_hint();
        drop(self.body.take());
        let mut state = self.shared.lock();
        (state.source, state.rest) = (source, rest);
        let contended = mem::take(&mut state.contended);
        self.wakes = polled.is_ready() || contended;
        state
    }
}

/// A panic in the source breaks it for the others too.
impl<B> Drop for Loan<'_, B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            drop(body);
            self.shared.lock().source = Source::Broken;
        }
        if self.wakes {
            self.shared.wakers.wake_all();
        }
    }
}

impl<B: Body> Source<B> {
    pub(super) fn of(body: Pin<Box<B>>) -> Self {
        if body.is_end_stream() {
            Self::Ended
        } else {
            Self::Here(body)
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Here(body) => body.size_hint(),
            _ => SizeHint::with_exact(0),
        }
    }
}

/// The rest, and so many bytes before it.
pub(super) fn longer(rest: &SizeHint, bytes: usize) -> SizeHint {
    let bytes = bytes as u64;
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(bytes));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(bytes));
    }
    hint
}
