//! The one source of time: [`Clock`], its default [`TokioClock`], and [`ManualClock`] for tests.
//!
//! No other file of this crate reads the time or sleeps (`clippy.toml` sees to it), so a test that owns the clock owns
//! every wait, window and cooldown. Clocks may stand still or jump; the state machines keep a high-water mark, so a
//! clock that steps back has no effect.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use crate::{instant::after, request::Deadline};

/// A sleep of a [`Clock`]: ready at its deadline, and not before.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and sleeps.
///
/// Layers and handles hold an `Arc<dyn Clock>`; the default is [`TokioClock`].
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The monotonic time, for waits and windows.
    fn now(&self) -> Instant;

    /// The time of day, for HTTP dates and for what must survive a restart.
    fn wall(&self) -> SystemTime;

    /// Sleeps until `deadline`; ready at once when it has passed.
    fn sleep_until(&self, deadline: Instant) -> Sleep;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        (**self).sleep_until(deadline)
    }
}

impl Deadline {
    /// So long after now, by the clock that the layers go by: [`TokioClock`] where you have set none. More than a
    /// century is a century.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_upstream::{Deadline, clock::TokioClock};
    ///
    /// let mut request = http::Request::new("a body");
    /// request.extensions_mut().insert(Deadline::after(Duration::from_secs(30), &TokioClock));
    /// ```
    pub fn after(time: Duration, clock: &dyn Clock) -> Self {
        Self(after(clock.now(), time))
    }
}

/// Tokio's clock: real time, or tokio's paused time in tests.
///
/// Sleeping needs a tokio runtime with its time driver enabled; reading the time does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        read::tokio()
    }

    // Under tokio's paused time the wall clock must move with the virtual one: shifting it by the difference of the two
    // monotonic clocks does that, and is a shift of some nanoseconds otherwise.
    fn wall(&self) -> SystemTime {
        let (real, tokio, wall) = (read::real(), read::tokio(), read::wall());
        let shifted = if tokio >= real {
            wall.checked_add(tokio - real)
        } else {
            wall.checked_sub(real - tokio)
        };
        shifted.unwrap_or(wall)
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        read::sleep_until(deadline)
    }
}

/// A clock that moves only when it is told to.
///
/// For tests that use no runtime, or drive several layers by hand. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now() - start, Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Mutex<Manual>>,
}

struct Manual {
    now: Instant,
    wall: SystemTime,
    sleepers: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl ManualClock {
    /// A clock that stands at the present moment.
    pub fn new() -> Self {
        Self::starting_at(read::wall())
    }

    /// A clock that stands at this time of day.
    pub fn starting_at(wall: SystemTime) -> Self {
        let manual = Manual {
            now: read::real(),
            wall,
            sleepers: BTreeMap::new(),
            next_id: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(manual)),
        }
    }

    /// Moves the time on and wakes every sleep whose deadline it reaches.
    ///
    /// A step past what an `Instant` can hold has no effect.
    pub fn advance(&self, step: Duration) {
        let due = {
            let mut manual = self.lock();
            manual.now = manual.now.checked_add(step).unwrap_or(manual.now);
            manual.wall = manual.wall.checked_add(step).unwrap_or(manual.wall);
            let now = manual.now;
            let later = manual.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut manual.sleepers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// The earliest deadline that something sleeps for.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.lock().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// How many sleeps are waiting.
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers.len()
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn wall(&self) -> SystemTime {
        self.lock().wall
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let id = {
            let mut manual = self.lock();
            manual.next_id += 1;
            manual.next_id
        };
        Box::pin(ManualSleep {
            clock: self.clone(),
            key: (deadline, id),
        })
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manual = self.lock();
        f.debug_struct("ManualClock")
            .field("now", &manual.now)
            .field("sleepers", &manual.sleepers.len())
            .finish()
    }
}

struct ManualSleep {
    clock: ManualClock,
    key: (Instant, u64),
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut manual = self.clock.lock();
        if manual.now >= self.key.0 {
            return Poll::Ready(());
        }
        manual.sleepers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.clock.lock().sleepers.remove(&self.key);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the time"
)]
mod read {
    use super::{Instant, Sleep, SystemTime};

    pub(super) fn real() -> Instant {
        Instant::now()
    }

    pub(super) fn tokio() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    pub(super) fn wall() -> SystemTime {
        SystemTime::now()
    }

    pub(super) fn sleep_until(deadline: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_manual_sleep_is_ready_at_its_deadline_and_not_one_nanosecond_before() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep_until(clock.now() + Duration::from_secs(1));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_nanos(999_999_999));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_nanos(1));
        assert!((&mut sleep).now_or_never().is_some());
    }

    #[test]
    fn a_dropped_manual_sleep_leaves_nothing_behind() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep_until(clock.now() + Duration::from_secs(1));
        assert!((&mut sleep).now_or_never().is_none());
        assert_eq!(clock.sleepers(), 1);
        assert_eq!(
            clock.next_deadline(),
            Some(clock.now() + Duration::from_secs(1))
        );
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn a_deadline_from_a_duration_is_by_the_clock_that_it_was_given_and_never_panics() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(3_600));
        let thirty = Duration::from_secs(30);
        assert_eq!(
            Deadline::after(thirty, &clock),
            Deadline(clock.now() + thirty)
        );
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let Deadline(far) = Deadline::after(Duration::MAX, &shared);
        assert!(far > clock.now() + thirty);
    }

    #[test]
    fn an_absurd_step_does_not_panic() {
        let clock = ManualClock::new();
        let start = clock.now();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), start + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tokio_clock_follows_paused_time_on_both_faces() {
        let clock = TokioClock;
        let (now, wall) = (clock.now(), clock.wall());
        clock.sleep_until(now + Duration::from_secs(3600)).await;
        assert!(clock.now() - now >= Duration::from_secs(3600));
        let moved = clock.wall().duration_since(wall).unwrap();
        assert!(moved >= Duration::from_secs(3599), "wall moved {moved:?}");
    }
}
