//! [`AttemptDeadline`]: when the attempt under way is cut off.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// When the attempt under way is cut off by the layer that made it.
///
/// A future that is dropped learns no reason. So the retry layer writes this into each attempt's extensions when it has an
/// attempt timeout, over that of another outside, which goes on to count. The circuit breaker reads it, to tell an attempt that
/// timed out from a caller who went away. What is measured is the upstream: a rate limiter that lets the attempt wait in line
/// puts its end off by as much.
#[derive(Clone, Debug)]
pub(crate) struct AttemptDeadline(Arc<Attempt>);

#[derive(Debug)]
struct Attempt {
    /// When it would end if it never waited in line.
    end: Instant,
    line: Mutex<Line>,
    outer: Option<AttemptDeadline>,
}

#[derive(Debug, Default)]
struct Line {
    waited: Duration,
    since: Option<Instant>,
}

impl AttemptDeadline {
    /// That of an attempt, within that of a layer outside.
    pub(crate) fn new(end: Instant, outer: Option<Self>) -> Self {
        let line = Mutex::default();
        Self(Arc::new(Attempt { end, line, outer }))
    }

    /// When the attempt ends, as it looks now, by itself or by a layer outside.
    pub(crate) fn ends(&self, now: Instant) -> Instant {
        let own = self.ends_by_itself(now);
        self.0
            .outer
            .as_ref()
            .map_or(own, |it| it.ends(now).min(own))
    }

    /// When the layer that made it ends it.
    pub(crate) fn ends_by_itself(&self, now: Instant) -> Instant {
        let line = self.line();
        let waiting = line.since.map(|since| now.saturating_duration_since(since));
        crate::instant::after(
            self.0.end,
            line.waited.saturating_add(waiting.unwrap_or_default()),
        )
    }

    /// Whether it waits in line.
    pub(crate) fn is_in_line(&self) -> bool {
        self.line().since.is_some()
    }

    /// It waits in line from now on.
    pub(crate) fn begin_wait(&self, now: Instant) {
        self.line().since = Some(now);
        self.0.outer.iter().for_each(|it| it.begin_wait(now));
    }

    /// It waits no more.
    pub(crate) fn end_wait(&self, now: Instant) {
        let mut line = self.line();
        if let Some(since) = line.since.take() {
            line.waited = line
                .waited
                .saturating_add(now.saturating_duration_since(since));
        }
        drop(line);
        self.0.outer.iter().for_each(|it| it.end_wait(now));
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, TokioClock};

    #[test]
    fn time_in_line_counts_for_no_attempt_and_for_none_outside_of_it() {
        let start = TokioClock.now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let outer = AttemptDeadline::new(at(8), None);
        let inner = AttemptDeadline::new(at(5), Some(outer.clone()));
        inner.begin_wait(at(1));
        assert_eq!(
            inner.ends(at(100)),
            at(104),
            "as far away as when it began to wait"
        );
        inner.end_wait(at(11));
        inner.end_wait(at(90));
        assert_eq!(inner.ends(at(12)), at(15));
        assert_eq!(outer.ends(at(12)), at(18));
        inner.begin_wait(at(12));
        inner.end_wait(at(13));
        assert_eq!((inner.ends(at(14)), outer.ends(at(14))), (at(16), at(19)));
        let longer = AttemptDeadline::new(at(60), Some(outer));
        assert_eq!(
            (longer.ends(at(20)), longer.ends_by_itself(at(20))),
            (at(19), at(60))
        );
    }
}
