//! What the models are played with.

use std::future::Future;

use shuttle::{
    check_pct, check_random,
    future::{block_on, yield_now},
    thread,
};

use super::*;

/// How many orders of each model are played.
const ORDERS: usize = 1_000;

/// Plays a model in random orders, and in orders of few switches, in which rare ones come sooner.
pub(super) fn play(model: impl Fn() + Send + Sync + Clone + 'static) {
    let orders = std::env::var("MODEL_ORDERS").ok();
    let orders = orders.map_or(ORDERS, |orders| orders.parse().expect("a number"));
    check_random(model.clone(), orders);
    check_pct(model, orders, 3);
}

/// How many are inside at once.
#[derive(Clone)]
pub(super) struct Inside {
    now: Arc<sync::AtomicUsize>,
    most: usize,
    /// How many were ever inside.
    all: Arc<sync::AtomicUsize>,
}

impl Inside {
    pub(super) fn at_most(most: usize) -> Self {
        let none = || Arc::new(sync::AtomicUsize::new(0));
        Self {
            now: none(),
            most,
            all: none(),
        }
    }

    fn enter(&self) {
        let before = self.now.fetch_add(1, Ordering::SeqCst);
        assert!(before < self.most, "{before} were inside already");
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn ever(&self) -> usize {
        self.all.load(Ordering::SeqCst)
    }
}

/// A limiter over a time that stands still.
pub(super) fn still(quota: Quota) -> RateLimiter {
    limiter(quota).clock(ManualClock::new())
}

pub(super) fn of(tenant: &str) -> Call {
    Request::get(format!("http://{tenant}/")).body(()).unwrap()
}

/// Sends a request through the layer; somebody else may go on while it is under way.
pub(super) async fn send(layer: &RateLimitLayer, inside: &Inside, call: Call) -> Result<(), Error> {
    let entered = inside.clone();
    let inner = service_fn(move |_: Call| {
        entered.enter();
        async {
            yield_now().await;
            Ok::<_, BoxError>(answer(200))
        }
    });
    let response = layer.layer(inner).oneshot(call).await?;
    yield_now().await;
    // Before the permit is given back, which lets the next one in.
    inside.leave();
    drop(response);
    Ok(())
}

pub(super) fn threads<F: Future<Output = ()> + 'static>(
    tasks: impl IntoIterator<Item = impl FnOnce() -> F + Send + 'static>,
) {
    let spawn = |task: _| thread::spawn(move || block_on(call(task)));
    let threads: Vec<_> = tasks.into_iter().map(spawn).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

pub(super) fn call<F>(task: impl FnOnce() -> F) -> F {
    task()
}

pub(super) fn assert_idle(limiter: &RateLimiter, key: &str) {
    let status = limiter.status(key);
    assert_eq!((status.in_flight, status.queued), (0, 0), "{key:?}");
}
