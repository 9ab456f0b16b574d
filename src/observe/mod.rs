//! Seeing what happens: one [`Event`] for each decision, given to your [`Observer`] and to `tracing`.
//!
//! Each layer tells its events in one place, after its lock is free. Give an observer to a handle or a layer with
//! `.observe(..)`; a closure will do, with its argument's type written out: `|event: &Event<'_>| ..`. Without one, and without a `tracing` subscriber, an event costs a branch.

mod events;

use std::{fmt, sync::Arc};

use tracing::{Level, level_filters::LevelFilter};

pub use events::Event;

/// Is told every decision of the layers that it was given to.
///
/// It is called on the task that makes the call, outside of every lock: it should be quick, and may use the handles.
pub trait Observer: Send + Sync + 'static {
    /// One decision.
    fn event(&self, event: &Event<'_>);
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
}

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
    pub(crate) fn are_heard(&self, level: Level) -> bool {
        self.observer.is_some() || level <= LevelFilter::current()
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        event.trace();
        if let Some(observer) = &self.observer {
            observer.event(event);
        }
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
