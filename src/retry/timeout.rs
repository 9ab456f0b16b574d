//! The time that an attempt has.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock, Sleep},
    instant::after,
    request::AttemptDeadline,
};

/// The time that an attempt has. What it spends in line inside is no part of that.
pub(super) struct Timeout {
    sleep: Sleep,
    attempt: AttemptDeadline,
    /// Whether it stood in line when it was last looked at.
    was_in_line: bool,
}

impl Timeout {
    /// Of an attempt that would end then if it never waited in line.
    pub(super) fn new(attempt: AttemptDeadline, end: Instant, clock: &dyn Clock) -> Self {
        Self {
            sleep: clock.sleep_until(end),
            attempt,
            was_in_line: false,
        }
    }

    /// Whether the time is over.
    pub(super) fn poll(&mut self, clock: &dyn Clock, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let has_slept = self.sleep.as_mut().poll(cx).is_ready();
            if !has_slept && !self.was_in_line {
                return Poll::Pending;
            }
            let now = clock.now();
            let is_in_line = self.attempt.is_in_line();
            if is_in_line && !has_slept {
                return Poll::Pending;
            }
            let end = self.attempt.ends_by_itself(now);
            if !is_in_line && end <= now {
                return Poll::Ready(());
            }
            self.was_in_line = is_in_line;
            self.sleep = clock.sleep_until(match is_in_line {
                true => end.max(after(now, LOOK)),
                false => end,
            });
        }
    }
}

/// Who leaves the line is polled, and looked at then. Where a task of its own stands between, as with tower's `Buffer`, he is not:
/// so he is looked at now and then as well.
const LOOK: Duration = Duration::from_secs(1);
