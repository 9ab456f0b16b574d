//! A request in a limiter's line while somebody else is free.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response, header::RETRY_AFTER};
use http_body_util::Full;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    Attempts, Chain, Deadline, Error, FallbackLayer, Limit, Provider, Quota, RateLimitLayer,
    RateLimiter, RequestHead, Scope, ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
    forecast::{Forecast, Prospect},
    observe::Event,
    outcome::RefusedBy,
};

type Body = Full<Bytes>;

/// One at a time.
fn one_at_a_time(name: &str) -> Upstream {
    limited(name, Quota::new().max_concurrent(1))
}

fn limited(name: &str, quota: Quota) -> Upstream {
    unlimited(name).quota(quota).expect("a quota")
}

fn unlimited(name: &str) -> Upstream {
    let provider = Provider::new(name, "http://host/v1").expect("a URL");
    provider.model("m")
}

fn stack(upstreams: impl IntoIterator<Item = Upstream>) -> Stack {
    let upstreams = upstreams.into_iter();
    let stack = upstreams.fold(Stack::builder(), |stack, it| stack.upstream(it));
    stack.build().expect("a stack")
}

/// What was sent, where, and after how long.
#[derive(Clone)]
struct Log {
    began: std::time::Instant,
    sent: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Log {
    fn new() -> Self {
        Self {
            began: TokioClock.now(),
            sent: Arc::default(),
        }
    }

    /// Each upstream takes so many seconds to answer, by its name.
    fn client(
        &self,
        takes: impl Fn(&str) -> u64 + Clone + Send + Sync + 'static,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        self.answers(takes, |_| 200)
    }

    fn answers(
        &self,
        takes: impl Fn(&str) -> u64 + Clone + Send + Sync + 'static,
        status: impl Fn(&str) -> u16 + Clone + Send + Sync + 'static,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let log = self.clone();
        service_fn(move |request: Request<Body>| {
            let upstream = request.extensions().get::<Upstream>();
            let name = upstream.expect("one was chosen").provider().name();
            let (takes, status) = (seconds(takes(name)), status(name));
            let after = (TokioClock.now() - log.began).as_secs();
            log.sent
                .lock()
                .expect("no test has failed")
                .push((name.into(), after));
            async move {
                sleep(takes).await;
                let response = Response::builder().status(status);
                let response = match status {
                    429 => response.header(RETRY_AFTER, 60),
                    _ => response,
                };
                Ok(response.body(Body::default()).expect("a response"))
            }
        })
    }

    fn sent(&self) -> Vec<(String, u64)> {
        self.sent.lock().expect("no test has failed").clone()
    }
}

async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn request() -> Request<Body> {
    let request = Request::post("http://host/v1/chat/completions");
    request.body(Body::from("{}")).expect("a request")
}

/// Who answers the request, which comes so many seconds after the start, and how many seconds later.
async fn ask<S, R>(service: &S, at: u64, request: Request<Body>) -> Result<(String, u64), Error>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Error> + Clone,
{
    sleep(seconds(at)).await;
    let (service, came) = (service.clone(), TokioClock.now());
    let answer = service.oneshot(request).await?;
    let served_by = answer.extensions().get::<ServedBy>();
    let served_by = served_by.expect("it is told").0.provider().name();
    Ok((served_by.into(), (TokioClock.now() - came).as_secs()))
}

/// A new user's test: the second request waited for 60 s in the line of the first upstream, while the second was idle.
#[tokio::test(start_paused = true)]
async fn whose_cap_is_full_is_asked_after_one_who_is_free() {
    let (stack, log) = (stack(["first", "other"].map(one_at_a_time)), Log::new());
    let service = stack.layer().layer(log.client(|_| 60));
    let (one, two) = tokio::join!(ask(&service, 0, request()), ask(&service, 1, request()));
    assert_eq!(one.unwrap(), ("first".into(), 60));
    assert_eq!(two.unwrap(), ("other".into(), 60));
}

/// A new user's test: it was lost at its deadline, which the other could have met.
#[tokio::test(start_paused = true)]
async fn a_request_with_a_deadline_is_not_lost_in_a_line_while_another_is_free() {
    let (stack, log) = (stack(["first", "other"].map(one_at_a_time)), Log::new());
    let service = stack.layer().layer(log.client(|name| match name {
        "first" => 60,
        _ => 5,
    }));
    let mut hurried = request();
    let deadline = Deadline(TokioClock.now() + seconds(30));
    hurried.extensions_mut().insert(deadline);
    let (one, two) = tokio::join!(ask(&service, 0, request()), ask(&service, 1, hurried));
    assert_eq!(one.unwrap(), ("first".into(), 60));
    assert_eq!(two.unwrap(), ("other".into(), 5));
}

/// All were full when it came, and the line that it chose was the longer one.
#[tokio::test(start_paused = true)]
async fn who_waits_under_a_full_cap_goes_to_another_as_soon_as_that_is_known_to_be_free() {
    let (stack, log) = (stack(["first", "other"].map(one_at_a_time)), Log::new());
    let service = stack.layer().layer(log.client(|name| match name {
        "first" => 80,
        _ => 9,
    }));
    let calls = (0..4).map(|_| ask(&service, 0, request()));
    let answers = join_all(calls).await.into_iter().map(Result::unwrap);
    let answers: Vec<_> = answers.map(|(by, after)| format!("{by} {after}")).collect();
    // They look every 2 s, so that one is on its way 1 s after the other is free, and the next when that is over.
    assert_eq!(answers, ["first 80", "other 9", "other 19", "other 29"]);
    let status = stack.limiters()[0].status("first/m");
    assert_eq!((status.queued, status.in_flight), (0, 0));
}

/// To leave a line is no attempt: one that may have a single one waited to the end, or to its deadline, while another was free.
#[tokio::test(start_paused = true)]
async fn who_may_have_one_attempt_makes_it_where_somebody_is_free() {
    let upstreams = ["first", "other"].map(one_at_a_time);
    let builder = upstreams
        .into_iter()
        .fold(Stack::builder(), |stack, it| stack.upstream(it));
    let stack = builder.fallback(|chain| chain.max_attempts(1)).build();
    let (stack, log) = (stack.expect("a stack"), Log::new());
    let takes = |name: &str| if name == "first" { 80 } else { 9 };
    let fails = Arc::new(AtomicU32::new(0));
    let status = move |name: &str| match name {
        "other" if fails.fetch_add(1, Ordering::Relaxed) == 2 => 501,
        _ => 200,
    };
    let service = stack.layer().layer(log.answers(takes, status));
    let calls = (0..4).map(|_| ask(&service, 0, request()));
    let answers = join_all(calls).await.into_iter();
    let answers: Vec<_> = answers
        .map(|answer| match answer {
            Ok((by, after)) => format!("{by} {after}"),
            Err(Error::Exhausted(it)) => format!("{} attempt", it.attempts.len()),
            Err(other) => other.to_string(),
        })
        .collect();
    // The last was sent, and failed.
    assert_eq!(answers, ["first 80", "other 9", "other 19", "1 attempt"]);
    assert_eq!(log.sent().len(), 4);
}

/// So it is for one that has a second left: it looks when half of that is over.
#[tokio::test(start_paused = true)]
async fn who_has_little_time_left_looks_for_another_sooner() {
    let (stack, log) = (stack(["first", "other"].map(one_at_a_time)), Log::new());
    let service = stack.layer().layer(log.client(|name| match name {
        "first" => 80,
        _ => 1,
    }));
    let mut hurried = request();
    let deadline = Deadline(TokioClock.now() + Duration::from_millis(1_900));
    hurried.extensions_mut().insert(deadline);
    let answers = tokio::join!(
        ask(&service, 0, request()),
        ask(&service, 0, request()),
        ask(&service, 0, hurried),
    );
    assert_eq!(answers.2.unwrap().0, "other");
}

/// Nobody gives up a place for nothing: while all are full, each waits where it stands, and goes in order.
#[tokio::test(start_paused = true)]
async fn where_all_are_full_nobody_leaves_his_place_in_line() {
    let (stack, log) = (stack(["first", "other"].map(one_at_a_time)), Log::new());
    let service = stack.layer().layer(log.client(|name| match name {
        "first" => 20,
        _ => 85,
    }));
    let calls = (0..5).map(|_| ask(&service, 0, request()));
    let answers = join_all(calls).await.into_iter().map(Result::unwrap);
    let answers: Vec<_> = answers.map(|(by, after)| format!("{by} {after}")).collect();
    assert_eq!(
        answers,
        ["first 20", "other 85", "first 40", "first 60", "first 80"]
    );
    assert_eq!(refusals(&stack, "first/m"), 0);
}

/// The one that it left the line for fails: it comes back to the line, for it had never been sent there.
#[tokio::test(start_paused = true)]
async fn whose_line_was_left_is_asked_again_where_the_other_fails() {
    let (stack, log) = (stack(["first", "other"].map(one_at_a_time)), Log::new());
    let takes = |name: &str| match name {
        "first" => 40,
        _ => 9,
    };
    // The other answers the first that it is asked, and no other.
    let asked = Arc::new(AtomicU32::new(0));
    let status = move |name: &str| match name {
        "other" if asked.fetch_add(1, Ordering::Relaxed) > 0 => 501,
        _ => 200,
    };
    let service = stack.layer().layer(log.answers(takes, status));
    let calls = (0..3).map(|_| {
        let mut request = request();
        // To leave a line is no attempt.
        request.extensions_mut().insert(Attempts::new(2));
        ask(&service, 0, request)
    });
    let answers = join_all(calls).await.into_iter().map(Result::unwrap);
    let answers: Vec<_> = answers.map(|(by, after)| format!("{by} {after}")).collect();
    assert_eq!(answers, ["first 40", "other 9", "first 80"]);
    let sent = log.sent();
    let sent: Vec<_> = sent.iter().map(|(to, at)| format!("{to} {at}")).collect();
    assert_eq!(sent, ["first 0", "other 0", "other 10", "first 40"]);
}

/// What was known of the wait when it joined the line is no longer so.
#[tokio::test(start_paused = true)]
async fn who_waits_in_a_line_that_a_429_holds_back_goes_to_another() {
    let spaced = Quota::new().min_interval(seconds(2));
    let upstreams = [limited("first", spaced), unlimited("other")];
    let (stack, log) = (stack(upstreams), Log::new());
    let service = stack.layer().layer(log.answers(
        |name| u64::from(name == "first"),
        |name| if name == "first" { 429 } else { 200 },
    ));
    let (one, two) = tokio::join!(ask(&service, 0, request()), ask(&service, 0, request()));
    assert_eq!(one.unwrap(), ("other".into(), 1));
    // It would have been sent by now, and instead would wait for a minute.
    assert_eq!(two.unwrap(), ("other".into(), 2));
    assert_eq!(log.sent().len(), 3);
}

/// So it is where the layers were put together by hand, and nothing of a request that left stays taken in a limiter outside of the
/// line.
#[tokio::test(start_paused = true)]
async fn who_leaves_a_line_is_given_back_what_other_limiters_had_let_through() {
    let limiter = RateLimiter::new(Quota::new().max_concurrent(1)).expect("a limiter");
    let hourly = Quota::new().limit(Limit::requests(10).per_hour());
    let account = RateLimiter::new(hourly).expect("a limiter");
    let upstreams = ["first", "other"].map(unlimited);
    let chain = Chain::new(upstreams).consult(limiter.clone());
    let log = Log::new();
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).expect("a chain"))
        .layer(RateLimitLayer::new(account.clone()))
        .layer(RateLimitLayer::new(limiter.clone()))
        .service(log.client(|name| match name {
            "first" => 80,
            _ => 9,
        }));
    let calls = (0..3).map(|_| ask(&service, 0, request()));
    let answers = join_all(calls).await.into_iter().map(Result::unwrap);
    let answers: Vec<_> = answers.map(|(by, after)| format!("{by} {after}")).collect();
    assert_eq!(answers, ["first 80", "other 9", "other 19"]);
    let used = |key: &str| account.status(key).limits[0].used;
    assert_eq!((used("first/m"), used("other/m")), (1, 2));
}

/// Nobody knows better: the request waits where it stands, as it always has.
#[tokio::test(start_paused = true)]
async fn where_nobody_is_consulted_nobody_leaves_a_line() {
    let limiter = RateLimiter::new(Quota::new().max_concurrent(1)).expect("a limiter");
    let upstreams = ["first", "other"].map(unlimited);
    let log = Log::new();
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(Chain::new(upstreams)).expect("a chain"))
        .layer(RateLimitLayer::new(limiter))
        .service(log.client(|_| 20));
    let (one, two) = tokio::join!(ask(&service, 0, request()), ask(&service, 0, request()));
    assert_eq!(one.unwrap(), ("first".into(), 20));
    assert_eq!(two.unwrap(), ("first".into(), 40));
}

/// Three upstreams with caps of one and two, and requests that come when they like and take as long as they like.
#[test]
fn whatever_comes_is_answered_within_the_caps_and_nothing_stays_taken() {
    for seed in 0..40 {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build();
        runtime
            .expect("a runtime")
            .block_on(play(fastrand::Rng::with_seed(seed)));
    }
}

async fn play(mut random: fastrand::Rng) {
    let caps = [("one", 1), ("two", 2), ("other", 1)];
    let upstreams = caps.map(|(name, cap)| limited(name, Quota::new().max_concurrent(cap)));
    let stack = stack(upstreams);
    let under_way = Arc::new(caps.map(|_| AtomicU32::new(0)));
    let count = under_way.clone();
    let client = service_fn(move |request: Request<Body>| {
        let upstream = request.extensions().get::<Upstream>();
        let name = upstream.expect("one was chosen").provider().name();
        let index = caps.iter().position(|(it, _)| *it == name).expect("listed");
        let takes = request.headers()["takes"].to_str().expect("a number");
        let (takes, count) = (seconds(takes.parse().expect("a number")), count.clone());
        async move {
            let before = count[index].fetch_add(1, Ordering::Relaxed);
            assert!(before < caps[index].1, "{name}", name = caps[index].0);
            sleep(takes).await;
            count[index].fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Response::new(Body::default()))
        }
    });
    let service = stack.layer().layer(client);
    // Together they take at most 20 × 12 s, which four slots do in a minute.
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut request = request();
            let takes = random.u64(1..=12);
            request.headers_mut().insert("takes", takes.into());
            ask(&service, random.u64(0..30), request)
        })
        .collect();
    for answer in join_all(calls).await {
        answer.expect("an answer");
    }
    for (name, _) in caps {
        let status = stack.limiters()[0].status(&format!("{name}/m"));
        assert_eq!((status.queued, status.in_flight), (0, 0));
    }
}

fn refusals(stack: &Stack, key: &str) -> u64 {
    let keys = stack.stats().snapshot().keys;
    keys.get(key).map_or(0, |row| row.refused_wait_too_long)
}

/// Knows nothing of lines, as a circuit breaker does not.
struct Carefree;

impl Forecast for Carefree {
    fn forecast(&self, _: &Upstream, _: &RequestHead<'_>) -> Prospect {
        Prospect::Pass { taken: 0.0 }
    }
}

/// Lets a request pass that asks for the first time, and refuses it from then on.
#[derive(Default)]
struct Fickle(AtomicU32);

impl Forecast for Fickle {
    fn forecast(&self, upstream: &Upstream, _: &RequestHead<'_>) -> Prospect {
        let is_other = upstream.provider().name() == "other";
        match is_other && self.0.fetch_add(1, Ordering::Relaxed) > 0 {
            true => Prospect::Refuse {
                by: RefusedBy::Limit,
                retry_after: None,
            },
            false => Prospect::Pass { taken: 0.0 },
        }
    }
}

/// Who was free when the request was called out of its line, and is not when it comes.
#[tokio::test(start_paused = true)]
async fn who_leaves_a_line_for_nobody_goes_back_into_it() {
    let limiter = RateLimiter::new(Quota::new().max_concurrent(1)).expect("a limiter");
    let chain = Chain::new(["first", "other"].map(unlimited)).consult(Fickle::default());
    let log = Log::new();
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).expect("a chain"))
        .layer(RateLimitLayer::new(limiter.scope(Scope::All)))
        .service(log.client(|_| 5));
    let first = tokio::spawn(service.clone().oneshot(request()));
    let answer = ask(&service, 1, request()).await.unwrap();
    assert_eq!(answer, ("first".into(), 4 + 5));
    first.await.expect("no panic").expect("an answer");
}

// Where the forecast knows nothing of a limiter inside, a request went from line to line every 2 s, each time to the end, for ever:
// its longest wait began anew each time.
#[tokio::test(start_paused = true)]
async fn who_was_told_wrongly_that_another_is_free_keeps_his_place_there() {
    let queued = Arc::new(AtomicU32::new(0));
    let count = queued.clone();
    let limiter = RateLimiter::new(Quota::new().max_concurrent(1)).expect("a limiter");
    let limiter =
        limiter
            .scope(Scope::All)
            .max_wait(seconds(10))
            .observe(move |event: &Event<'_>| {
                let is_queued = matches!(event, Event::Queued { .. });
                count.fetch_add(u32::from(is_queued), Ordering::Relaxed);
            });
    let chain = Chain::new(["first", "other"].map(unlimited)).consult(Carefree);
    let log = Log::new();
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(chain).expect("a chain"))
        .layer(RateLimitLayer::new(limiter))
        .service(log.client(|_| 600));
    let first = service.clone().oneshot(request());
    let first = tokio::spawn(first);
    let error = ask(&service, 1, request()).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error}");
    // 2 s at the first, 10 s at the other, and the full wait at the first again.
    assert_eq!(queued.load(Ordering::Relaxed), 3);
    assert_eq!((TokioClock.now() - log.began).as_secs(), 1 + 2 + 10 + 10);
    first.abort();
}
