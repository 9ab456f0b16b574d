//! What the handle tells and changes.

use super::*;
use crate::{Money, Price, clock::ManualClock};

fn ready(
    limiter: &RateLimiter,
) -> impl Service<Request<()>, Response: std::fmt::Debug, Error = Error> + Clone {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    RateLimitLayer::new(limiter.clone()).layer(inner)
}

#[tokio::test(start_paused = true)]
async fn it_tells_whether_a_request_would_pass_how_long_it_would_wait_and_how_near_the_limit_is() {
    let quota = Quota::new()
        .limit(Limit::tokens(100).per_minute())
        .max_concurrent(4);
    let limiter = limiter(quota);
    let cost = |tokens| Cost::tokens(tokens, 0);
    assert!(limiter.can_admit("", cost(100)));
    assert_eq!(limiter.risk("", cost(10)), 0.25, "one of four slots");
    assert_eq!(limiter.risk("", cost(60)), 0.6);
    assert!(limiter.keys().is_empty(), "looking makes no key");

    let mut request = request();
    request.extensions_mut().insert(cost(80));
    ready(&limiter).oneshot(request).await.unwrap();
    assert!(limiter.can_admit("", cost(20)) && !limiter.can_admit("", cost(21)));
    assert_eq!(limiter.wait_time("", cost(21)), Some(ms(60_000)));
    assert_eq!(limiter.wait_time("", cost(101)), None);
    assert_eq!(limiter.risk("", cost(120)), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_key_can_be_granted_another_quota_and_keeps_it() {
    let limiter = one_a_minute().max_wait(ms(0));
    let service = ready(&limiter);
    service.clone().oneshot(request()).await.unwrap();
    service.clone().oneshot(request()).await.unwrap_err();
    let quota = Quota::new().limit(Limit::requests(3).per_minute());
    limiter.set_quota("", quota.clone()).unwrap();
    assert_eq!(limiter.status("").limits[0].used, 1);
    service.clone().oneshot(request()).await.unwrap();

    let upstream = Provider::groq()
        .model("m")
        .quota(Quota::new().limit(Limit::requests(1).per_day()));
    let upstream = upstream.unwrap();
    limiter.set_quota(upstream.id(), quota).unwrap();
    for _ in 0..3 {
        let mut request = request();
        request.extensions_mut().insert(upstream.clone());
        service.clone().oneshot(request).await.unwrap();
    }
    limiter.unset_quota("");
    assert_eq!(limiter.status("").limits[0].amount, 1);
    service.oneshot(request()).await.unwrap_err();
    let zero = Quota::new().limit(Limit::requests(0).per_minute());
    assert!(
        limiter
            .set_quota("", zero)
            .unwrap_err()
            .to_string()
            .contains("0 requests")
    );
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_own_quota_keeps_what_was_taken_when_nothing_was_set_over_it() {
    let limiter = limiter(Quota::new()).max_wait(ms(0));
    let service = ready(&limiter);
    let of = || {
        // Made for each request, as by those who read it from a file.
        let upstream = Provider::groq()
            .model("m")
            .quota(Quota::new().limit(Limit::requests(2).per_day()));
        let mut request = request();
        request.extensions_mut().insert(upstream.unwrap());
        request
    };
    service.clone().oneshot(of()).await.unwrap();
    limiter.unset_quota("groq/m");
    service.clone().oneshot(of()).await.unwrap();
    service.clone().oneshot(of()).await.unwrap_err();
    limiter.set_quota("groq/m", Quota::new()).unwrap();
    service.clone().oneshot(of()).await.unwrap();
    limiter.unset_quota("groq/m");
    assert_eq!(limiter.status("groq/m").limits[0].amount, 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_can_be_ended() {
    let limiter = one_a_minute();
    limiter.pause("", ms(1_000));
    assert_eq!(limiter.wait_time("", Cost::default()), Some(ms(1_000)));
    limiter.resume("");
    assert!(limiter.can_admit("", Cost::default()));
}

// PITFALLS 61, litellm, one-api: every spelling of a model was a new free bucket.
#[tokio::test(start_paused = true)]
async fn keys_beyond_the_bound_share_one_quota() {
    let by_host = Scope::by(|head| head.uri.host().unwrap_or_default().into());
    let limiter = one_a_minute().scope(by_host).max_keys(2).max_wait(ms(0));
    let service = ready(&limiter);
    let of = |name: &str| Request::get(format!("http://{name}/")).body(()).unwrap();
    for name in ["a", "b", "gpt-4"] {
        service.clone().oneshot(of(name)).await.unwrap();
    }
    let error = service.oneshot(of("gpt-4-0613")).await.unwrap_err();
    assert_eq!(error.upstream(), Some("gpt-4-0613"));
    assert!(
        !limiter.can_admit("gpt-4-turbo", Cost::default()),
        "as it would be refused"
    );
    assert_eq!(limiter.status("(others)").limits[0].used, 1);
}

#[tokio::test(start_paused = true)]
async fn money_is_reckoned_from_tokens_and_settled_by_what_was_used() {
    let price = Price::default()
        .input(Money::from_cents(100))
        .output(Money::from_cents(1_000));
    let budget = Limit::money(Money::from_cents(1)).per_day();
    let limiter = limiter(Quota::new().limit(budget)).price(price);
    let usage = UsageCell::default();
    let told = usage.clone();
    let inner = service_fn(move |_: Request<()>| {
        let mut answer = answer(200);
        answer.extensions_mut().insert(told.clone());
        async { Ok::<_, BoxError>(answer) }
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    assert!(
        !limiter.can_admit("", Cost::tokens(1_000_000, 0)),
        "it would cost a hundred cents"
    );
    let known = Cost::tokens(1_000_000, 0).with_money(Money::from_cents(1));
    assert!(
        limiter.can_admit("", known),
        "the caller says what it costs"
    );
    let mut request = request();
    request.extensions_mut().insert(Cost::tokens(1_000, 1));
    let answer = service.oneshot(request).await.unwrap();
    let used = || limiter.status("").limits[0].used;
    assert_eq!(used(), 1_010_000);
    usage.set(Usage {
        input_tokens: Some(1_000),
        output_tokens: Some(0),
        ..Usage::default()
    });
    answer.into_body().collect().await.unwrap();
    assert_eq!(used(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_a_429_cuts_the_rate() {
    let limiter = limiter(Quota::new());
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = refuses.clone();
    let inner = service_fn(move |_: Request<()>| {
        let status = if flag.load(Ordering::Relaxed) {
            429
        } else {
            200
        };
        async move { Ok::<_, BoxError>(answer(status)) }
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    for _ in 0..200 {
        service.clone().oneshot(request()).await.unwrap();
        tokio::time::advance(ms(10)).await;
    }
    assert!(limiter.can_admit("", Cost::default()));
    refuses.store(true, Ordering::Relaxed);
    service.clone().oneshot(request()).await.unwrap();
    refuses.store(false, Ordering::Relaxed);
    let wait = limiter.wait_time("", Cost::default()).unwrap();
    assert!(
        (ms(13)..ms(16)).contains(&wait),
        "70 a second, not {wait:?}"
    );
    let steady = super::limiter(Quota::new().steady());
    assert!(steady.can_admit("", Cost::default()));
}

#[tokio::test(start_paused = true)]
async fn the_months_of_a_budget_are_those_of_the_calendar() {
    let new_year = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_600);
    let monthly = || Limit::requests(1).per_month();
    let pacific = monthly().calendar(Zone::utc_offset(-8 * 60));
    for (limit, hours) in [(monthly(), 0), (pacific, 8)] {
        let clock = ManualClock::starting_at(new_year + ms(hours * 3_600_000) - ms(5_000));
        let monthly = Quota::new().limit(limit);
        let limiter = limiter(monthly).clock(clock.clone()).max_wait(ms(0));
        let service = ready(&limiter);
        service.clone().oneshot(request()).await.unwrap();
        let error = service.clone().oneshot(request()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(5_000)));
        clock.advance(ms(5_000));
        service.clone().oneshot(request()).await.unwrap();
        let error = service.oneshot(request()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(31 * 86_400_000)));
    }
}
