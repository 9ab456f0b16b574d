//! A response body that carries a guard to its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Something that must live as long as a response body: a permit, a measurement.
///
/// Exactly one of three things happens to it: [`complete`](Self::complete), [`fail`](Self::fail), or, when the body is
/// dropped before its end, plain drop.
pub trait Guard {
    /// A frame of the body has come. Default: it is of no interest.
    #[inline]
    fn data(&mut self) {}

    /// The body ended well.
    fn complete(self);

    /// The body ended with an error.
    fn fail(self);
}

pin_project! {
    /// A body that carries a [`Guard`] and tells it how the body ended.
    #[derive(Debug)]
    pub struct Tracked<B, G> {
        #[pin]
        body: B,
        guard: Option<G>,
    }
}

impl<B, G> Tracked<B, G>
where
    B: Body,
    G: Guard,
{
    /// Puts the guard onto the body. A body that is at its end already completes the guard at once.
    pub fn new(body: B, guard: G) -> Self {
        Self::guarded(body, &mut Some(guard))
    }

    /// A body that is not at its end, or has no guard.
    #[inline(always)]
    pub(crate) fn with(body: B, guard: Option<G>) -> Self {
        Self { body, guard }
    }

    /// As [`new`](Self::new), with a guard that is moved only where the body is not at its end, and may not be there.
    #[inline]
    pub(crate) fn guarded(body: B, guard: &mut Option<G>) -> Self {
        complete_at_end(&body, guard);
        let guard = match guard {
            None => None,
            guard => guard.take(),
        };
        Self { body, guard }
    }
}

impl<B: Default, G> Default for Tracked<B, G> {
    /// A body without a guard, as layers want it that answer by themselves, such as tower-http's `TimeoutLayer`.
    fn default() -> Self {
        Self {
            body: B::default(),
            guard: None,
        }
    }
}

impl<B, G> Body for Tracked<B, G>
where
    B: Body,
    G: Guard,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        match &frame {
            // Many readers stop here and never ask for the `None` behind the last frame.
            Some(Ok(_)) => {
                if let Some(guard) = this.guard {
                    guard.data();
                }
                complete_at_end(&*this.body, this.guard);
            }
            Some(Err(_)) => {
                if let Some(guard) = this.guard.take() {
                    guard.fail();
                }
            }
            None => complete(this.guard),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[inline]
fn complete_at_end<B: Body, G: Guard>(body: &B, guard: &mut Option<G>) {
    if body.is_end_stream() {
        complete(guard);
    }
}

fn complete<G: Guard>(guard: &mut Option<G>) {
    if let Some(guard) = guard.take() {
        guard.complete();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, convert::Infallible, rc::Rc};

    use bytes::Bytes;
    use futures::{FutureExt, stream};
    use http_body_util::{BodyExt, Empty, Full, StreamBody};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Rc<RefCell<Vec<&'static str>>>);

    struct Noted(Log, bool);

    impl Guard for Noted {
        fn complete(mut self) {
            self.1 = true;
            self.0.0.borrow_mut().push("complete");
        }

        fn fail(mut self) {
            self.1 = true;
            self.0.0.borrow_mut().push("fail");
        }
    }

    impl Drop for Noted {
        fn drop(&mut self) {
            if !self.1 {
                self.0.0.borrow_mut().push("drop");
            }
        }
    }

    fn tracked<B: Body>(body: B) -> (Log, Tracked<B, Noted>) {
        let log = Log::default();
        let guard = Noted(log.clone(), false);
        (log, Tracked::new(body, guard))
    }

    #[test]
    fn the_last_frame_completes_the_guard_without_another_poll() {
        let (log, mut body) = tracked(Full::new(Bytes::from_static(b"all")));
        assert!(log.0.borrow().is_empty());
        body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(*log.0.borrow(), ["complete"]);
        drop(body);
        assert_eq!(*log.0.borrow(), ["complete"]);
    }

    #[test]
    fn an_empty_body_completes_its_guard_at_once() {
        let (log, _body) = tracked(Empty::<Bytes>::new());
        assert_eq!(*log.0.borrow(), ["complete"]);
    }

    #[test]
    fn a_body_that_breaks_fails_its_guard_and_one_that_is_dropped_drops_it() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from_static(b"half"))), Err("cut")]);
        let (log, mut body) = tracked(StreamBody::new(broken));
        body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert!(log.0.borrow().is_empty());
        body.frame().now_or_never().unwrap().unwrap().unwrap_err();
        assert_eq!(*log.0.borrow(), ["fail"]);

        let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let (log, body) = tracked(StreamBody::new(endless));
        drop(body);
        assert_eq!(*log.0.borrow(), ["drop"]);
    }
}
