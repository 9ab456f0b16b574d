//! Threads that admit, cancel, settle and wake, played through in many orders by shuttle; see `.ci/run model`.
//!
//! Time stands still in them, so a wake-up that is lost leaves somebody asleep for ever, and shuttle calls that a deadlock.

mod rig;

use std::pin::pin;

use futures::future::poll_immediate;
use shuttle::{future::yield_now, thread};

use super::*;
use crate::{clock::ManualClock, keys::Keys, sync};

use rig::{Inside, assert_idle, of, play, send, still, threads};

type Call = Request<()>;

#[test]
fn no_more_are_under_way_than_may_be_and_everybody_gets_through() {
    play(|| {
        let limiter = still(Quota::new().max_concurrent(2));
        let layer = RateLimitLayer::new(limiter.clone());
        let inside = Inside::at_most(2);
        threads((0..4).map(|_| {
            let (layer, inside) = (layer.clone(), inside.clone());
            async move || {
                for _ in 0..2 {
                    send(&layer, &inside, request()).await.unwrap();
                }
            }
        }));
        assert_eq!(inside.ever(), 8);
        assert_idle(&limiter, "");
    });
}

#[test]
fn a_window_and_a_bucket_admit_just_as_many_as_they_hold() {
    let three = || Limit::requests(3).per_minute();
    for limit in [three(), three().burst(3)] {
        play(move || {
            let limiter = still(Quota::new().limit(limit.clone())).max_wait(ms(0));
            let layer = RateLimitLayer::new(limiter.clone());
            let inside = Inside::at_most(3);
            threads((0..3).map(|_| {
                let (layer, inside) = (layer.clone(), inside.clone());
                async move || {
                    for _ in 0..2 {
                        let _ = send(&layer, &inside, request()).await;
                    }
                }
            }));
            assert_eq!(inside.ever(), 3);
            assert_eq!(limiter.status("").limits[0].used, 3);
            assert_idle(&limiter, "");
        });
    }
}

/// A caller goes in the moment in which he is woken: the slot must not be left with nobody to take it.
#[test]
fn who_goes_as_he_is_woken_passes_the_wake_on() {
    play(|| {
        let limiter = still(Quota::new().max_concurrent(1));
        let layer = RateLimitLayer::new(limiter.clone());
        let inside = Inside::at_most(1);
        threads((0..4).map(|number| {
            let (layer, inside) = (layer.clone(), inside.clone());
            async move || {
                if number % 2 == 0 {
                    send(&layer, &inside, request()).await.unwrap();
                    return;
                }
                // Who goes does so before he is sent, or while he is under way; the count is of those who stay.
                let client = service_fn(|_: Call| async {
                    yield_now().await;
                    Ok::<_, BoxError>(answer(200))
                });
                let mut call = pin!(layer.layer(client).oneshot(request()));
                for _ in 0..2 {
                    let _gone = poll_immediate(&mut call).await;
                    yield_now().await;
                    if _gone.is_some() {
                        return;
                    }
                }
            }
        }));
        assert_eq!(inside.ever(), 2);
        assert_idle(&limiter, "");
    });
}

/// Who used less than was reserved, or sent nothing at all, lets the next one pass although no time goes by.
#[test]
fn a_settlement_and_a_refund_wake_the_next() {
    play(|| {
        let limiter = still(Quota::new().limit(Limit::tokens(100).per_minute()));
        let layer = RateLimitLayer::new(limiter.clone());
        let sent = Arc::new(sync::AtomicUsize::new(0));
        threads((0..4).map(|number| {
            let (layer, sent) = (layer.clone(), sent.clone());
            async move || {
                let inner = service_fn(move |_: Call| {
                    let is_sent = number % 2 == 0;
                    async move {
                        yield_now().await;
                        let mut response = answer(200);
                        let cell = UsageCell::default();
                        cell.set(Usage {
                            total_tokens: Some(1),
                            ..Usage::default()
                        });
                        response.extensions_mut().insert(cell);
                        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
                        is_sent.then_some(response).ok_or_else(refused)
                    }
                });
                let mut costly = request();
                costly.extensions_mut().insert(Cost::tokens(0, 90));
                let response = layer.layer(inner).oneshot(costly).await;
                yield_now().await;
                sent.fetch_add(usize::from(response.is_ok()), Ordering::SeqCst);
            }
        }));
        assert_eq!(sent.load(Ordering::SeqCst), 2);
        assert_eq!(limiter.status("").limits[0].used, 2);
        assert_idle(&limiter, "");
    });
}

#[test]
fn two_limiters_that_are_named_in_either_order_do_not_lock_one_another_out() {
    play(|| {
        let (wide, narrow) = (
            still(Quota::new().max_concurrent(2)),
            still(Quota::new().max_concurrent(1)),
        );
        let layers = [
            RateLimitLayer::new(wide.clone()).and(narrow.clone()),
            RateLimitLayer::new(narrow.clone()).and(wide.clone()),
            RateLimitLayer::new(wide.clone()),
        ];
        let (both, any) = (Inside::at_most(1), Inside::at_most(2));
        threads(layers.into_iter().enumerate().map(|(number, layer)| {
            let inside = if number < 2 { &both } else { &any }.clone();
            async move || {
                for _ in 0..2 {
                    send(&layer, &inside, request()).await.unwrap();
                }
            }
        }));
        assert_eq!((both.ever(), any.ever()), (4, 2));
        assert_idle(&wide, "");
        assert_idle(&narrow, "");
    });
}

/// A pause, another quota and a reset come while others wait.
#[test]
fn a_change_of_the_quota_wakes_those_whom_it_lets_pass() {
    play(|| {
        let limiter = still(Quota::new().limit(Limit::requests(1).per_minute()));
        let layer = RateLimitLayer::new(limiter.clone());
        let inside = Inside::at_most(3);
        let calls = (0..3).map(|_| {
            let (layer, inside) = (layer.clone(), inside.clone());
            let task: Box<dyn FnOnce() -> futures::future::LocalBoxFuture<'static, ()> + Send> =
                Box::new(move || {
                    Box::pin(async move { send(&layer, &inside, request()).await.unwrap() })
                });
            task
        });
        let changed = limiter.clone();
        let change: Box<dyn FnOnce() -> futures::future::LocalBoxFuture<'static, ()> + Send> =
            Box::new(move || {
                Box::pin(async move {
                    changed.pause("", ms(1_000));
                    changed.reset("");
                    let three = Quota::new().limit(Limit::requests(3).per_minute());
                    changed.set_quota("", three).unwrap();
                })
            });
        threads(calls.chain([change]));
        assert_eq!(inside.ever(), 3);
        assert_idle(&limiter, "");
    });
}

/// Keys come and go while others are held, and holds end without the lock: who holds a spot finds his own key there, and who
/// watches is asked before anybody lets go.
#[test]
fn a_spot_that_is_held_neither_vanishes_nor_changes_its_key() {
    play(|| {
        let keys = Arc::new(Keys::<()>::new(2));
        threads((0..3).map(|number| {
            let keys = keys.clone();
            async move || {
                for round in 0..3 {
                    let name = ((number + round) % 4).to_string();
                    let mut locked = keys.enter(&name, || (), |()| true);
                    locked.parts_to_hold().2.begin();
                    let (spot, key) = (locked.spot(), locked.key().to_owned());
                    drop(locked);
                    thread::yield_now();
                    let locked = keys.lock(spot);
                    assert_eq!(locked.key(), key);
                    assert!(locked.held() > 0, "held by its holder");
                    if number == 0 {
                        locked.ends().watch();
                        let held = locked.held();
                        thread::yield_now();
                        assert_eq!(locked.held(), held, "it is watched");
                        locked.ends().end();
                        locked.ends().unwatch();
                        continue;
                    }
                    drop(locked);
                    if !keys.try_release(spot) {
                        keys.lock(spot).ends().end();
                    }
                }
            }
        }));
        keys.for_each(|key, (), held| assert_eq!(held, 0, "{key}"));
    });
}

/// Beyond the bound they share one slot, below it each tenant has his own.
#[test]
fn tenants_that_come_and_go_keep_to_their_slots() {
    play(|| {
        let by_tenant = Scope::by(|head| head.uri.host().unwrap_or_default().into());
        let quota = Quota::new().max_concurrent(1);
        let limiter = still(quota).scope(by_tenant).max_keys(2);
        let layer = RateLimitLayer::new(limiter.clone());
        let tenants = ["a", "b", "c"];
        // A tenant may have a slot of his own and one among the others, never more.
        let inside = tenants.map(|_| Inside::at_most(2));
        threads((0..3).map(|number| {
            let (layer, inside) = (layer.clone(), inside.clone());
            async move || {
                for round in 0..2 {
                    let tenant = (number + round) % 3;
                    let call = of(tenants[tenant]);
                    send(&layer, &inside[tenant], call).await.unwrap();
                }
            }
        }));
        assert!(inside.iter().all(|inside| inside.ever() == 2));
        for tenant in tenants {
            assert_idle(&limiter, tenant);
        }
        assert_idle(&limiter, crate::keys::OTHERS);
        assert!(limiter.keys().is_empty());
    });
}
