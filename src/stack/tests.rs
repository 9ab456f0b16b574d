//! A stack as its users see it, over a client that is a closure.

mod failing;
mod money;
mod running;
mod standing;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response, Uri};
use http_body_util::Full;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

use super::{Stack, StackBuilder};
use crate::{
    clock::{Clock, ManualClock, TokioClock},
    error::{BoxError, Error},
    observe::Event,
    outcome::{Failure, FailureKind},
    rate_limit::{Limit, Quota, RateLimiter},
    request::{Cost, Scope},
    retry::RetryPolicy,
    upstream::Provider,
};

type Answer = Response<Full<Bytes>>;

fn client(
    seen: Arc<Mutex<Vec<Uri>>>,
    status: u16,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Answer,
    Error = BoxError,
    Future = impl Future<Output = Result<Answer, BoxError>> + Send,
> + Clone {
    service_fn(move |request: Request<Full<Bytes>>| {
        seen.lock().unwrap().push(request.uri().clone());
        let answer = Response::builder().status(status).body(Full::default());
        async move { Ok(answer?) }
    })
}

fn request() -> Request<String> {
    let request = Request::post("http://api.example.com/v1/chat/completions");
    request.body(r#"{"messages":[]}"#.into()).unwrap()
}

fn limiter(requests: u64) -> RateLimiter {
    RateLimiter::new(Quota::new().limit(Limit::requests(requests).per_minute())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whatever_its_layers_make_shares_one_state() {
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let stack = Stack::builder()
        .upstream(Provider::ollama().model("a"))
        .limiter(limiter(5))
        .build()
        .unwrap();
    for _ in 0..2 {
        let layer = stack.layer();
        for _ in 0..2 {
            let service = layer.layer(client(Arc::clone(&seen), 200));
            assert_eq!(service.oneshot(request()).await.unwrap().status(), 200);
        }
    }
    assert_eq!(stack.limiter().status("ollama/a").limits[0].used, 4);
    assert_eq!(stack.breaker().metrics("ollama/a").unwrap().calls, 4);
    assert_eq!(seen.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_are_asked_in_their_order_and_without_any_a_request_goes_where_it_says() {
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let stack = Stack::builder()
        .upstream(Provider::ollama().model("a"))
        .upstream(Provider::vllm().model("b"))
        .retry(crate::RetryPolicy::llm().max_attempts(1))
        .build()
        .unwrap();
    let error = stack
        .layer()
        .layer(client(Arc::clone(&seen), 503))
        .oneshot(request())
        .await;
    assert!(matches!(error, Err(Error::Exhausted(_))), "{error:?}");
    let nobody = Stack::builder().build().unwrap();
    let answer = nobody
        .layer()
        .layer(client(Arc::clone(&seen), 200))
        .oneshot(request())
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    let hosts: Vec<String> = seen.lock().unwrap().iter().map(Uri::to_string).collect();
    assert_eq!(
        hosts,
        [
            "http://localhost:11434/v1/chat/completions",
            "http://localhost:8000/v1/chat/completions",
            "http://api.example.com/v1/chat/completions"
        ]
    );
    assert_eq!(stack.cooldowns().list().len(), 2);
}

#[tokio::test]
async fn one_clock_and_one_observer_serve_all_layers() {
    let (clock, told) = (ManualClock::new(), Arc::new(AtomicU32::new(0)));
    let counter = told.clone();
    let stack = Stack::builder()
        .upstream(Provider::ollama().model("a"))
        .upstream(Provider::vllm().model("b"))
        .clock(clock.clone())
        .observe(move |_: &Event<'_>| {
            counter.fetch_add(1, Relaxed);
        })
        .build()
        .unwrap();
    let upstream = Provider::ollama().model("a");
    let failure = Failure::new(FailureKind::RateLimited).with_retry_after(Duration::from_secs(9));
    stack.cooldowns().cool(&upstream, &failure);
    stack.limiter().pause("ollama/a", Duration::from_secs(9));
    stack.breaker().force_open("ollama/a");
    clock.advance(Duration::from_secs(4));
    let left = Some(Duration::from_secs(5));
    assert_eq!(stack.cooldowns().remaining(&upstream), left);
    assert_eq!(stack.limiter().status("ollama/a").paused, left);
    assert!(told.load(Relaxed) >= 2);
}

/// A folder of its own, gone when the test has ended.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("tower-upstream-stack-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn restarted(clock: &ManualClock, models: &[&str]) -> Stack {
    let builder = Stack::builder().clock(clock.clone());
    let limiters = [limiter(10), limiter(3).scope(Scope::All)];
    let builder = limiters.into_iter().fold(builder, |builder, limiter| {
        builder.limiter(limiter.clock(clock.clone()))
    });
    let upstreams = models.iter().map(|model| Provider::ollama().model(*model));
    let builder = upstreams.fold(builder, |builder, upstream| builder.upstream(upstream));
    builder.build().unwrap()
}

#[tokio::test]
async fn limits_and_cooldowns_survive_a_restart_by_the_wall_clock() {
    let folder = Folder::new();
    let file = folder.0.join("state.json");
    let clock = ManualClock::new();
    let before = restarted(&clock, &["a", "b", "gone"]);
    assert!(before.load(&file).unwrap_err().is_not_found());
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let service = before.layer().layer(client(Arc::clone(&seen), 200));
    service.oneshot(request()).await.unwrap();
    for (model, account_wide) in [("a", false), ("gone", false), ("b", true)] {
        let seconds = if account_wide { 30 } else { 60 };
        let mut failure = Failure::new(FailureKind::Overloaded);
        failure = failure.with_retry_after(Duration::from_secs(seconds));
        failure.account_wide = account_wide;
        before
            .cooldowns()
            .cool(&Provider::ollama().model(model), &failure);
    }
    before.save(&file).unwrap();

    let later = ManualClock::starting_at(clock.wall() + Duration::from_secs(20));
    let after = restarted(&later, &["a", "b"]);
    after.load(&file).unwrap();
    assert_eq!(after.limiter().status("ollama/a").limits[0].used, 1);
    assert_eq!(after.limiters()[1].status("").limits[0].used, 1);
    let list = after.cooldowns().list();
    let list: Vec<_> = list
        .iter()
        .map(|entry| {
            (
                &*entry.key,
                entry.account_wide,
                entry.kind,
                entry.remaining.as_secs(),
            )
        })
        .collect();
    let kind = FailureKind::Overloaded;
    assert_eq!(
        list,
        [("ollama", true, kind, 10), ("ollama/a", false, kind, 40)]
    );
}

/// After a restart a guess was taken for what had been asked for: every request failed for five minutes, where one would have been
/// sent to find out.
#[tokio::test]
async fn a_cooldown_that_is_a_guess_is_one_after_a_restart() {
    let folder = Folder::new();
    let file = folder.0.join("state.json");
    let clock = ManualClock::new();
    let start = || restarted(&clock, &["a", "b"]);
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let before = start();
    let failing = before.layer().layer(client(Arc::clone(&seen), 505));
    failing.oneshot(request()).await.unwrap_err();
    before.save(&file).unwrap();
    let after = start();
    after.load(&file).unwrap();
    let service = after.layer().layer(client(Arc::clone(&seen), 200));
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!(
        after.cooldowns().list().len(),
        1,
        "who answers is left alone no longer"
    );
    // What one of them asked for is kept beside it.
    let failure = Failure::new(FailureKind::RateLimited).with_retry_after(Duration::from_secs(60));
    for model in ["a", "b"] {
        after
            .cooldowns()
            .cool(&Provider::ollama().model(model), &failure);
    }
    after.save(&file).unwrap();
    let third = start();
    third.load(&file).unwrap();
    let service = third.layer().layer(client(seen, 200));
    assert!(service.oneshot(request()).await.is_err());
}

#[tokio::test]
async fn quotas_of_upstreams_hold_beside_a_limiter_over_all() {
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let upstream = Provider::ollama().model("a").quota(quota).unwrap();
    let global = limiter(10).scope(Scope::All).max_wait(Duration::ZERO);
    let stack = Stack::builder().upstream(upstream).limiter(global);
    let stack = stack.build().unwrap();
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let service = stack.layer().layer(client(Arc::clone(&seen), 200));
    service.clone().oneshot(request()).await.unwrap();
    assert!(service.oneshot(request()).await.is_err());
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(stack.limiter().status("ollama/a").limits[0].used, 1);
}

#[tokio::test]
async fn the_quota_of_an_account_holds_over_its_models() {
    let quota = Quota::new().limit(Limit::requests(1).per_minute());
    let account = Provider::ollama().quota(quota).unwrap();
    let builder = Stack::builder().retry(RetryPolicy::llm().max_attempts(1));
    let builder = builder
        .upstream(account.model("a"))
        .upstream(account.model("b"));
    let stack = builder.build().unwrap();
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let service = stack.layer().layer(client(Arc::clone(&seen), 200));
    service.clone().oneshot(request()).await.unwrap();
    let refused = service.oneshot(request()).now_or_never();
    assert!(refused.is_none_or(|result| result.is_err()));
    let told = "quota of the whole account: 1 request per minute";
    assert!(stack.explain().contains(told), "{}", stack.explain());
    assert_eq!(seen.lock().unwrap().len(), 1);
}

// One limiter over all was all there was: a 429 of one host held everybody back for a minute.
#[tokio::test(start_paused = true)]
async fn what_one_host_answers_holds_nobody_back_who_asks_another() {
    for builder in [
        Stack::builder().limiter(limiter(10).scope(Scope::All)),
        StackBuilder::from_env("", [("REQUESTS_PER_MINUTE", "60")]).unwrap(),
        StackBuilder::from_env("", [("MAX_RETRIES", "3")]).unwrap(),
    ] {
        let stack = builder.retry(RetryPolicy::llm().max_attempts(1));
        let service = stack.build().unwrap().layer().layer(service_fn(
            |request: Request<Full<Bytes>>| async move {
                let status = match request.uri().host() {
                    Some("limited") => 429,
                    _ => 200,
                };
                let response = Response::builder()
                    .status(status)
                    .header("retry-after", "60");
                response.body(Full::<Bytes>::default())
            },
        ));
        let began = TokioClock.now();
        for (host, status) in [("limited", 429), ("free", 200)] {
            let request = Request::get(format!("http://{host}/v1/models"));
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status);
        }
        assert_eq!(TokioClock.now(), began);
    }
}

#[test]
fn a_cooldown_of_an_upstream_that_was_added_in_use_is_taken_up_where_it_is_added_again() {
    let folder = Folder::new();
    let file = folder.0.join("state.json");
    let clock = ManualClock::new();
    let failure = Failure::new(FailureKind::Overloaded).with_retry_after(Duration::from_secs(60));
    let added = Provider::ollama().model("added");
    let start = || {
        let stack = restarted(&clock, &["a"]);
        stack.router().unwrap().add(added.clone()).unwrap();
        stack
    };
    let before = start();
    before.cooldowns().cool(&added, &failure);
    before.save(&file).unwrap();
    let after = start();
    after.load(&file).unwrap();
    assert!(after.cooldowns().remaining(&added).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_retries_of_a_stack_change_while_it_is_in_use() {
    let upstream = Provider::ollama().model("a");
    let policy = RetryPolicy::llm().max_attempts(1);
    let stack = Stack::builder().upstream(upstream).retry(policy);
    let stack = stack.build().unwrap();
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let service = stack.layer().layer(client(Arc::clone(&seen), 503));
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
    let policy = stack.retry().policy();
    let policy = policy.max_attempts(2).without_budget();
    stack.retry().set_policy(policy).unwrap();
    assert!(stack.budget().is_none());
    service.oneshot(request()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[test]
fn a_wall_clock_that_has_gone_back_makes_no_cooldown_longer() {
    let folder = Folder::new();
    let file = folder.0.join("state.json");
    let clock = ManualClock::new();
    let before = restarted(&clock, &["a", "b"]);
    let failure = Failure::new(FailureKind::Overloaded).with_retry_after(Duration::from_secs(60));
    let upstream = Provider::ollama().model("a");
    before.cooldowns().cool(&upstream, &failure);
    before.save(&file).unwrap();
    let earlier = ManualClock::starting_at(clock.wall() - Duration::from_secs(3_600));
    let after = restarted(&earlier, &["a", "b"]);
    after.load(&file).unwrap();
    let left = after.cooldowns().remaining(&upstream);
    assert_eq!(left, Some(Duration::from_secs(60)));
}

#[test]
fn a_file_that_cannot_be_right_changes_nothing_and_the_error_names_the_place() {
    let folder = Folder::new();
    let file = folder.0.join("state.json");
    let clock = ManualClock::new();
    let stack = restarted(&clock, &["a"]);
    stack.limiter().pause("ollama/a", Duration::from_secs(50));
    stack.save(&file).unwrap();
    let good = std::fs::read_to_string(&file).unwrap();
    for (from, to, wanted) in [
        ("tower-upstream stack", "another", "expected the format"),
        (
            "tower-upstream stack",
            "tower-upstream rate limiter",
            "not a tower-upstream snapshot: this is a limiter's snapshot, not a stack's",
        ),
        (
            r#""version":1,"saved"#,
            r#""version":7,"saved"#,
            "version 7 is newer than this crate reads (1)",
        ),
        (
            r#""cooldowns":[]"#,
            r#""cooldowns":[{"key":"a","kind":"bored","until":1}]"#,
            "cooldowns[0].kind: expected a kind of failure, such as \"rate_limited\", found \"bored\"",
        ),
        (
            r#""scope":"all""#,
            r#""scope":"upstream""#,
            "limiters: expected those of 1 limiters of the scope \"upstream\", found 2",
        ),
        (
            "\"keys\":[
]",
            "\"keys\":[7]",
            "limiters[1]: keys[0]: expected an object, found 7",
        ),
        (r#""limiters":["#, r#""limiter":["#, "limiters: is missing"),
    ] {
        assert!(good.contains(from), "{from} in {good}");
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let fresh = restarted(&clock, &["a"]);
        let error = fresh.load(&file).unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("state.json"),
            "{error}"
        );
        assert_eq!(fresh.limiter().keys().len(), 0, "{wanted}");
    }
    std::fs::write(&file, &good).unwrap();
}

// A new user's: with one limiter more, a day's quota was granted anew, for the file was refused.
#[tokio::test]
async fn limiters_that_come_and_go_leave_the_others_what_was_taken() {
    let folder = Folder::new();
    let file = folder.0.join("state.json");
    let clock = ManualClock::new();
    let before = restarted(&clock, &["a"]);
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let service = before.layer().layer(client(Arc::clone(&seen), 200));
    service.oneshot(request()).await.unwrap();
    before.save(&file).unwrap();

    let with_limiters = |limiters: Vec<RateLimiter>| {
        let builder = Stack::builder().clock(clock.clone());
        let builder = limiters.into_iter().fold(builder, |builder, limiter| {
            builder.limiter(limiter.clock(clock.clone()))
        });
        let stack = builder.build().unwrap();
        stack.load(&file).map(|()| stack)
    };
    let of_provider = limiter(5).scope(Scope::Provider);
    let more = [
        of_provider.clone(),
        limiter(3).scope(Scope::All),
        limiter(10),
    ];
    let more = with_limiters(more.into()).unwrap();
    assert_eq!(more.limiters()[1].status("").limits[0].used, 1);
    assert_eq!(more.limiters()[2].status("ollama/a").limits[0].used, 1);
    assert_eq!(more.limiters()[0].keys().len(), 0);
    let other = with_limiters(vec![of_provider, limiter(10)]).unwrap();
    assert_eq!(other.limiters()[1].status("ollama/a").limits[0].used, 1);
    // Which of two of a scope is the one that was, nobody knows.
    let error = with_limiters(vec![limiter(10), limiter(20)])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected those of 2 limiters of the scope \"upstream\", found 1"),
        "{error}"
    );
}

#[test]
fn what_was_understood_is_told_in_words_and_without_keys() {
    let groq = Provider::groq().key("gsk_not_to_be_told").unwrap();
    let quota = Quota::new().limit(Limit::tokens(6_000).per_minute());
    let stack = Stack::builder()
        .upstream(groq.model("openai/gpt-oss-20b").quota(quota).unwrap())
        .upstream(groq.model("mixtral-8x7b-32768"))
        .upstream(Provider::ollama().model("llama3.2"))
        .build()
        .unwrap();
    assert_eq!(
        stack.explain(),
        "\
upstreams:
  1. groq/openai/gpt-oss-20b, at https://api.groq.com/openai/v1
     key: set in the program
     quota: 6000 tokens per minute
     price: 0.075 a million tokens in (0.0375 out of a cache), 0.30 out, as listed on 2026-05-27
     context: 131072 tokens
  2. groq/mixtral-8x7b-32768, at https://api.groq.com/openai/v1
     key: set in the program
     context: 32768 tokens
     beware: the provider served this model no longer on 2025-03-20
  3. ollama/llama3.2, at http://localhost:11434/v1
     key: none
fallback:
  asked as they are listed
  cools down for as long as an upstream asks, else 5 minutes
  who would wait in line for more than 2s is served by the next, where that is sooner
  when all are cooling down, asks one that nobody asked to leave alone, else fails at once
retry:
  3 attempts, after waits of 1s, each 2 times the last, up to 30s, with full jitter
  an upstream's own wait is heeded up to 1 minute, or 2s while others could be asked
  an attempt is cut off after 10 minutes
  a POST is repeated like any other request
  all requests share 500 tokens for retries, 5 each, 10 after a timeout
circuit breaker:
  opens after 5 failures in a row, or 50 % failures over the last 1 minute, of at least 10 calls
  for 1 minute, 2 times as long after each failed probe, up to 10 minutes
  closes after 3 good probes, 3 at a time
rate limit:
  each upstream or host: no limits of its own; waits of up to 90s
"
    );
    let off = Stack::builder()
        .retry(crate::RetryPolicy::llm().max_attempts(1))
        .circuit_breaker(crate::CircuitBreakerPolicy::never())
        .build()
        .unwrap();
    assert!(
        off.explain()
            .starts_with("upstreams: none; requests go where they say\nretry:\n  off")
    );
    assert!(off.explain().contains("circuit breaker:\n  off"));
}

// It went on to tell of the quota that the stack was built with.
#[test]
fn what_was_changed_since_is_explained_as_it_is_now() {
    let quota = |amount| Quota::new().limit(Limit::requests(amount).per_minute());
    let groq = Provider::groq().quota(quota(90)).unwrap();
    let stack = Stack::builder()
        .upstream(groq.model("m").quota(quota(60)).unwrap())
        .build()
        .unwrap();
    let before = stack.explain();
    assert!(
        before.contains("     quota: 60 requests per minute\n"),
        "{before}"
    );
    let limiters = stack.limiters();
    stack.limiter().set_quota("groq/m", quota(30)).unwrap();
    limiters[1].set_quota("groq", quota(45)).unwrap();
    stack.limiter().set_quota("", Quota::new()).unwrap();
    stack
        .retry()
        .set_policy(crate::RetryPolicy::llm().max_attempts(9))
        .unwrap();
    let router = stack.router().unwrap();
    router.add(Provider::ollama().model("own")).unwrap();
    let now = stack.explain();
    for told in [
        "     quota: 30 requests per minute\n     quota of the whole account: 45 requests per minute\n",
        "  2. ollama/own, at http://localhost:11434/v1\n",
        "\n  9 attempts, ",
        "\n    set for requests without a key: no limits\n    set for groq/m: 30 requests per minute\n",
        "\n    set for groq: 45 requests per minute\n",
    ] {
        assert!(now.contains(told), "{told}: {now}");
    }
    assert!(!now.contains("60 requests"), "{now}");
}

#[test]
fn a_setting_that_cannot_work_is_named() {
    let error = Stack::builder()
        .retry(crate::RetryPolicy::llm().max_attempts(0))
        .build();
    assert_eq!(error.unwrap_err().setting(), "max_attempts");
    let [one, other] = ["k1", "k2"].map(|key| Provider::groq().key(key).unwrap());
    let twice = Stack::builder()
        .upstream(one.model("a"))
        .upstream(other.model("a"));
    assert_eq!(twice.build().unwrap_err().setting(), "chain");
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_counted_and_an_open_circuit_is_passed_by_without_a_call() {
    let provider = |name: &str| Provider::new(name, "http://example.com").unwrap();
    let (first, second) = (provider("a").model("m"), provider("b").model("m"));
    let stack = Stack::builder()
        .upstream(first.clone())
        .upstream(second)
        .build()
        .unwrap();
    stack.breaker().force_open(first.id());
    let client = tower::service_fn(
        |_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
            Ok::<_, crate::error::BoxError>(http::Response::new(String::from("{}")))
        },
    );
    let request = http::Request::post("/v1/chat/completions").body("{}".to_owned());
    let response = tower::ServiceExt::oneshot(stack.layer().layer(client), request.unwrap());
    let response = response.await.unwrap();
    let served_by = response.extensions().get::<crate::ServedBy>().unwrap();
    assert_eq!(served_by.0.id(), "b/m");
    drop(response);
    let snapshot = stack.stats().snapshot();
    assert_eq!(snapshot.upstreams["b/m"].requests, 1);
    assert!(!snapshot.upstreams.contains_key("a/m"));
}

/// A demanding user's test: before its first request an upstream stood under no limit.
#[tokio::test(start_paused = true)]
async fn the_limiters_know_the_quotas_of_upstreams_before_their_first_requests() {
    let tokens = |amount| Quota::new().limit(Limit::tokens(amount).per_minute());
    let account = Provider::openai().quota(tokens(500)).unwrap();
    let model = account.model("m").quota(tokens(100)).unwrap();
    let stack = Stack::builder().upstream(model).build().unwrap();
    for (limiter, key, amount) in [
        (&stack.limiters()[0], "openai/m", 100),
        (&stack.limiters()[1], "openai", 500),
    ] {
        let stands = |paused: bool| {
            assert_eq!(limiter.status(key).limits[0].amount, amount);
            let too_large = Cost::tokens(amount + 1, 0);
            assert_eq!(limiter.wait_time(key, too_large), None);
            assert!(!limiter.can_admit(key, too_large));
            assert_eq!(limiter.can_admit(key, Cost::tokens(amount, 0)), !paused);
            assert!(limiter.risk(key, too_large) > 1.0);
        };
        stands(false);
        limiter.pause(key, Duration::from_secs(9));
        stands(true);
        limiter.resume(key);
        limiter.set_quota(key, tokens(7)).unwrap();
        assert_eq!(limiter.status(key).limits[0].amount, 7);
        limiter.unset_quota(key);
        stands(false);
        assert!(limiter.status("another").limits.is_empty());
    }
}
