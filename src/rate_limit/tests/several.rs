//! Several limiters of one layer.

use std::{
    sync::atomic::AtomicUsize,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

type Call = Request<()>;

fn by_tenant() -> Scope {
    Scope::by(|head| head.uri.host().unwrap_or_default().into())
}

fn of(tenant: &str) -> Call {
    Request::get(format!("http://{tenant}/")).body(()).unwrap()
}

fn per_second(amount: u64) -> Quota {
    Quota::new().limit(Limit::requests(amount).per_second())
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_from_all_limiters_or_from_none() {
    let everybody = limiter(per_second(2)).scope(Scope::All);
    let tenants = limiter(Quota::new().limit(Limit::requests(1).per_day()))
        .scope(by_tenant())
        .max_wait(ms(0));
    let layer = RateLimitLayer::new(everybody.clone()).and(tenants.clone());
    let service = layer.layer(service_fn(|_: Call| async {
        Ok::<_, BoxError>(answer(200))
    }));
    service.clone().oneshot(of("acme")).await.unwrap();
    let error = service.clone().oneshot(of("acme")).await.unwrap_err();
    assert_eq!(
        error.upstream(),
        Some("acme"),
        "the refusal names the limiter's key"
    );
    let used = |limiter: &RateLimiter, key: &str| limiter.status(key).limits[0].used;
    assert_eq!((used(&everybody, ""), used(&tenants, "acme")), (1, 1));
    service.clone().oneshot(of("initech")).await.unwrap();
    let error = service.oneshot(of("hooli")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(1_000)));
    assert_eq!((used(&everybody, ""), used(&tenants, "hooli")), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_reads_a_key_may_ask_another_limiter_of_the_layer() {
    let everybody = limiter(per_second(9)).scope(Scope::All);
    let asked = everybody.clone();
    let by_load = Scope::by(move |_| match asked.can_admit("", Cost::default()) {
        true => "quiet".into(),
        false => "busy".into(),
    });
    let tenants = limiter(per_second(9)).scope(by_load);
    let layer = RateLimitLayer::new(everybody).and(tenants.clone());
    let service = layer.layer(service_fn(|_: Call| async {
        Ok::<_, BoxError>(answer(200))
    }));
    service.oneshot(request()).await.unwrap();
    assert_eq!(tenants.status("quiet").limits[0].used, 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_and_never_fits_after_quotas_have_shrunk_is_refused() {
    let tokens = |amount| Quota::new().limit(Limit::tokens(amount).per_second());
    for several in [false, true] {
        let (one, other) = (limiter(tokens(100)), limiter(tokens(100)));
        let (one, other) = (one.scope(Scope::All), other.scope(Scope::All));
        let layer = RateLimitLayer::new(one.clone());
        let layer = if several {
            layer.and(other.clone())
        } else {
            layer
        };
        let service = layer.layer(service_fn(|_: Call| async {
            Ok::<_, BoxError>(answer(200))
        }));
        let of = |tokens| {
            let mut request = request();
            request.extensions_mut().insert(Cost::tokens(tokens, 0));
            service.clone().oneshot(request)
        };
        of(100).await.unwrap();
        let waiting = tokio::spawn(of(100));
        settle().await;
        one.set_quota("", tokens(50)).unwrap();
        other.set_quota("", tokens(50)).unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        let Error::RateLimited(refusal) = error else {
            panic!("{error}")
        };
        assert_eq!(refusal.reason, RefusalReason::TooLarge);
        assert_eq!(refusal.limit.unwrap().to_string(), "50 tokens per 1s");
    }
}

// Without it one tenant's burst would stand in everybody's way.
#[tokio::test(start_paused = true)]
async fn who_waits_for_his_own_limit_does_not_hold_up_others() {
    let tenants = limiter(per_second(1)).scope(by_tenant());
    let everybody = limiter(per_second(100)).scope(Scope::All);
    let layer = RateLimitLayer::new(tenants).and(everybody);
    let service = layer.layer(service_fn(|_: Call| async {
        Ok::<_, BoxError>(answer(200))
    }));
    let burst = (0..5).map(|_| tokio::spawn(service.clone().oneshot(of("acme"))));
    let burst: Vec<_> = burst.collect();
    settle().await;
    let start = TokioClock.now();
    service.oneshot(of("initech")).await.unwrap();
    assert_eq!(TokioClock.now(), start);
    for call in burst {
        call.await.unwrap().unwrap();
    }
    let took = TokioClock.now() - start;
    assert!((ms(4_000)..ms(4_050)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_says_is_heeded_by_the_limiter_of_upstreams_alone() {
    let tenants = limiter(per_second(9)).scope(by_tenant());
    let upstreams = limiter(per_second(9)).scope(Scope::Host);
    let layer = RateLimitLayer::new(tenants.clone()).and(upstreams.clone());
    let service = layer.layer(service_fn(|_: Call| async {
        let mut refusal = answer(429);
        let headers = refusal.headers_mut();
        headers.insert("retry-after", http::HeaderValue::from_static("30"));
        Ok::<_, BoxError>(refusal)
    }));
    service.oneshot(of("acme")).await.unwrap();
    assert_eq!(upstreams.status("acme").paused, Some(ms(30_000)));
    assert_eq!(tenants.status("acme").paused, None);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_a_quota_over_its_models_which_have_their_own() {
    let groq = Provider::groq().quota(per_second(3)).unwrap();
    let of = |model: &str| {
        let upstream = groq.model(model).quota(per_second(2)).unwrap();
        let mut request = request();
        request.extensions_mut().insert(upstream);
        request
    };
    let accounts = RateLimiter::default()
        .scope(Scope::Provider)
        .max_wait(ms(0));
    let layer = RateLimitLayer::new(RateLimiter::default().max_wait(ms(0))).and(accounts.clone());
    let service = layer.layer(service_fn(|_: Call| async {
        Ok::<_, BoxError>(answer(200))
    }));
    for model in ["small", "small", "large"] {
        service.clone().oneshot(of(model)).await.unwrap();
    }
    let refused = |model| {
        service
            .clone()
            .oneshot(of(model))
            .map(|result| result.unwrap_err().upstream().unwrap().to_owned())
    };
    assert_eq!(refused("large").await, "groq");
    assert_eq!(accounts.status("groq").limits[0].used, 3);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_is_named_twice_counts_once() {
    let once = limiter(per_second(9)).scope(Scope::All);
    let layer = RateLimitLayer::new(once.clone()).and(once.clone());
    let service = layer.layer(service_fn(|_: Call| async {
        Ok::<_, BoxError>(answer(200))
    }));
    service.oneshot(request()).await.unwrap();
    assert_eq!(once.status("").limits[0].used, 1);
}

#[test]
fn threads_that_name_the_limiters_in_another_order_do_not_stand_in_each_others_way() {
    let clock = ManualClock::new();
    let everybody = |amount| {
        limiter(per_second(amount))
            .scope(Scope::All)
            .clock(clock.clone())
    };
    let (one, other) = (everybody(1_000), everybody(300));
    let layers = [
        RateLimitLayer::new(one.clone()).and(other.clone()),
        RateLimitLayer::new(other).and(one),
    ];
    let sent = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for layer in &layers {
            threads.spawn(|| {
                let inner = service_fn(|_: Call| async { Ok::<_, BoxError>(answer(200)) });
                let service = layer.layer(inner);
                for _ in 0..300 {
                    // Who would have to wait goes away, and leaves nothing behind.
                    if let Some(Ok(_)) = service.clone().oneshot(request()).now_or_never() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(sent.load(Ordering::Relaxed), 300);
}

proptest! {
    /// Whoever asks, and goes away: no limit of any limiter is overrun, nobody of a tenant is overtaken by a later one of
    /// the same, everybody gets through, and nothing is left behind.
    #[test]
    fn no_limiter_is_overrun_and_everybody_gets_through(
        (all, each) in (1_u64..8, 1_u64..4),
        asks in proptest::collection::vec((0_usize..3, 0_u64..400, 0_u8..8), 1..60),
    ) {
        let clock = ManualClock::new();
        let everybody = limiter(per_second(all)).scope(Scope::All).clock(clock.clone());
        let tenants = limiter(per_second(each)).scope(by_tenant()).clock(clock.clone());
        let log = Arc::<std::sync::Mutex<Vec<(String, Instant)>>>::default();
        let layer = RateLimitLayer::new(tenants.clone()).and(everybody.clone());
        let (sent, time) = (log.clone(), clock.clone());
        let service = layer.layer(service_fn(move |request: Call| {
            let tenant = request.uri().host().unwrap_or_default().to_owned();
            sent.lock().unwrap().push((tenant, time.now()));
            async { Ok::<_, BoxError>(answer(200)) }
        }));
        let mut calls = FuturesUnordered::new();
        let mut expected = 0;
        for (tenant, pause, goes) in asks {
            clock.advance(ms(pause));
            while let Some(Some(answer)) = calls.next().now_or_never() {
                let answer: Result<_, Error> = answer;
                answer.unwrap();
            }
            let mut call = Box::pin(service.clone().oneshot(of(["a", "b", "c"][tenant])));
            if goes == 0 {
                expected += usize::from((&mut call).now_or_never().is_some());
            } else {
                expected += 1;
                calls.push(call);
            }
        }
        while !calls.is_empty() {
            match calls.next().now_or_never() {
                Some(answer) => drop(answer.unwrap().unwrap()),
                None => {
                    let next = clock.next_deadline().expect("somebody is told when to wake");
                    clock.advance(next.saturating_duration_since(clock.now()).max(Duration::from_nanos(1)));
                }
            }
        }
        let log = log.lock().unwrap();
        prop_assert_eq!(log.len(), expected);
        for (tenant, amount) in [("", all), ("a", each), ("b", each), ("c", each)] {
            let sent: Vec<_> = log.iter().filter(|(of, _)| tenant.is_empty() || of == tenant).collect();
            for window in sent.windows(amount as usize + 1) {
                let (first, last) = (window[0].1, window[amount as usize].1);
                prop_assert!(last - first >= ms(1_000), "{tenant:?}");
            }
        }
        for (limiter, key) in [(&everybody, ""), (&tenants, "a"), (&tenants, "b"), (&tenants, "c")] {
            let status = limiter.status(key);
            prop_assert_eq!((status.in_flight, status.queued), (0, 0));
        }
        clock.advance(ms(1_000));
        prop_assert!(everybody.keys().is_empty() && tenants.keys().is_empty());
    }
}
