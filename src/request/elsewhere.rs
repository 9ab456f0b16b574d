//! [`Elsewhere`]: whether a request that waits in line would be served sooner somewhere else.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a limiter, in whose line a request stands, and the fallback layer outside say to one another.
///
/// The limiter knows how the request stands in line and nothing of others, the fallback layer the reverse. So the limiter asks after
/// a while, and goes on to wait; the fallback layer looks whether anybody would take the request, and where somebody would, has
/// it leave the line. That is all said within one poll of the request: nobody gives up a place for what was true a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// In nanoseconds, for how long a line is waited in without a question; zero where there is nobody to ask.
    patience: AtomicU64,
    said: AtomicU8,
}

const NOTHING: u8 = 0;
const WOULD_BE_SOONER: u8 = 1;
const LEAVE: u8 = 2;
const LEFT: u8 = 3;

impl Elsewhere {
    /// The fallback layer: an attempt begins that may wait in line for so many nanoseconds before it asks; zero for one that has
    /// nobody to ask.
    #[inline]
    pub(crate) fn offer(&self, patience: u64) {
        // Whoever reads it was given the request after that.
        self.patience.store(patience, Relaxed);
    }

    /// The limiter: for how long a line is waited in without a question.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let patience = self.patience.load(Relaxed);
        (patience > 0).then(|| Duration::from_nanos(patience))
    }

    /// The limiter: the request has waited for longer than that.
    pub(crate) fn ask(&self) {
        self.said.store(WOULD_BE_SOONER, Relaxed);
    }

    /// The fallback layer: whether anything was said that wants an answer.
    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        self.said.load(Relaxed) != NOTHING
    }

    /// The fallback layer: whether the limiter has asked. An answer that was not heeded, because the request was admitted in that
    /// very moment, is taken back.
    pub(crate) fn take_question(&self) -> bool {
        self.said.swap(NOTHING, Relaxed) == WOULD_BE_SOONER
    }

    /// The fallback layer: the request is to leave the line, when it is polled next.
    pub(crate) fn call_back(&self) {
        self.said.store(LEAVE, Relaxed);
    }

    /// The limiter: whether the request leaves the line. It has then left.
    pub(crate) fn take_leave(&self) -> bool {
        let leave = self.said.compare_exchange(LEAVE, LEFT, Relaxed, Relaxed);
        leave.is_ok()
    }

    /// The fallback layer: whether the attempt that has ended has left a line because it was told to.
    pub(crate) fn take_left(&self) -> bool {
        self.said.swap(NOTHING, Relaxed) == LEFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_leaves_a_line_once_and_only_where_it_has_asked_and_was_told_to() {
        let elsewhere = Elsewhere::default();
        assert_eq!(elsewhere.patience(), None);
        elsewhere.offer(2);
        assert_eq!(elsewhere.patience(), Some(Duration::from_nanos(2)));
        assert!(!elsewhere.is_heard() && !elsewhere.take_leave());
        elsewhere.ask();
        assert!(elsewhere.is_heard() && !elsewhere.take_leave());
        assert!(elsewhere.take_question() && !elsewhere.take_question());
        elsewhere.call_back();
        assert!(elsewhere.take_leave() && !elsewhere.take_leave());
        assert!(elsewhere.take_left() && !elsewhere.take_left());
    }

    #[test]
    fn what_was_not_heeded_does_not_hold_for_the_next_line() {
        let elsewhere = Elsewhere::default();
        elsewhere.call_back();
        assert!(elsewhere.is_heard() && !elsewhere.take_question());
        assert!(!elsewhere.take_leave());
        elsewhere.call_back();
        assert!(!elsewhere.take_left() && !elsewhere.take_leave());
    }
}
