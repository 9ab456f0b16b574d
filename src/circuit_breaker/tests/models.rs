//! Threads that ask, end and change a circuit, played through in many orders by shuttle; see `.ci/run model`.

use std::{future::Future, sync::Arc};

use futures::future::poll_immediate;
use shuttle::{
    check_pct, check_random,
    future::{block_on, yield_now},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::*;
use crate::clock::ManualClock;

/// How many orders of each model are played.
const ORDERS: usize = 1_000;

/// Plays a model in random orders, and in orders of few switches, in which rare ones come sooner.
fn play(model: impl Fn() + Send + Sync + Clone + 'static) {
    let orders = std::env::var("MODEL_ORDERS").ok();
    let orders = orders.map_or(ORDERS, |orders| orders.parse().expect("a number"));
    check_random(model.clone(), orders);
    check_pct(model, orders, 3);
}

fn threads<F: Future<Output = ()> + 'static>(
    tasks: impl IntoIterator<Item = impl FnOnce() -> F + Send + 'static>,
) {
    let spawn = |task| thread::spawn(move || block_on(begin(task)));
    let threads: Vec<_> = tasks.into_iter().map(spawn).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn begin<F>(task: impl FnOnce() -> F) -> F {
    task()
}

fn still(policy: CircuitBreakerPolicy) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::new(policy.jitter(0.0)).unwrap();
    (breaker.clock(clock.clone()), clock)
}

/// Sends a request by a service of its own; others go on while it is under way.
async fn send(breaker: &CircuitBreaker, host: &str, status: u16, running: &Running) -> bool {
    send_by(&mut service(breaker, running), host, status, running).await
}

/// Sends a request by a service that may know the way.
async fn send_by<S>(service: &mut S, host: &str, status: u16, running: &Running) -> bool
where
    S: Service<Request<()>, Response: Send>,
{
    let request = Request::get(format!("http://{host}/{status}"));
    let request = request.body(()).unwrap();
    let Ok(service) = service.ready().await else {
        return false;
    };
    let Ok(response) = service.call(request).await else {
        return false;
    };
    running.leave();
    drop(response);
    true
}

/// Answers with the status that the path names.
fn service(
    breaker: &CircuitBreaker,
    running: &Running,
) -> impl Service<Request<()>, Response: Send> + use<> {
    let inside = running.clone();
    let inner = service_fn(move |request: Request<()>| {
        inside.enter();
        let status = request.uri().path()[1..].parse().unwrap();
        async move {
            yield_now().await;
            Ok::<_, BoxError>(answer(status))
        }
    });
    CircuitBreakerLayer::new(breaker.clone()).layer(inner)
}

/// How many are under way.
#[derive(Clone)]
struct Running {
    now: Arc<AtomicUsize>,
    ever: Arc<AtomicUsize>,
    most: usize,
}

impl Running {
    fn at_most(most: usize) -> Self {
        Self {
            now: Arc::new(AtomicUsize::new(0)),
            ever: Arc::new(AtomicUsize::new(0)),
            most,
        }
    }

    fn enter(&self) {
        let before = self.now.fetch_add(1, Ordering::SeqCst);
        assert!(before < self.most, "{before} were under way already");
        self.ever.fetch_add(1, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lanes that open and shut while calls pass by them lose no result and count none twice, nor does a thread that looks on.
#[test]
fn every_result_counts_once() {
    for window in [Over::Calls(100), Over::Time(ms(1_000))] {
        play(move || {
            let policy = CircuitBreakerPolicy::never()
                .failure_rate(1.0)
                .window(window)
                .minimum_calls(100);
            let (breaker, _) = still(policy);
            let anybody = Running::at_most(usize::MAX);
            threads((0..3).map(|number| {
                let (breaker, anybody) = (breaker.clone(), anybody.clone());
                async move || {
                    let mut kept = service(&breaker, &anybody);
                    for call in 0..4 {
                        // One has a new service for each call, as of a layer that copies it.
                        if number == 0 {
                            kept = service(&breaker, &anybody);
                        }
                        let has_failed = number == 2 && call == 2;
                        let status = if has_failed { 500 } else { 200 };
                        // Two keys for the one place on a thread's desk.
                        let host = if call == 3 { "b" } else { "a" };
                        assert!(send_by(&mut kept, host, status, &anybody).await);
                    }
                    if number == 1 {
                        breaker.metrics("a");
                    }
                }
            }));
            let count = |host| {
                breaker
                    .metrics(host)
                    .map(|told| (told.calls, told.failures))
            };
            assert_eq!(count("a"), Some((9, 1)));
            assert_eq!(count("b"), Some((3, 0)));
        });
    }
}

/// Two failures in a row open the circuit, whichever way they came in, and a good call that passes by a lane ends the row or
/// comes before it.
#[test]
fn failures_in_a_row_open_whatever_passes_by_the_lanes() {
    play(|| {
        let (breaker, _) = still(CircuitBreakerPolicy::never().consecutive_failures(2));
        let anybody = Running::at_most(usize::MAX);
        threads((0..2).map(|_| {
            let (breaker, anybody) = (breaker.clone(), anybody.clone());
            async move || {
                let mut kept = service(&breaker, &anybody);
                for status in [200, 200, 500] {
                    send_by(&mut kept, "a", status, &anybody).await;
                }
            }
        }));
        // Each thread's failure is its last call: nothing good comes after both.
        let metrics = breaker.metrics("a").unwrap();
        match metrics.state {
            CircuitState::Open => assert_eq!(metrics.opened, 1),
            // The other's good calls ended the row between the two.
            CircuitState::Closed => assert_eq!(metrics.consecutive_failures, 1),
            other => panic!("{other:?}"),
        }
    });
}

/// Whoever comes when the open time is over, drops his call or fails: never more than the probes are under way.
#[test]
fn no_more_than_the_probes_are_under_way() {
    play(|| {
        let policy = CircuitBreakerPolicy::never()
            .consecutive_failures(1)
            .open_for(ms(1_000))
            .probes(2)
            .successes(9);
        let (breaker, clock) = still(policy);
        assert!(block_on(send(&breaker, "a", 500, &Running::at_most(1))));
        clock.advance(ms(1_000));
        let probes = Running::at_most(2);
        threads((0..4).map(|number| {
            let (breaker, probes) = (breaker.clone(), probes.clone());
            async move || {
                if number == 0 {
                    // Dropped while it is under way: its place comes back, and it has left before.
                    let inside = probes.clone();
                    let inner = service_fn(move |_: Request<()>| {
                        let entered = Entered::new(inside.clone());
                        async move {
                            let _entered = entered;
                            yield_now().await;
                            std::future::pending::<Result<Answer, BoxError>>().await
                        }
                    });
                    let service = CircuitBreakerLayer::new(breaker).layer(inner);
                    let request = Request::get("http://a/").body(()).unwrap();
                    let mut call = Box::pin(service.oneshot(request));
                    let _ = poll_immediate(&mut call).await;
                    yield_now().await;
                    return;
                }
                for _ in 0..2 {
                    send(&breaker, "a", 200, &probes).await;
                }
            }
        }));
        assert_eq!(breaker.state("a"), CircuitState::HalfOpen);
        // No place is lost.
        let left = probes.now.load(Ordering::SeqCst);
        assert_eq!(left, 0);
        assert!(block_on(send(&breaker, "a", 200, &probes)));
    });
}

/// Lanes refuse while the circuit is open, and not a moment longer: each refusal counts once, whichever way it went, and when the
/// time is over somebody is a probe, and no more than one is.
#[test]
fn every_refusal_counts_once_and_none_outlasts_the_open_time() {
    play(|| {
        let policy = CircuitBreakerPolicy::never()
            .consecutive_failures(1)
            .open_for(ms(1_000))
            // More than there are calls: it stays half open.
            .successes(20)
            .probes(1);
        let (breaker, clock) = still(policy);
        assert!(block_on(send(&breaker, "a", 500, &Running::at_most(1))));
        let (probes, refused) = (Running::at_most(1), Arc::new(AtomicUsize::new(0)));
        threads((0..3).map(|number| {
            let (breaker, clock) = (breaker.clone(), clock.clone());
            let (probes, refused) = (probes.clone(), refused.clone());
            async move || {
                let mut kept = service(&breaker, &probes);
                for call in 0..5 {
                    if number == 0 && call == 3 {
                        clock.advance(ms(1_000));
                    }
                    if !send_by(&mut kept, "a", 200, &probes).await {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        }));
        let metrics = breaker.metrics("a").unwrap();
        assert_eq!(metrics.state, CircuitState::HalfOpen);
        let (refused, passed) = (&refused, &probes.ever);
        let [refused, passed] = [refused, passed].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(metrics.refused as usize, refused);
        assert!(passed > 0 && refused + passed == 15, "{refused}, {passed}");
    });
}

struct Entered(Running);

impl Entered {
    fn new(running: Running) -> Self {
        running.enter();
        Self(running)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Results of before a reset, by lane or by lock, count nowhere after it: what is counted is what was sent since.
#[test]
fn a_reset_forgets_what_is_under_way() {
    play(|| {
        let policy = CircuitBreakerPolicy::never()
            .failure_rate(1.0)
            .window(Over::Calls(100))
            .minimum_calls(100);
        let (breaker, _) = still(policy);
        let anybody = Running::at_most(usize::MAX);
        let before = Arc::new(AtomicUsize::new(0));
        threads((0..3).map(|number| {
            let (breaker, anybody, before) = (breaker.clone(), anybody.clone(), before.clone());
            async move || {
                if number == 0 {
                    yield_now().await;
                    // Those were admitted before; others may be, until the reset is done.
                    before.store(anybody.ever.load(Ordering::SeqCst), Ordering::SeqCst);
                    breaker.reset("a");
                    return;
                }
                let mut kept = service(&breaker, &anybody);
                for _ in 0..4 {
                    assert!(send_by(&mut kept, "a", 200, &anybody).await);
                }
            }
        }));
        let counted = breaker.metrics("a").map_or(0, |told| told.calls as usize);
        let before = before.load(Ordering::SeqCst);
        assert!(counted + before <= 8, "{counted} counted, {before} before");
    });
}
