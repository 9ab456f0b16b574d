//! A single thread that polls whoever was woken, in the order of their waking, until nobody is left.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{
    FutureExt,
    future::LocalBoxFuture,
    stream::{FuturesUnordered, StreamExt},
};

/// The tasks of a simulation.
#[derive(Default)]
pub(crate) struct Executor {
    tasks: FuturesUnordered<LocalBoxFuture<'static, ()>>,
}

impl Executor {
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.push(task.boxed_local());
    }

    /// Polls until everybody sleeps.
    pub(crate) fn run_until_stalled(&mut self) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut tasks = pin!(&mut self.tasks);
        // The set of futures yields now and then although more of them are awake, and wakes us for that.
        while woken.0.swap(false, Ordering::Relaxed) {
            while let Poll::Ready(Some(())) = tasks.poll_next_unpin(&mut context) {}
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
