//! The service on paused time.

use std::{
    cell::Cell,
    convert::Infallible,
    io,
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future};
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_test::mock::{self, Mock};

use crate::fallback::*;
use crate::{
    body::Replay,
    clock::{Clock, TokioClock},
    error::{BoxError, CircuitOpen, Error, Exhausted, RateLimited, RefusalReason},
    observe::Event,
    outcome::{Failure, FailureKind, LimitHit, Outcome},
    request::{Attempts, Deadline, Next},
    upstream::{Provider, ServedBy, Upstream},
};

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_with_the_time_that_it_took() {
    let client = service_fn(|_: Request<()>| async {
        let clock = TokioClock;
        clock
            .sleep_until(clock.now() + Duration::from_millis(30))
            .await;
        Err::<Response<String>, BoxError>("refused".into())
    });
    let service = FallbackLayer::new(chain()).unwrap().layer(client);
    let error = service.oneshot(Request::new(())).await.unwrap_err();
    let Error::Exhausted(Exhausted { attempts, .. }) = error else {
        panic!("{error}");
    };
    let took: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.took.as_millis())
        .collect();
    assert_eq!(took, [30, 30, 30]);
}

#[path = "tests/anchors.rs"]
mod anchors;
#[path = "tests/back.rs"]
mod back;

type Answer = Result<Response<String>, BoxError>;

/// A layer over `a/1`, `a/2`, `b/1`, and a client that answers by upstream and notes who was asked, and when.
struct Bench {
    layer: FallbackLayer,
    cooldowns: Cooldowns,
    events: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new(change: impl FnOnce(Chain) -> Chain) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = events.clone();
        let cooldowns = Cooldowns::new().observe(move |event: &Event<'_>| {
            told.lock().unwrap().push(event.to_string());
        });
        let layer = FallbackLayer::new(change(chain())).unwrap();
        Self {
            layer: layer.cooldowns(cooldowns.clone()),
            cooldowns,
            events,
            asked: Arc::default(),
        }
    }

    async fn call(&self, answer: impl Fn(&str) -> Answer) -> Result<Response<String>, Error> {
        self.send(Request::new(String::new()), |request| answer(id(request)))
            .await
    }

    async fn send<B: Replay>(
        &self,
        request: Request<B>,
        answer: impl Fn(&Request<B>) -> Answer,
    ) -> Result<Response<String>, Error> {
        let client = service_fn(|request: Request<B>| {
            self.asked.lock().unwrap().push(id(&request).to_owned());
            future::ready(answer(&request))
        });
        // Not `'static`, not `Send`: the client borrows the bench.
        self.layer.layer(client).oneshot(request).await
    }

    /// Who was asked since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The keys that are cooling down, with how long in milliseconds.
    fn cooling(&self) -> Vec<(String, u128)> {
        let list = self.cooldowns.list().into_iter();
        list.map(|entry| (entry.key.to_string(), entry.remaining.as_millis()))
            .collect()
    }
}

fn chain() -> Chain {
    let (a, b) = (provider("a"), provider("b"));
    Chain::new([a.model("1"), a.model("2"), b.model("1")])
}

fn provider(name: &str) -> Provider {
    Provider::new(name, "http://example.com").unwrap()
}

fn id<B>(request: &Request<B>) -> &str {
    request
        .extensions()
        .get::<Upstream>()
        .map_or("", Upstream::id)
}

fn ok() -> Answer {
    Ok(Response::new("answer".to_owned()))
}

fn status(status: u16) -> Answer {
    let mut response = Response::new(format!("{status}"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

fn limited(seconds: u64) -> Answer {
    let mut response = status(429)?;
    response.headers_mut().insert("retry-after", seconds.into());
    Ok(response)
}

fn meaning(failure: Failure) -> Answer {
    let mut response = status(400)?;
    response.extensions_mut().insert(Outcome::from(failure));
    Ok(response)
}

fn refused(seconds: u64) -> Answer {
    Err(Error::CircuitOpen(CircuitOpen {
        key: "x".into(),
        reason: "test",
        retry_after: Duration::from_secs(seconds),
    })
    .into())
}

fn served_by(result: &Result<Response<String>, Error>) -> &str {
    let response = result.as_ref().unwrap();
    response.extensions().get::<ServedBy>().unwrap().0.id()
}

fn exhausted(result: Result<Response<String>, Error>) -> Exhausted {
    match result {
        Err(Error::Exhausted(exhausted)) => exhausted,
        other => panic!("not exhausted: {other:?}"),
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_model_then_the_next_provider_is_asked_and_who_answered_is_told() {
    let bench = Bench::new(|chain| chain);
    let result = bench
        .call(|id| match id {
            "a/1" => limited(1_367),
            "a/2" => status(500),
            _ => ok(),
        })
        .await;
    assert_eq!(served_by(&result), "b/1");
    assert_eq!(bench.asked(), ["a/1", "a/2", "b/1"]);
    assert_eq!(
        bench.cooling(),
        [("a/2".to_owned(), 300_000), ("a/1".to_owned(), 1_367_000)]
    );
    let result = bench.call(|_| ok()).await;
    assert_eq!(served_by(&result), "b/1");
    assert_eq!(bench.asked(), ["b/1"]);
}

#[tokio::test(start_paused = true)]
async fn the_request_arrives_whole_at_the_second_upstream() {
    let bench = Bench::new(|chain| chain);
    let mut request = Request::post("http://example.com/v1?a=b")
        .header("x-a", "1")
        .body(Bytes::from_static(b"hello"))
        .unwrap();
    request.extensions_mut().insert(7_u8);
    let result = bench
        .send(request, |request| {
            assert_eq!(request.method(), Method::POST);
            assert_eq!(request.uri(), "http://example.com/v1?a=b");
            assert_eq!(request.headers()["x-a"], "1");
            assert_eq!(request.extensions().get::<u8>(), Some(&7));
            assert_eq!(request.body(), "hello");
            if id(request) == "a/1" {
                status(500)
            } else {
                ok()
            }
        })
        .await;
    assert_eq!(served_by(&result), "a/2");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_answer_better_is_the_callers_as_it_is() {
    let bench = Bench::new(|chain| chain);
    for code in [400, 401, 403, 409, 422, 423, 425] {
        let result = bench.call(|_| status(code)).await;
        assert_eq!(served_by(&result), "a/1");
        let response = result.unwrap();
        assert_eq!(response.status(), code);
        assert_eq!(response.into_body(), code.to_string());
        assert_eq!(bench.asked(), ["a/1"]);
    }
    let filtered = || meaning(Failure::new(FailureKind::ContentFiltered));
    assert_eq!(served_by(&bench.call(|_| filtered()).await), "a/1");
    assert_eq!(bench.cooling(), []);
}

/// PITFALLS 38: one `GET /v1/files/nope` took the whole chain down for everybody, for five minutes.
#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_looked_for_elsewhere_and_cools_nobody() {
    let bench = Bench::new(|chain| chain);
    let error = exhausted(bench.call(|_| status(404)).await);
    assert_eq!(error.attempts.len(), 3);
    assert_eq!(error.retry_after, None);
    assert_eq!(bench.cooling(), []);
    let result = bench
        .call(|id| if id == "a/1" { status(404) } else { ok() })
        .await;
    assert_eq!(served_by(&result), "a/2");
}

// bifrost PR #7211: a bad Gemini key is a 400, and so is Anthropic without credit. The outcome wins over the status.
#[tokio::test(start_paused = true)]
async fn what_a_layer_below_says_of_a_response_wins_over_its_status() {
    let bench = Bench::new(|chain| chain);
    let no_credit = || meaning(Failure::new(FailureKind::QuotaExhausted));
    let result = bench
        .call(|id| if id == "a/1" { no_credit() } else { ok() })
        .await;
    assert_eq!(served_by(&result), "b/1");
    assert_eq!(bench.cooling(), [("a".to_owned(), 300_000)]);

    let bench = Bench::new(|chain| chain.fall_back_on(FailureKind::Auth));
    let bad_key = || meaning(Failure::new(FailureKind::Auth));
    let result = bench
        .call(|id| if id == "a/1" { bad_key() } else { ok() })
        .await;
    assert_eq!(served_by(&result), "a/2");
    assert_eq!(bench.cooling(), []);
}

// tensorzero#3554: own refusals were taken for failures of the upstream.
#[tokio::test(start_paused = true)]
async fn an_own_refusal_falls_back_and_cools_nobody() {
    let bench = Bench::new(|chain| chain);
    let result = bench
        .call(|id| if id == "a/1" { refused(9) } else { ok() })
        .await;
    assert_eq!(served_by(&result), "a/2");
    assert_eq!(bench.cooling(), []);
    let result = bench.call(|_| refused(9)).await;
    assert_eq!(exhausted(result).retry_after, Some(secs(9)));
}

// litellm#40130: a second 429 during the cooldown kept the shorter deadline.
#[tokio::test(start_paused = true)]
async fn a_second_hint_only_ever_lengthens_a_cooldown() {
    let bench = Bench::new(|chain| chain.when_exhausted(WhenExhausted::TryAnyway));
    let all = exhausted(bench.call(|_| limited(60)).await);
    assert_eq!((all.attempts.len(), all.retry_after), (3, Some(secs(60))));
    sleep(secs(1)).await;
    bench.asked();
    let soonest = exhausted(bench.call(|_| limited(1)).await);
    assert_eq!(bench.asked(), ["a/1"]);
    assert_eq!(soonest.retry_after, Some(secs(59)));
}

// litellm#40130, portkey: a hiccup of all upstreams at once, or of one's own network, was an outage of as many minutes as the
// cooldown has.
#[tokio::test(start_paused = true)]
async fn upstreams_that_named_no_time_are_asked_when_nobody_else_is_left() {
    let bench = Bench::new(|chain| chain);
    exhausted(bench.call(|_| status(503)).await);
    assert_eq!(bench.cooling().len(), 3);
    bench.asked();
    sleep(secs(1)).await;
    let again = exhausted(bench.call(|_| status(503)).await);
    assert_eq!(again.attempts.len(), 1);
    assert_eq!(bench.asked(), ["a/1"], "one request finds out");
    assert_eq!(served_by(&bench.call(|_| ok()).await), "a/2");
    assert_eq!(
        bench.cooling().len(),
        2,
        "who answers is left alone no longer"
    );
    bench.asked();
    assert_eq!(served_by(&bench.call(|_| ok()).await), "a/2");
    assert_eq!(bench.asked(), ["a/2"]);
}

#[tokio::test(start_paused = true)]
async fn who_asked_to_be_left_alone_is_not_asked_even_when_nobody_else_is_left() {
    let unsure = |id: &str| match id {
        "b/1" => status(503),
        _ => limited(600),
    };
    let bench = Bench::new(|chain| chain);
    exhausted(bench.call(unsure).await);
    bench.asked();
    exhausted(bench.call(|_| status(503)).await);
    assert_eq!(bench.asked(), ["b/1"]);
    // A named time, a limit without one, and what was asked for by hand are no guesses; nor is one that is not to be tried.
    let busy = |_: &str| {
        let mut response = status(503)?;
        response.headers_mut().insert("retry-after", 60.into());
        Ok(response)
    };
    for answer in [|_: &str| limited(60), |_: &str| status(429), busy] {
        let bench = Bench::new(|chain| chain);
        exhausted(bench.call(answer).await);
        bench.asked();
        exhausted(bench.call(|_| ok()).await);
        assert_eq!(bench.asked(), [""; 0]);
    }
    let bench = Bench::new(|chain| chain.when_exhausted(WhenExhausted::Fail));
    exhausted(bench.call(|_| status(503)).await);
    bench.asked();
    exhausted(bench.call(|_| ok()).await);
    assert_eq!(bench.asked(), [""; 0]);
}

// It named a wait within a cooldown that was longer, but a guess, and was asked again at once, as often as requests came.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_named_within_a_longer_guess_is_kept() {
    let bench = Bench::new(|chain| chain);
    exhausted(bench.call(|_| status(503)).await);
    bench.asked();
    let named = exhausted(bench.call(|_| limited(60)).await);
    assert_eq!(bench.asked(), ["a/1"], "one request finds out");
    assert_eq!(named.retry_after, None, "the others may be asked at once");
    for _ in 0..2 {
        exhausted(
            bench
                .call(|id| if id == "a/1" { ok() } else { limited(90) })
                .await,
        );
    }
    assert_eq!(bench.asked(), ["a/2", "b/1"]);
    let told = exhausted(bench.call(|_| ok()).await);
    assert_eq!(told.retry_after, Some(secs(60)));
    sleep(secs(59)).await;
    exhausted(bench.call(|_| ok()).await);
    assert_eq!(bench.asked(), [""; 0]);
    sleep(secs(1)).await;
    assert_eq!(served_by(&bench.call(|_| ok()).await), "a/1");
    assert_eq!(bench.cooling().len(), 2);
}

// One who had named a second and then failed without a word was left alone for five minutes, as if that had been asked for.
#[tokio::test(start_paused = true)]
async fn a_guess_that_goes_beyond_a_wait_that_was_named_is_a_guess_from_then_on() {
    let bench = Bench::new(|chain| chain);
    exhausted(bench.call(|_| limited(1)).await);
    let failed = Failure::new(FailureKind::ServerError);
    for upstream in chain().listed() {
        let now = bench.cooldowns.time().now();
        let grounds = crate::fallback::state::Grounds::Failure;
        bench
            .cooldowns
            .cool_for(upstream, &failed, secs(300), grounds, now);
    }
    bench.asked();
    let told = exhausted(bench.call(|_| ok()).await);
    assert_eq!((bench.asked().len(), told.retry_after), (0, Some(secs(1))));
    sleep(secs(1)).await;
    assert_eq!(served_by(&bench.call(|_| ok()).await), "a/1");
}

// litellm#40718: the error of "nobody left" was booked to the previous upstream. hermes-agent#33088: the fallback's 429
// was booked to the primary.
#[tokio::test(start_paused = true)]
async fn each_failure_is_booked_to_the_upstream_that_gave_it() {
    let bench = Bench::new(|chain| chain.when_exhausted(WhenExhausted::Fail));
    let answer = |id: &str| match id {
        "a/1" => status(500),
        "a/2" => limited(20),
        _ => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
    };
    let error = exhausted(bench.call(answer).await);
    let booked: Vec<_> = error
        .attempts
        .iter()
        .map(|attempt| {
            (
                attempt.upstream.as_deref().unwrap(),
                attempt.failure.kind,
                attempt.next,
            )
        })
        .collect();
    assert_eq!(
        booked,
        [
            ("a/1", FailureKind::ServerError, Next::FallBack),
            ("a/2", FailureKind::RateLimited, Next::FallBack),
            ("b/1", FailureKind::Transport, Next::Stop),
        ]
    );
    let kinds: Vec<_> = bench
        .cooldowns
        .list()
        .into_iter()
        .map(|entry| (entry.key.to_string(), entry.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("a/2".to_owned(), FailureKind::RateLimited),
            ("a/1".to_owned(), FailureKind::ServerError),
            ("b/1".to_owned(), FailureKind::Transport),
        ]
    );
    let nobody = bench.call(|_| ok()).await.unwrap_err();
    assert_eq!(nobody.upstream(), None);
    assert_eq!(nobody.retry_after(), Some(secs(20)));
}

// litellm#36148: cyclic fallbacks wrote 456 MB of logs for one request. llm-gateway#1119: 75 calls in 14 s.
#[tokio::test(start_paused = true)]
async fn nobody_is_asked_twice_for_one_request() {
    let bench = Bench::new(|chain| chain.cooldown(Duration::ZERO));
    let error = exhausted(bench.call(|_| status(500)).await);
    assert_eq!(bench.asked(), ["a/1", "a/2", "b/1"]);
    assert_eq!(error.retry_after, None);
}

// litellm#19985: a fallback reset the count of retries. caura PR #859: 12 requests were logged as 4.
#[tokio::test(start_paused = true)]
async fn retries_inside_count_against_the_one_cap() {
    let bench = Bench::new(|chain| chain.max_attempts(4));
    let result = bench
        .send(Request::new(()), |request| {
            let ledger = request.extensions().get::<Attempts>().unwrap();
            // What a retry layer does that repeats each call once, while it may.
            if ledger.allows_another() {
                let retried = Next::Retry {
                    wait: Duration::ZERO,
                };
                let failure = Failure::new(FailureKind::ServerError);
                ledger.record(Some(id(request).into()), failure, retried, TokioClock.now());
            }
            status(500)
        })
        .await;
    assert_eq!(bench.asked(), ["a/1", "a/2"]);
    assert_eq!(exhausted(result).attempts.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_the_caller_put_in_is_kept_with_its_cap() {
    let bench = Bench::new(|chain| chain.max_attempts(9));
    let ledger = Attempts::new(2);
    let mut request = Request::new(());
    request.extensions_mut().insert(ledger.clone());
    exhausted(bench.send(request, |_| status(500)).await);
    assert_eq!(bench.asked(), ["a/1", "a/2"]);
    assert_eq!(ledger.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_the_ledger_where_somebody_has_failed_before() {
    let bench = Bench::new(|chain| chain);
    let ledger = async |failing: &str| {
        let answer = |id: &str| if id == failing { status(500) } else { ok() };
        let response = bench.call(answer).await.unwrap();
        let ledger = response.extensions().get::<Attempts>();
        ledger.map(Attempts::count)
    };
    assert_eq!(ledger("nobody").await, None);
    assert_eq!(ledger("a/1").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_ledger_tells_how_many_alternatives_are_left_and_not_cooling() {
    let bench = Bench::new(|chain| chain);
    let left = Mutex::new(Vec::new());
    let failing = |request: &Request<()>| {
        let ledger = request.extensions().get::<Attempts>().unwrap();
        left.lock().unwrap().push(ledger.alternatives());
        status(500)
    };
    exhausted(bench.send(Request::new(()), failing).await);
    bench.cooldowns.clear("a/1");
    bench.cooldowns.clear("b/1");
    exhausted(bench.send(Request::new(()), failing).await);
    bench.cooldowns.clear_all();
    let mut capped = Request::new(());
    capped.extensions_mut().insert(Attempts::new(1));
    exhausted(bench.send(capped, failing).await);
    assert_eq!(*left.lock().unwrap(), [2, 1, 0, 1, 0, 0]);
}

// litellm#31557: fell back to a model with a smaller context. dsh-llm-fallbacks#106: context overflow cooled a healthy
// route.
#[tokio::test(start_paused = true)]
async fn a_request_too_large_for_a_context_goes_to_a_larger_one_and_cools_nobody() {
    let (a, b) = (provider("a"), provider("b"));
    let bench = Bench::new(|_| {
        Chain::new([
            a.model("1").context_tokens(8_000),
            a.model("2").context_tokens(8_000),
            b.model("1").context_tokens(128_000),
        ])
    });
    let too_large = || meaning(Failure::new(FailureKind::RequestTooLarge));
    let result = bench
        .call(|id| if id == "a/1" { too_large() } else { ok() })
        .await;
    assert_eq!(served_by(&result), "b/1");
    assert_eq!(bench.cooling(), []);

    // Too large for a quota, theirs or ours, is not too large for the context.
    let too_large = || {
        let mut failure = Failure::new(FailureKind::RequestTooLarge);
        failure.limit = Some(Box::new(LimitHit::default()));
        meaning(failure)
    };
    let result = bench
        .call(|id| if id == "a/1" { too_large() } else { ok() })
        .await;
    assert_eq!(served_by(&result), "a/2");
    let refused = || {
        Err(Error::RateLimited(RateLimited {
            key: Some("a/1".into()),
            ..RateLimited::new(RefusalReason::TooLarge)
        })
        .into())
    };
    let result = bench
        .call(|id| if id == "a/1" { refused() } else { ok() })
        .await;
    assert_eq!(served_by(&result), "a/2");
}

// Helicone: hung for ever where all were cooling. litellm#27823: a 429 with the wait only in prose.
#[tokio::test(start_paused = true)]
async fn where_all_are_cooling_the_error_comes_at_once_with_the_wait_to_the_soonest() {
    let bench = Bench::new(|chain| chain);
    let hints = |id: &str| match id {
        "a/1" => limited(1_367),
        "a/2" => limited(90),
        _ => limited(600),
    };
    let error = exhausted(bench.call(hints).await);
    assert_eq!(error.retry_after, Some(secs(90)));
    bench.asked();
    sleep(secs(30)).await;
    let error = bench.call(|_| ok()).await.unwrap_err();
    assert_eq!(bench.asked(), [""; 0]);
    assert_eq!(error.retry_after(), Some(secs(60)));
    assert_eq!(
        error.user_message(),
        "All alternative providers are rate limited. Please try again in 60 seconds."
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_soonest_where_that_is_soon_enough() {
    let wait = WhenExhausted::Wait { max: secs(5) };
    let bench = Bench::new(|chain| chain.when_exhausted(wait));
    exhausted(
        bench
            .call(|id| limited(if id == "b/1" { 2 } else { 90 }))
            .await,
    );
    bench.asked();
    let start = TokioClock.now();
    assert_eq!(served_by(&bench.call(|_| ok()).await), "b/1");
    assert_eq!(bench.asked(), ["b/1"]);
    let waited = TokioClock.now() - start;
    assert!((2_000..=2_001).contains(&waited.as_millis()), "{waited:?}");

    bench.cooldowns.cool(
        &provider("b").model("1"),
        &Failure::new(FailureKind::Timeout),
    );
    exhausted(bench.call(|_| ok()).await);
    assert_eq!(TokioClock.now() - start, waited);
}

#[tokio::test(start_paused = true)]
async fn a_wait_respects_the_deadline_and_what_others_learn_meanwhile() {
    let wait = WhenExhausted::Wait { max: secs(5) };
    let bench = Bench::new(|chain| chain.when_exhausted(wait));
    exhausted(bench.call(|_| limited(2)).await);
    bench.asked();
    let mut hasty = Request::new(());
    let deadline = TokioClock.now() + Duration::from_millis(1_999);
    hasty.extensions_mut().insert(Deadline(deadline));
    let error = exhausted(bench.send(hasty, |_| ok()).await);
    assert_eq!(error.retry_after, Some(secs(2)));

    let start = TokioClock.now();
    let longer = async {
        sleep(secs(1)).await;
        let failure = Failure::new(FailureKind::RateLimited).with_retry_after(secs(3));
        for upstream in [
            provider("a").model("1"),
            provider("a").model("2"),
            provider("b").model("1"),
        ] {
            bench.cooldowns.cool(&upstream, &failure);
        }
    };
    let (result, ()) = future::join(bench.call(|_| ok()), longer).await;
    assert_eq!(served_by(&result), "a/1");
    let waited = TokioClock.now() - start;
    assert!((4_000..=4_001).contains(&waited.as_millis()), "{waited:?}");
}

// litellm#7822, #5673: a dead single upstream cooled down so that nothing worked.
#[tokio::test(start_paused = true)]
async fn a_lone_upstream_is_never_cooled_and_passes_everything_through() {
    let only = provider("a").model("1");
    let bench = Bench::new(|_| Chain::new([only.clone(), only.clone()]));
    for _ in 0..3 {
        let result = bench
            .send(Request::new(()), |request| {
                assert!(request.extensions().get::<Attempts>().is_none());
                limited(60)
            })
            .await;
        assert_eq!(served_by(&result), "a/1");
        assert_eq!(result.unwrap().into_body(), "429");
    }
    assert!(matches!(
        bench.call(|_| refused(9)).await,
        Err(Error::CircuitOpen(_))
    ));
    assert_eq!(bench.asked(), ["a/1"; 4]);
    assert_eq!(bench.cooling(), []);
    // Not even where another chain, or the user, has cooled it.
    bench
        .cooldowns
        .cool(&only, &Failure::new(FailureKind::Timeout));
    assert_eq!(served_by(&bench.call(|_| ok()).await), "a/1");
}

/// PITFALLS 28: a chain of one forgot its cap, so that the retries inside went on.
#[tokio::test(start_paused = true)]
async fn a_lone_upstream_keeps_to_the_cap_of_its_chain_or_to_that_of_the_request() {
    let bench = Bench::new(|_| Chain::new([provider("a").model("1")]).max_attempts(1));
    let own = Attempts::new(2);
    for (brought, allows_another) in [(None, false), (Some(own), true)] {
        let mut request = Request::new(());
        brought.map(|ledger| request.extensions_mut().insert(ledger));
        let result = bench.send(request, |request| {
            let ledger = request.extensions().get::<Attempts>().unwrap();
            assert_eq!(ledger.allows_another(), allows_another);
            status(500)
        });
        assert_eq!(served_by(&result.await), "a/1");
    }
}

struct Once;

impl Replay for Once {
    fn replay(&self) -> Option<Self> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_sent_again_is_sent_once_and_its_answer_is_the_callers() {
    let bench = Bench::new(|chain| chain);
    let result = bench
        .send(Request::new(Once), |request| {
            let ledger = request.extensions().get::<Attempts>().unwrap();
            assert_eq!(ledger.alternatives(), 0);
            limited(60)
        })
        .await;
    assert_eq!(served_by(&result), "a/1");
    assert_eq!(bench.asked(), ["a/1"]);
    assert_eq!(bench.cooling(), [("a/1".to_owned(), 60_000)]);
    assert_eq!(
        served_by(&bench.send(Request::new(Once), |_| ok()).await),
        "a/2"
    );
}

/// A response body that is neither `Clone` nor `Send`, and tells when it is dropped.
#[derive(Debug)]
struct Held(Rc<Cell<u32>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

// tower-resilience: needs `Response: Clone`, so that it cannot be used with HTTP bodies.
#[tokio::test(start_paused = true)]
async fn a_failed_response_of_any_type_is_dropped_before_the_next_upstream_is_asked() {
    let held = Rc::new(Cell::new(0));
    let client = service_fn(|request: Request<()>| {
        assert_eq!(held.get(), 0, "{} is asked too early", id(&request));
        held.set(1);
        let mut response = Response::new(Held(held.clone()));
        if id(&request) != "b/1" {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        future::ready(Ok::<_, Infallible>(response))
    });
    let layer = FallbackLayer::new(chain()).unwrap();
    let response = layer.layer(client).oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(held.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_decision_is_told_once() {
    let bench = Bench::new(|chain| chain);
    exhausted(
        bench
            .call(|id| if id == "b/1" { refused(5) } else { limited(60) })
            .await,
    );
    let events = std::mem::take(&mut *bench.events.lock().unwrap());
    let names: Vec<_> = events
        .iter()
        .map(|event| event.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "cooling_down",
            "switched",
            "cooling_down",
            "switched",
            "exhausted"
        ]
    );
    assert!(
        events[1].contains(r#"from="a/1" to="a/2""#),
        "{}",
        events[1]
    );
    assert!(
        events[4].contains("attempts=3 ") && events[4].contains("retry_after_s=5"),
        "{}",
        events[4]
    );
}

#[tokio::test(start_paused = true)]
async fn the_event_of_an_exhausted_chain_tells_who_was_passed_by_and_why() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = lines.clone();
    let cooldowns = Cooldowns::new().observe(move |event: &Event<'_>| {
        if let Event::Exhausted { .. } = event {
            told.lock().unwrap().push(event.to_string());
        }
    });
    let bench = Bench::new(|chain| chain);
    let layer = bench.layer.clone().cooldowns(cooldowns.clone());
    let bench = Bench {
        layer,
        cooldowns,
        ..bench
    };
    exhausted(bench.call(|_| limited(5)).await);
    exhausted(bench.call(|_| ok()).await);
    let cooling =
        ["a/1", "a/2", "b/1"].map(|id| format!("{id}: cooling down (rate limited), again in 5s"));
    let wanted = [
        "exhausted attempts=3 is_rate_limited=true retry_after_s=5".to_owned(),
        format!(
            "exhausted attempts=0 is_rate_limited=true retry_after_s=5 passed_by={:?}",
            cooling.join("; ")
        ),
    ];
    assert_eq!(*lines.lock().unwrap(), wanted);
}

type Client = Mock<Request<()>, Response<String>>;

fn mocked(
    layer: &FallbackLayer,
) -> (
    Fallback<Client>,
    mock::Handle<Request<()>, Response<String>>,
) {
    let (client, handle) = mock::pair();
    (layer.layer(client), handle)
}

// liter-llm: the readiness of the backup gated the primary, and one clone was made ready and another one called.
#[tokio::test(start_paused = true)]
async fn one_readiness_serves_the_first_call_and_a_clone_has_none_of_it() {
    let (client, mut handle) = mock::pair::<Request<()>, Response<String>>();
    let layer = FallbackLayer::new(chain()).unwrap();
    let mut service = layer.layer(ConcurrencyLimitLayer::new(1).layer(client));
    service.ready().await.unwrap();
    let mut clone = service.clone();
    assert!(clone.ready().now_or_never().is_none());
    let call = service.call(Request::new(()));
    assert!(clone.ready().now_or_never().is_none());
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(id(&request), "a/1");
    reply.send_response(ok().unwrap());
    assert_eq!(served_by(&call.await), "a/1");
    assert!(clone.ready().now_or_never().is_some());
}

// A shared backup behind an async lock: one slow readiness blocked all.
#[tokio::test(start_paused = true)]
async fn a_backup_that_is_not_ready_holds_up_nobody_else() {
    let (service, mut handle) = mocked(&FallbackLayer::new(chain()).unwrap());
    handle.allow(2);
    let (mut first, mut second) = (service.clone(), service);
    first.ready().await.unwrap();
    second.ready().await.unwrap();
    let mut waiting = pin!(first.call(Request::new(())));
    let call = second.call(Request::new(()));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(status(500).unwrap());
    assert!((&mut waiting).now_or_never().is_none());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(ok().unwrap());
    assert_eq!(served_by(&call.await), "a/1");
    handle.allow(1);
    assert!((&mut waiting).now_or_never().is_none());
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(id(&request), "a/2");
    reply.send_response(ok().unwrap());
    assert_eq!(served_by(&waiting.await), "a/2");
}

#[tokio::test(start_paused = true)]
async fn a_place_under_a_concurrency_limit_is_neither_lost_nor_held_while_nothing_is_sent() {
    let client = service_fn(|request: Request<()>| async move {
        sleep(secs(1)).await;
        if id(&request) == "b/1" {
            ok()
        } else {
            status(503)
        }
    });
    let layer = FallbackLayer::new(chain()).unwrap();
    let mut service = layer.layer(ConcurrencyLimitLayer::new(1).layer(client));
    for _ in 0..2 {
        let result = service.ready().await.unwrap().call(Request::new(())).await;
        assert_eq!(served_by(&result), "b/1");
    }
    // Refused at once, although the readiness was there: it goes back to whoever can use it.
    let cooldowns = Cooldowns::default();
    for upstream in [
        provider("a").model("1"),
        provider("a").model("2"),
        provider("b").model("1"),
    ] {
        cooldowns.cool(&upstream, &Failure::new(FailureKind::Overloaded));
    }
    for choice in [WhenExhausted::Fail, WhenExhausted::Wait { max: secs(900) }] {
        let chain = chain().when_exhausted(choice);
        let layer = FallbackLayer::new(chain)
            .unwrap()
            .cooldowns(cooldowns.clone());
        let mut idle = layer.layer(service.inner().clone());
        let call = idle.ready().await.unwrap().call(Request::new(()));
        assert!(service.ready().now_or_never().is_some());
        drop((call, idle));
        // What was made ready for the check goes, too.
        service = service.clone();
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_service_that_is_never_ready_again_is_passed_on_as_itself() {
    let (mut service, mut handle) = mocked(&FallbackLayer::new(chain()).unwrap());
    handle.allow(1);
    let mut call = pin!(service.ready().await.unwrap().call(Request::new(())));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(status(500).unwrap());
    assert!((&mut call).now_or_never().is_none());
    handle.send_error("dead");
    let error = call.await.unwrap_err();
    assert_eq!(error.to_string(), "dead");
    assert!(matches!(error, Error::Service(_)));
}

// ComfyUI PR #16204: attempts went on after the caller had gone.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_asks_nobody_else_and_cools_nobody() {
    let cooldowns = Cooldowns::default();
    let wait = WhenExhausted::Wait { max: secs(900) };
    let layer = FallbackLayer::new(chain().when_exhausted(wait))
        .unwrap()
        .cooldowns(cooldowns.clone());
    let keys = || -> Vec<String> {
        cooldowns
            .list()
            .iter()
            .map(|entry| entry.key.to_string())
            .collect()
    };
    let (service, mut handle) = mocked(&layer);

    // While the first call is under way; and never polled.
    drop(
        service
            .clone()
            .ready()
            .await
            .unwrap()
            .call(Request::new(())),
    );
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(limited(60).unwrap());
    let mut call = Box::pin(service.clone().oneshot(Request::new(())));
    assert!((&mut call).now_or_never().is_none());
    let (_, reply) = handle.next_request().await.unwrap();
    drop(call);
    reply.send_response(limited(60).unwrap());
    assert_eq!(keys(), [""; 0]);

    // While the second service becomes ready.
    handle.allow(1);
    let mut call = Box::pin(service.clone().oneshot(Request::new(())));
    assert!((&mut call).now_or_never().is_none());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(limited(60).unwrap());
    assert!((&mut call).now_or_never().is_none());
    drop(call);
    handle.allow(u64::MAX);
    assert_eq!(keys(), ["a/1"]);

    // While the second call is under way.
    let mut call = Box::pin(service.clone().oneshot(Request::new(())));
    assert!((&mut call).now_or_never().is_none());
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(id(&request), "a/2");
    drop(call);
    reply.send_response(limited(60).unwrap());
    assert_eq!(keys(), ["a/1"]);

    // While it waits for the soonest.
    for upstream in [provider("a").model("2"), provider("b").model("1")] {
        cooldowns.cool(&upstream, &Failure::new(FailureKind::Overloaded));
    }
    let mut call = Box::pin(service.clone().oneshot(Request::new(())));
    assert!((&mut call).now_or_never().is_none());
    drop(call);
    sleep(secs(900)).await;
    assert!(handle.next_request().now_or_never().is_none());
    assert_eq!(keys(), [""; 0]);
}

fn with_preferences(preferences: Preferences) -> Request<String> {
    let mut request = Request::new(String::new());
    request.extensions_mut().insert(preferences);
    request
}

#[tokio::test(start_paused = true)]
async fn a_request_that_wants_no_fallback_gets_what_the_first_one_says() {
    let bench = Bench::new(|chain| chain);
    let request = with_preferences(Preferences::new().no_fallback());
    let response = bench.send(request, |_| limited(9)).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(bench.asked(), ["a/1"]);
    assert_eq!(bench.cooling(), [("a/1".to_owned(), 9_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_allows_nobody_fails_and_names_who_is_unknown_and_who_is_there() {
    for listed in [1, 3] {
        let upstreams: Vec<Upstream> = chain().upstreams.drain(..listed).collect();
        let bench = Bench::new(|_| Chain::new(upstreams));
        let request = with_preferences(Preferences::new().only(["nobody"]));
        let error = bench.send(request, |_| ok()).await.unwrap_err();
        let excluded = ["a/1", "a/2", "b/1"][..listed].iter();
        let excluded = excluded.map(|id| format!("{id}: excluded by the request's preferences; "));
        let excluded: String = excluded.collect();
        let expected = format!("no upstream could answer: {excluded}nobody: not in the chain");
        assert_eq!(error.to_string(), expected);
        assert_eq!(bench.asked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_speed_of_answers_is_measured_on_the_way() {
    let bench = Bench::new(|chain| chain.order(Order::Fastest));
    let client = service_fn(|request: Request<String>| {
        bench.asked.lock().unwrap().push(id(&request).to_owned());
        async move {
            let wait = match id(&request) {
                "a/1" => 300,
                "a/2" => 100,
                _ => 200,
            };
            sleep(Duration::from_millis(wait)).await;
            ok()
        }
    });
    let service = bench.layer.layer(client);
    for _ in 0..5 {
        service
            .clone()
            .oneshot(Request::new(String::new()))
            .await
            .unwrap();
    }
    assert_eq!(bench.asked(), ["a/1", "a/2", "b/1", "a/2", "a/2"]);
    let standing = bench.layer.router().upstreams();
    let measured = standing
        .iter()
        .map(|it| it.time_to_answer.unwrap().as_millis());
    assert_eq!(measured.collect::<Vec<_>>(), [300, 100, 200]);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_goes_by_is_learned_from_that_request_on() {
    let bench = Bench::new(|chain| chain);
    let measured = || {
        let standing = bench.layer.router().upstreams();
        standing[0].time_to_answer
    };
    bench.call(|_| ok()).await.unwrap();
    assert_eq!(measured(), None, "nobody goes by it");
    let request = with_preferences(Preferences::new().order(Order::Fastest));
    bench.send(request, |_| ok()).await.unwrap();
    assert_eq!(measured(), Some(Duration::ZERO));
}

// tensorzero, portkey: a change of the configuration needs a restart.
#[tokio::test(start_paused = true)]
async fn a_chain_is_changed_while_services_over_it_are_in_use() {
    let bench = Bench::new(|chain| chain);
    let router = bench.layer.router();
    let client = service_fn(|request: Request<String>| {
        bench.asked.lock().unwrap().push(id(&request).to_owned());
        future::ready(status(500))
    });
    let service = bench.layer.layer(client);
    let asked = async || {
        let _ = service.clone().oneshot(Request::new(String::new())).await;
        bench.cooldowns.clear_all();
        bench.asked()
    };
    assert_eq!(asked().await, ["a/1", "a/2", "b/1"]);
    router.add(provider("c").model("1")).unwrap();
    assert_eq!(router.remove("a/2"), Ok(true));
    assert_eq!(router.remove("a/2"), Ok(false));
    assert_eq!(asked().await, ["a/1", "b/1", "c/1"]);
    // The one that is there already gives way, and its successor stands in its place.
    router.add(provider("a").model("1").weight(7)).unwrap();
    assert_eq!(asked().await, ["a/1", "b/1", "c/1"]);
    assert_eq!(router.upstreams()[0].upstream.share(), 7);
    assert!(router.set_weight("c/1", 0) && !router.set_weight("d/1", 0));
    router
        .set_chain(router.chain().order(Order::Weighted))
        .unwrap();
    assert_eq!(asked().await, ["a/1", "b/1", "c/1"]);
    router.remove("b/1").unwrap();
    router.remove("c/1").unwrap();
    let error = router.remove("a/1").unwrap_err();
    assert_eq!(error.setting(), "chain");
    assert_eq!(asked().await, ["a/1"]);
    let two = [provider("a"), provider("a").key("k").unwrap()].map(|it| it.model("1"));
    assert_eq!(
        router.set_chain(Chain::new(two)).unwrap_err().setting(),
        "chain"
    );
    assert_eq!(asked().await, ["a/1"]);
}
