//! What there is to wake and to tell once the locks are free.

use std::{task::Waker, time::Duration};

use crate::observe::{Event, Events, LimitUse};

/// What there is to wake and to tell once the locks are free: nearly always nothing.
#[derive(Default)]
pub(super) struct News(Option<Box<Kept>>);

#[derive(Default)]
struct Kept {
    wakers: Vec<Waker>,
    tales: Vec<Tale>,
}

/// An admission.
struct Tale {
    events: Events,
    key: Box<str>,
    /// How much of each limit is taken, for an observer.
    limits: Vec<LimitUse>,
    shadowed: Option<Shadowed>,
}

/// The limit in shadow mode that would have held a request back, in words, and for how long.
pub(super) struct Shadowed {
    pub(super) limit: String,
    pub(super) wait: Duration,
}

impl News {
    /// Somebody is to be woken.
    #[cold]
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.0.get_or_insert_default().wakers.push(waker);
        }
    }

    /// A request was admitted. Only for those who are heard: the key has to be copied.
    #[cold]
    pub(super) fn admitted(
        &mut self,
        events: &Events,
        key: &str,
        limits: Vec<LimitUse>,
        shadowed: Option<Shadowed>,
    ) {
        let tale = Tale {
            events: events.clone(),
            key: key.into(),
            limits,
            shadowed,
        };
        self.0.get_or_insert_default().tales.push(tale);
    }

    /// Wakes and tells all; what was admitted has waited so long.
    #[inline]
    pub(super) fn tell(self, waited: Duration) {
        if let Some(kept) = self.0 {
            kept.tell(waited);
        }
    }
}

impl Kept {
    #[cold]
    fn tell(self, waited: Duration) {
        self.wakers.into_iter().for_each(Waker::wake);
        for Tale {
            events,
            key,
            limits,
            shadowed,
        } in &self.tales
        {
            events.tell(&Event::Admitted {
                key,
                waited,
                limits,
            });
            if let Some(Shadowed { limit, wait }) = shadowed {
                let wait = *wait;
                events.tell(&Event::Shadowed { key, limit, wait });
            }
        }
    }
}
