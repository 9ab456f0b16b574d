//! [`Observer`], and where a layer tells its events.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
};

use tracing::{Level, level_filters::LevelFilter};

use super::events::Event;

/// Is told every decision of the layers that it was given to.
///
/// It is called on the task that makes the call, outside of every lock: it should be quick, and may use the handles. One
/// observer can be given to all layers. Several for one layer are a tuple of up to four, or a `Vec`: each is told in turn.
///
/// ```
/// use tower_upstream::{RateLimiter, observe::{Event, Stats}};
///
/// let stats = Stats::new();
/// let print = |event: &Event<'_>| println!("{}", event.name());
/// let limiter = RateLimiter::default().observe((stats.clone(), print));
/// # let _ = limiter;
/// ```
pub trait Observer: Send + Sync + 'static {
    /// One decision.
    fn event(&self, event: &Event<'_>);

    /// Whether it has a use for [`Event::Settled`] at present, which comes with each request and costs something to make: where
    /// none of several observers has, it is not made, and where one has, all are told. Default: it has.
    fn wants_settled(&self) -> bool {
        true
    }
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn event(&self, event: &Event<'_>) {
        (**self).event(event);
    }

    fn wants_settled(&self) -> bool {
        (**self).wants_settled()
    }
}

impl<O: Observer> Observer for Vec<O> {
    fn event(&self, event: &Event<'_>) {
        self.iter().for_each(|observer| observer.event(event));
    }

    fn wants_settled(&self) -> bool {
        self.iter().any(|observer| observer.wants_settled())
    }
}

macro_rules! tuples {
    ($($observer:ident)+) => {
        impl<$($observer: Observer),+> Observer for ($($observer,)+) {
            fn event(&self, event: &Event<'_>) {
                #[expect(non_snake_case, reason = "a type and its value by one name")]
                let ($($observer,)+) = self;
                $($observer.event(event);)+
            }

            fn wants_settled(&self) -> bool {
                #[expect(non_snake_case, reason = "a type and its value by one name")]
                let ($($observer,)+) = self;
                $($observer.wants_settled())||+
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);

/// Where a layer tells its events: `tracing`, and an observer where there is one.
#[derive(Clone, Default)]
pub(crate) struct Events {
    observer: Option<Arc<dyn Observer>>,
}

impl Events {
    pub(crate) fn to(observer: impl Observer) -> Self {
        Self {
            observer: Some(Arc::new(observer)),
        }
    }

    /// Whether anybody listens to events of this level. For those whose making costs something.
    #[inline]
    pub(crate) fn are_heard(&self, level: Level) -> bool {
        self.observer.is_some() || level <= LevelFilter::current()
    }

    /// The same for [`Event::Settled`], of which observers may have no use.
    #[inline]
    pub(crate) fn want_settled(&self, level: Level) -> bool {
        let observer = self.observer.as_ref();
        observer.is_some_and(|observer| observer.wants_settled()) || level <= LevelFilter::current()
    }

    /// Whether there is an observer. For what is told to observers alone.
    pub(crate) fn are_observed(&self) -> bool {
        self.observer.is_some()
    }

    #[inline]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if self.are_heard(Level::ERROR) {
            self.tell_listeners(event);
        }
    }

    // Apart, so that what nobody hears is a branch.
    #[cold]
    #[inline(never)]
    fn tell_listeners(&self, event: &Event<'_>) {
        event.trace();
        let Some(observer) = &self.observer else {
            return;
        };
        if !thread::panicking() {
            return observer.event(event);
        }
        // What is told while a call unwinds is told by a guard: a panic that left it would end the process.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| observer.event(event)));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.observer.is_some() {
            "Events(observed)"
        } else {
            "Events"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_is_wanted_where_one_of_several_observers_has_a_use_for_it() {
        let (feed, receiver) = crate::observe::channel(8);
        let stats = crate::observe::Stats::new();
        assert!(!stats.wants_settled(), "its receipt is counted");
        assert!(feed.wants_settled() && (stats.clone(), feed.clone()).wants_settled());
        drop(receiver);
        assert!(!feed.wants_settled() && !(stats.clone(), feed.clone()).wants_settled());
        assert!(!vec![Arc::new(feed)].wants_settled());
        assert!((stats, |_: &Event<'_>| {}).wants_settled());
    }

    #[test]
    fn an_observer_that_panics_while_a_call_unwinds_does_not_end_the_process() {
        struct Guard(Events);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.tell(&Event::Disabled { key: "k" });
            }
        }
        let events = Events::to(|_: &Event<'_>| panic!("observer"));
        let call = AssertUnwindSafe(|| {
            let _guard = Guard(events);
            panic!("client");
        });
        let panic = panic::catch_unwind(call).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"client"));
    }
}
