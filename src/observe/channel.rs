//! A channel for live pages: events as they come, to whoever listens.

use std::{fmt, sync::Arc};

use tokio::sync::broadcast;

use super::{events::Event, observer::Observer, record::EventRecord};
use crate::clock::{Clock, TokioClock};

/// An observer that passes events on, and the first that receives them. The last `capacity` events (rounded up to a power of
/// two, from 1 to 1,048,576) are kept for those who have not taken them yet; a receiver that falls behind by more loses the
/// oldest and is [told](Received::Missed) how many. The layers never wait for a receiver, and without one an event costs a branch.
///
/// ```
/// use tower_upstream::{CircuitBreaker, observe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (feed, mut receiver) = observe::channel(1_024);
/// let breaker = CircuitBreaker::default().observe(feed);
/// breaker.force_open("api.example.com");
/// drop(breaker);
/// while let Some(received) = receiver.recv().await {
///     println!("{received}"); // a line of JSON, for an event stream
/// }
/// # }
/// ```
pub fn channel(capacity: usize) -> (Feed, Receiver) {
    // The channel panics above this bound, and reserves its room at once.
    let (sender, inner) = broadcast::channel(capacity.clamp(1, MOST));
    let feed = Feed {
        sender,
        clock: Arc::new(TokioClock),
    };
    (feed, Receiver { inner })
}

/// The observer of a [`channel`]. Clones feed the same receivers; when the last is gone, with the layers that hold them, the
/// channel ends.
#[derive(Clone)]
pub struct Feed {
    sender: broadcast::Sender<Arc<EventRecord>>,
    clock: Arc<dyn Clock>,
}

impl Feed {
    /// One more receiver, of all that is told from now on.
    pub fn subscribe(&self) -> Receiver {
        Receiver {
            inner: self.sender.subscribe(),
        }
    }

    /// The same channel, with this clock for the time of day. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Observer for Feed {
    fn event(&self, event: &Event<'_>) {
        if self.sender.receiver_count() > 0 {
            let record = EventRecord::new(event, self.clock.wall());
            // The last receiver may have gone meanwhile.
            let _ = self.sender.send(Arc::new(record));
        }
    }

    fn wants_settled(&self) -> bool {
        self.sender.receiver_count() > 0
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("receivers", &self.sender.receiver_count())
            .finish_non_exhaustive()
    }
}

/// One who receives the events of a [`channel`].
pub struct Receiver {
    inner: broadcast::Receiver<Arc<EventRecord>>,
}

/// What a [`Receiver`] receives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Received {
    /// An event.
    Event(Arc<EventRecord>),
    /// So many events that were lost here, because it fell behind.
    Missed(u64),
}

impl Receiver {
    /// The next event; `None` when the channel has ended. Dropped before it is ready, it loses nothing.
    pub async fn recv(&mut self) -> Option<Received> {
        match self.inner.recv().await {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Received::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event where one is there already.
    pub fn try_recv(&mut self) -> Option<Received> {
        match self.inner.try_recv() {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Received::Missed(missed)),
            Err(_) => None,
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("waiting", &self.inner.len())
            .finish_non_exhaustive()
    }
}

/// A line of JSON, as [`EventRecord`] has it; of events that were missed, `{"v":1,"event":"missed","count":3}`.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Missed(missed) => write!(f, r#"{{"v":1,"event":"missed","count":{missed}}}"#),
        }
    }
}

const MOST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn tell(feed: &Feed, number: u64) {
        let wait = Duration::from_secs(number);
        feed.event(&Event::Paused { key: "k", wait });
    }

    fn waits(receiver: &mut Receiver) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv())
            .map(|received| match received {
                Received::Event(event) => format!("{:?}", event.field("wait_s").unwrap()),
                Received::Missed(missed) => format!("missed {missed}"),
            })
            .collect()
    }

    #[test]
    fn every_receiver_gets_every_event_from_when_it_came() {
        let (feed, mut first) = channel(8);
        tell(&feed, 1);
        let mut second = feed.subscribe();
        tell(&feed, 2);
        assert_eq!(waits(&mut first), ["Time(1s)", "Time(2s)"]);
        assert_eq!(waits(&mut second), ["Time(2s)"]);
    }

    #[test]
    fn one_that_falls_behind_loses_the_oldest_and_is_told_how_many() {
        let (feed, mut receiver) = channel(2);
        (1..=5).for_each(|number| tell(&feed, number));
        assert_eq!(waits(&mut receiver), ["missed 3", "Time(4s)", "Time(5s)"]);
        let missed = Received::Missed(3).to_string();
        assert_eq!(missed, r#"{"v":1,"event":"missed","count":3}"#);
    }

    #[test]
    fn the_channel_ends_with_its_last_feed_and_tells_what_was_left_before() {
        let (feed, mut receiver) = channel(0);
        tell(&feed, 1);
        drop(feed);
        assert!(matches!(
            receiver.recv().now_or_never(),
            Some(Some(Received::Event(_)))
        ));
        assert!(matches!(receiver.recv().now_or_never(), Some(None)));
    }

    #[test]
    fn without_a_receiver_nothing_is_made_and_nothing_fails() {
        #[derive(Debug, Default)]
        struct NoTime;
        impl Clock for NoTime {
            fn now(&self) -> std::time::Instant {
                panic!("asked for the time")
            }
            fn wall(&self) -> std::time::SystemTime {
                panic!("asked for the time")
            }
            fn sleep_until(&self, _: std::time::Instant) -> crate::clock::Sleep {
                panic!("asked to sleep")
            }
        }
        let (feed, receiver) = channel(2);
        let feed = feed.clock(NoTime);
        drop(receiver);
        tell(&feed, 1);
    }
}
