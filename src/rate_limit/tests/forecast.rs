//! What the limiter foretells, and that it comes true.

use futures::FutureExt as _;

use super::*;
use crate::{
    fallback::{Chain, FallbackLayer},
    forecast::{Forecast, Prospect},
    money::Money,
    outcome::RefusedBy,
    request::{Price, RequestHead},
    upstream::{ServedBy, Upstream},
};

fn tokens_a_minute(model: &str, tokens: u64) -> Upstream {
    let quota = Quota::new().limit(Limit::tokens(tokens).per_minute());
    Provider::groq().model(model).quota(quota).unwrap()
}

fn of_tokens(tokens: u64) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(Cost::tokens(tokens, 0));
    request
}

fn foretell(limiter: &RateLimiter, upstream: &Upstream, request: &Request<()>) -> Prospect {
    limiter.forecast(upstream, &RequestHead::of(request).toward(upstream))
}

#[tokio::test(start_paused = true)]
async fn it_foretells_whether_a_request_passes_queues_is_refused_or_never_fits() {
    let limiter = limiter(Quota::new()).max_wait(ms(60_000));
    let upstream = tokens_a_minute("m", 100);
    let of = |tokens| foretell(&limiter, &upstream, &of_tokens(tokens));
    assert_eq!(of(60), Prospect::Pass { taken: 0.6 });
    assert_eq!(of(101), Prospect::TooLarge);
    assert!(limiter.keys().is_empty(), "a question makes no key");

    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let mut request = of_tokens(80);
    request.extensions_mut().insert(upstream.clone());
    service.oneshot(request).await.unwrap();
    assert_eq!(of(20), Prospect::Pass { taken: 1.0 });
    assert_eq!(of(21), Prospect::Queue { wait: ms(60_000) });
    // Another upstream's request is another matter, whatever the request carries already.
    let other = tokens_a_minute("n", 100);
    let free = foretell(&limiter, &other, &of_tokens(21));
    assert_eq!(free, Prospect::Pass { taken: 0.21 });

    let mut hurried = of_tokens(21);
    let soon = TokioClock.now() + ms(59_999);
    hurried.extensions_mut().insert(Deadline(soon));
    let refused = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: Some(ms(60_000)),
    };
    assert_eq!(foretell(&limiter, &upstream, &hurried), refused);
    limiter.pause(upstream.id(), ms(60_001));
    let paused = Prospect::Refuse {
        by: RefusedBy::Limit,
        retry_after: Some(ms(60_001)),
    };
    assert_eq!(of(1), paused);
}

/// A new user's test: of a cap that was full it was foretold that a request would wait for no time at all.
#[tokio::test(start_paused = true)]
async fn nobody_knows_how_long_a_wait_for_others_to_end_takes_and_it_says_so() {
    let quota = Quota::new().max_concurrent(2).min_interval(ms(10));
    let limiter = limiter(quota);
    let upstream = Provider::groq().model("m");
    let of = || foretell(&limiter, &upstream, &request());
    let inner = service_fn(|_: Request<()>| async {
        TokioClock.sleep_until(TokioClock.now() + ms(100)).await;
        Ok::<_, BoxError>(answer(200))
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let mut calls: Vec<_> = (0..3)
        .map(|_| {
            let mut request = request();
            request.extensions_mut().insert(upstream.clone());
            Box::pin(service.clone().oneshot(request))
        })
        .collect();
    assert_eq!(of(), Prospect::Pass { taken: 0.5 });
    assert!((&mut calls[0]).now_or_never().is_none());
    assert_eq!(of(), Prospect::Queue { wait: ms(10) });
    // The second slot is for the one who waits for it already.
    assert!((&mut calls[1]).now_or_never().is_none());
    assert_eq!(of(), Prospect::Full { at_least: ms(20) });
    TokioClock.sleep_until(TokioClock.now() + ms(10)).await;
    assert!((&mut calls[1]).now_or_never().is_none());
    assert_eq!(of(), Prospect::Full { at_least: ms(10) });
    // A wait that is too long in any case is known to be.
    let mut hurried = request();
    hurried
        .extensions_mut()
        .insert(Deadline(TokioClock.now() + ms(9)));
    let retry_after = Some(ms(10));
    let by = RefusedBy::Limit;
    let refused = Prospect::Refuse { by, retry_after };
    assert_eq!(foretell(&limiter, &upstream, &hurried), refused);
    calls.remove(0);
    TokioClock.sleep_until(TokioClock.now() + ms(10)).await;
    assert_eq!(of(), Prospect::Pass { taken: 1.0 });
}

#[tokio::test(start_paused = true)]
async fn money_is_reckoned_by_the_price_of_the_upstream_that_is_considered() {
    let quota = Quota::new().limit(Limit::money(Money::from_cents(10)).per_day());
    let price = |cents| Price::default().input(Money::from_cents(cents));
    let limiter = limiter(Quota::new());
    let of = |cents| {
        let upstream = Provider::groq().model("m").quota(quota.clone()).unwrap();
        foretell(
            &limiter,
            &upstream.price(price(cents)),
            &of_tokens(1_000_000),
        )
    };
    assert_eq!(of(5), Prospect::Pass { taken: 0.5 });
    assert_eq!(of(11), Prospect::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_consults_it_sends_nobody_into_a_queue_while_another_is_free() {
    let limiter = limiter(Quota::new()).max_wait(ms(300_000));
    let chain = Chain::new([tokens_a_minute("m", 100), tokens_a_minute("n", 100)]);
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = FallbackLayer::new(chain.consult(limiter.clone()))
        .unwrap()
        .layer(RateLimitLayer::new(limiter.clone()).layer(inner));
    let began = TokioClock.now();
    let mut served = Vec::new();
    for tokens in [60, 60, 40, 40, 30] {
        let response = service.clone().oneshot(of_tokens(tokens)).await.unwrap();
        let ServedBy(upstream) = response.extensions().get().unwrap();
        served.push((
            upstream.model().unwrap().to_owned(),
            TokioClock.now() - began,
        ));
    }
    let at = |model: &str, wait| (model.to_owned(), ms(wait));
    // Both are full by the fifth: it waits in the line that is as short as the other, and stands first.
    let expected = [
        at("m", 0),
        at("n", 0),
        at("m", 0),
        at("n", 0),
        at("m", 60_000),
    ];
    assert_eq!(served, expected);
}

// A guess was priced before it was made to fit: what would pass was foretold as too large.
#[tokio::test(start_paused = true)]
async fn the_money_of_a_guess_is_that_of_the_tokens_that_are_expected() {
    let quota = Quota::new()
        .limit(Limit::tokens(1_000).per_minute())
        .limit(Limit::money(Money::from_cents(1)).per_day());
    let price = Price::default().output(Money::from_cents(1_000));
    let limiter = limiter(quota).price(price);
    let mut guessed = request();
    let cost = Cost::tokens(0, 5_000).guessed();
    guessed.extensions_mut().insert(cost);
    let upstream = Provider::groq().model("m");
    let foretold = foretell(&limiter, &upstream, &guessed);
    assert_eq!(foretold, Prospect::Pass { taken: 1.0 });
    assert!(limiter.can_admit("groq/m", cost));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_the_wait_that_is_foretold_and_the_end_of_an_attempt_does_not() {
    let of = |seconds: u64| {
        let mut request = request();
        let end = TokioClock.now() + ms(seconds * 1_000);
        request.extensions_mut().insert(Deadline(end));
        let attempt = AttemptDeadline::new(TokioClock.now(), None);
        request.extensions_mut().insert(attempt);
        request
    };
    let limiter = one_a_minute();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let upstream = Provider::groq().model("m");
    let mut first = request();
    first.extensions_mut().insert(upstream.clone());
    service.oneshot(first).await.unwrap();
    let wait = ms(60_000);
    assert_eq!(
        foretell(&limiter, &upstream, &of(60)),
        Prospect::Queue { wait }
    );
    let retry_after = Some(wait);
    assert_eq!(
        foretell(&limiter, &upstream, &of(59)),
        Prospect::Refuse {
            by: RefusedBy::Limit,
            retry_after,
        }
    );
}
