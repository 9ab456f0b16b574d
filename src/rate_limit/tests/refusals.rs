//! What a refusal says of the limit that refused, and a status of the kind of a limit.

use super::*;
use crate::{
    Money,
    error::{BindingLimit, RateLimited},
    outcome::Dimension,
    rate_limit::LimitKind,
};

/// Sends requests until one is refused.
async fn refusal(layer: RateLimitLayer, cost: Cost) -> RateLimited {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = layer.layer(inner);
    let mut answers = Vec::new();
    for _ in 0..10 {
        let mut request = request();
        request.extensions_mut().insert(cost);
        match service.clone().oneshot(request).await {
            Ok(answer) => answers.push(answer),
            Err(Error::RateLimited(refusal)) => return refusal,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("nothing was refused")
}

async fn refused_by(quota: Quota, cost: Cost) -> Option<BindingLimit> {
    let limiter = limiter(quota).queue_capacity(0);
    refusal(RateLimitLayer::new(limiter), cost).await.limit
}

fn rate(dimension: Dimension, amount: u64, per: u64) -> Option<BindingLimit> {
    let per = Some(ms(per));
    Some(BindingLimit::Rate {
        dimension,
        amount,
        per,
    })
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_limit_that_holds_the_request_back_the_longest() {
    let cost = Cost::tokens(40, 10);
    let two_a_minute = || Limit::requests(2).per_minute();
    let alone = Quota::new().limit(two_a_minute());
    let by_requests = rate(Dimension::Requests, 2, 60_000);
    assert_eq!(refused_by(alone, cost).await, by_requests);
    let both = Quota::new()
        .limit(two_a_minute())
        .limit(Limit::tokens(60).per(ms(90_000)));
    let by_tokens = rate(Dimension::Tokens, 60, 90_000);
    assert_eq!(refused_by(both, cost).await, by_tokens);
    let shadowed = Quota::new()
        .limit(two_a_minute())
        .limit(Limit::tokens(60).per_day().shadow());
    assert_eq!(refused_by(shadowed, cost).await, by_requests);
    let spaced = Quota::new().min_interval(ms(100));
    let by_interval = Some(BindingLimit::MinInterval(ms(100)));
    assert_eq!(refused_by(spaced, cost).await, by_interval);
    let capped = Quota::new().max_concurrent(3);
    let by_cap = Some(BindingLimit::MaxConcurrent(3));
    assert_eq!(refused_by(capped, cost).await, by_cap);
    let small = Quota::new().max_tokens_per_request(49);
    let by_size = Some(BindingLimit::MaxTokensPerRequest(49));
    assert_eq!(refused_by(small, cost).await, by_size);
    let dear = cost.with_money(Money::from_cents(3));
    let monthly = Quota::new().limit(Limit::money(Money::from_cents(2)).per_month());
    let limit = refused_by(monthly, dear).await.unwrap();
    assert_eq!(limit.to_string(), "0.02 per month");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_named_where_it_is_the_longest() {
    let limiter = one_a_minute().queue_capacity(0);
    limiter.pause("", ms(90_000));
    let layer = RateLimitLayer::new(limiter.clone());
    let refused = refusal(layer.clone(), Cost::default()).await;
    assert_eq!(refused.limit, Some(BindingLimit::Pause));
    limiter.resume("");
    let refused = refusal(layer, Cost::default()).await;
    assert_eq!(refused.limit, rate(Dimension::Requests, 1, 60_000));
}

#[tokio::test(start_paused = true)]
async fn who_waits_and_is_refused_then_is_told_by_which_limit() {
    let limiter = limiter(Quota::new().max_concurrent(1)).max_wait(ms(500));
    let refused = refusal(RateLimitLayer::new(limiter), Cost::default()).await;
    assert_eq!(refused.limit, Some(BindingLimit::MaxConcurrent(1)));
}

#[tokio::test(start_paused = true)]
async fn of_several_limiters_the_one_that_refused_is_named() {
    let wide = || limiter(Quota::new().limit(Limit::requests(9).per_minute()));
    let tenants = |limiter: RateLimiter| limiter.scope(Scope::by(|_| "tenant".into()));
    let narrow = one_a_minute().scope(Scope::All);
    let layer = RateLimitLayer::new(tenants(wide())).and(narrow.queue_capacity(0));
    let refused = refusal(layer, Cost::default()).await;
    assert_eq!((refused.scope, refused.key.as_deref()), ("all", None));
    let layer = RateLimitLayer::new(wide().scope(Scope::All))
        .and(tenants(one_a_minute()).queue_capacity(0));
    let refused = refusal(layer, Cost::default()).await;
    assert_eq!(
        (refused.scope, refused.key.as_deref()),
        ("by", Some("tenant"))
    );
    let words = Error::RateLimited(refused).to_string();
    assert!(words.contains("for tenant (1 request per 60s)"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_status_tells_how_each_limit_counts_and_where_it_comes_from() {
    let quota = Quota::new()
        .limit(Limit::requests(9).per_minute())
        .limit(Limit::tokens(9).per_minute().burst(5).shadow())
        .limit(Limit::requests(99).per_month());
    let limiter = limiter(quota);
    let inner = service_fn(|_: Request<()>| async {
        let mut answer = answer(200);
        for (name, value) in [
            ("x-ratelimit-limit-tokens-hour", "500"),
            ("x-ratelimit-remaining-tokens-hour", "400"),
        ] {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        Ok::<_, BoxError>(answer)
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    service.oneshot(request()).await.unwrap();
    let limits = limiter.status("").limits;
    let kinds = limits
        .iter()
        .map(|limit| (limit.counting, limit.is_shadow, limit.is_learned));
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(
        kinds,
        [
            (LimitKind::Sliding, false, false),
            (LimitKind::Bucket { burst: 5 }, true, false),
            (LimitKind::Calendar, false, false),
            (LimitKind::Sliding, false, true),
        ]
    );
}

/// A review's test: the slot of a concurrency limit inside stayed with the service whose request was refused.
#[tokio::test(start_paused = true)]
async fn a_refused_request_does_not_hold_the_readiness_of_the_client() {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let inner = ConcurrencyLimit::new(inner, 1);
    let limiter = one_a_minute().max_wait(ms(0));
    let mut refused = RateLimitLayer::new(limiter).layer(inner);
    let mut other = refused.clone();
    other.ready().await.unwrap().call(request()).await.unwrap();
    let refusal = refused.ready().await.unwrap().call(request()).await;
    assert!(matches!(refusal, Err(Error::RateLimited(_))), "{refusal:?}");
    assert!(other.ready().now_or_never().is_some());
}
