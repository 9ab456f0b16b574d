//! A request comes back to an upstream that was left for others, which then fail as well.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, header::RETRY_AFTER};
use http_body_util::Full;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_upstream::{
    Attempts, Chain, Deadline, Error, Failure, FailureKind, FallbackLayer, Provider, RetryPolicy,
    ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
    observe::Event,
    retry::ATTEMPT_COUNT,
};

type Body = Full<Bytes>;

/// What an upstream does when it is asked.
#[derive(Clone, Copy)]
enum Answer {
    Well,
    /// A 429 that names so many seconds.
    Limited(u64),
    /// A 423, which another would not answer better, and that names so many seconds.
    Locked(u64),
    /// The same as a 429, which comes after so many.
    LimitedAfter(u64, u64),
    /// A 501, which is not tried again.
    Broken,
    /// A 500, which is.
    Failing,
    /// The same, which names so many seconds.
    FailingFor(u64),
    Unreachable,
}
use Answer::{Broken, Failing, FailingFor, Limited, LimitedAfter, Locked, Unreachable, Well};

/// Upstreams that answer by a script, the last line of it over and over.
struct Scene {
    scripts: Vec<(&'static str, Vec<Answer>)>,
    began: Instant,
    asked: Mutex<Vec<String>>,
}

impl Scene {
    fn new(scripts: &[(&'static str, &[Answer])]) -> Arc<Self> {
        let scripts = scripts
            .iter()
            .map(|(name, script)| (*name, script.to_vec()));
        Arc::new(Self {
            scripts: scripts.collect(),
            began: TokioClock.now(),
            asked: Mutex::default(),
        })
    }

    fn upstreams(&self) -> impl Iterator<Item = Upstream> {
        self.scripts.iter().map(|(name, _)| {
            let provider = Provider::new(*name, "http://host/v1").expect("a URL");
            provider.model("m")
        })
    }

    fn stack(&self) -> Stack {
        let stack = self
            .upstreams()
            .fold(Stack::builder(), |stack, it| stack.upstream(it));
        stack.build().expect("a stack")
    }

    fn after(&self) -> u64 {
        (TokioClock.now() - self.began).as_secs()
    }

    async fn answer(&self, request: Request<Body>) -> io::Result<Response<Body>> {
        let upstream = request.extensions().get::<Upstream>();
        let name = upstream
            .expect("one was chosen")
            .provider()
            .name()
            .to_owned();
        let count = {
            let mut asked = self.asked.lock().expect("no test has failed");
            asked.push(format!("{name} {}", self.after()));
            let of_it = |asked: &&String| asked.split(' ').next() == Some(&name);
            asked.iter().filter(of_it).count()
        };
        let (_, script) = self
            .scripts
            .iter()
            .find(|(it, _)| *it == name)
            .expect("listed");
        let limited = |wait: u64| Response::builder().status(429).header(RETRY_AFTER, wait);
        let response = match script[count.min(script.len()) - 1] {
            Well => Response::builder(),
            Limited(wait) => limited(wait),
            Locked(wait) => Response::builder().status(423).header(RETRY_AFTER, wait),
            LimitedAfter(wait, time) => {
                let end = TokioClock.now() + Duration::from_secs(time);
                TokioClock.sleep_until(end).await;
                limited(wait)
            }
            Broken => Response::builder().status(501),
            Failing => Response::builder().status(500),
            FailingFor(wait) => limited(wait).status(500),
            Unreachable => return Err(io::ErrorKind::ConnectionRefused.into()),
        };
        Ok(response.body(Body::default()).expect("a response"))
    }

    /// Who was asked, and when.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test has failed").clone()
    }
}

fn request() -> Request<Body> {
    let request = Request::post("http://host/v1/chat/completions");
    request.body(Body::from("{}")).expect("a request")
}

/// Who answers, through a stack.
async fn ask(scene: &Arc<Scene>, request: Request<Body>) -> Result<String, Error> {
    ask_through(scene, &scene.stack(), request).await
}

async fn ask_through(
    scene: &Arc<Scene>,
    stack: &Stack,
    request: Request<Body>,
) -> Result<String, Error> {
    let scene = scene.clone();
    let client = service_fn(move |request: Request<Body>| {
        let scene = scene.clone();
        async move { scene.answer(request).await }
    });
    let answer = stack.layer().layer(client).oneshot(request).await?;
    let served_by = answer.extensions().get::<ServedBy>();
    Ok(served_by.expect("it is told").0.provider().name().into())
}

/// A new user's test: the first would have been waited for, had there been nobody else; there was, and it failed.
#[tokio::test(start_paused = true)]
async fn a_hint_that_was_left_for_others_is_waited_out_where_they_fail() {
    for failure in [Broken, Failing, Unreachable] {
        let scene = Scene::new(&[("first", &[Limited(30), Well]), ("other", &[failure])]);
        assert_eq!(ask(&scene, request()).await.unwrap(), "first");
        let asked = scene.asked();
        assert_eq!(asked[..2], ["first 0", "other 0"]);
        assert_eq!(asked.last().unwrap(), "first 30");
        let of_first = asked.iter().filter(|asked| asked.starts_with("first"));
        assert_eq!(of_first.count(), 2);
    }
}

/// The other was there when the first was asked, and is left alone when that has failed.
#[tokio::test(start_paused = true)]
async fn a_hint_that_was_left_for_others_is_waited_out_where_they_have_failed_meanwhile() {
    let scene = Scene::new(&[("first", &[LimitedAfter(30, 6), Well]), ("other", &[Well])]);
    let stack = scene.stack();
    let limited = Failure::new(FailureKind::RateLimited);
    let limited = limited.with_retry_after(Duration::from_secs(600));
    let answer = ask_through(&scene, &stack, request());
    let (answer, ()) = tokio::join!(answer, async {
        let end = TokioClock.now() + Duration::from_secs(3);
        TokioClock.sleep_until(end).await;
        stack.cooldowns().cool(&stack.upstreams()[1], &limited);
    });
    assert_eq!(answer.unwrap(), "first");
    assert_eq!(scene.asked(), ["first 0", "first 36"]);
}

#[tokio::test(start_paused = true)]
async fn of_several_that_were_left_the_soonest_is_asked_first() {
    let scene = Scene::new(&[
        ("late", &[Limited(40), Well]),
        ("soon", &[Limited(10), Broken]),
        ("broken", &[Broken]),
    ]);
    assert_eq!(ask(&scene, request()).await.unwrap(), "late");
    let asked = ["late 0", "soon 0", "broken 0", "soon 10", "late 40"];
    assert_eq!(scene.asked(), asked);
    // The last of the chain may be the later one.
    let scene = Scene::new(&[("soon", &[Limited(5), Well]), ("late", &[Limited(50)])]);
    assert_eq!(ask(&scene, request()).await.unwrap(), "soon");
    assert_eq!(scene.asked(), ["soon 0", "late 0", "soon 5"]);
}

/// Who was passed by is asked where he is back before that.
#[tokio::test(start_paused = true)]
async fn who_is_back_sooner_and_was_not_asked_yet_is_asked_first() {
    let limited = Failure::new(FailureKind::RateLimited);
    let limited = limited.with_retry_after(Duration::from_secs(20));
    let scene = Scene::new(&[
        ("first", &[Limited(30)]),
        ("away", &[Well]),
        ("broken", &[Broken]),
    ]);
    let stack = scene.stack();
    stack.cooldowns().cool(&stack.upstreams()[1], &limited);
    assert_eq!(
        ask_through(&scene, &stack, request()).await.unwrap(),
        "away"
    );
    assert_eq!(scene.asked(), ["first 0", "broken 0", "away 20"]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_retry_layer_would_not_begin_is_not_begun_by_the_fallback() {
    let scripts: [(&'static str, &[Answer]); 2] =
        [("first", &[Limited(30), Well]), ("other", &[Broken])];
    // Past the deadline.
    let scene = Scene::new(&scripts);
    let mut hurried = request();
    let deadline = Deadline(TokioClock.now() + Duration::from_secs(29));
    hurried.extensions_mut().insert(deadline);
    ask(&scene, hurried).await.unwrap_err();
    assert_eq!(scene.asked(), ["first 0", "other 0"]);
    // Past the cap on attempts.
    let scene = Scene::new(&scripts);
    let mut capped = request();
    capped.extensions_mut().insert(Attempts::new(2));
    let _ = ask(&scene, capped).await;
    assert_eq!(scene.asked(), ["first 0", "other 0"]);
    // Longer than it waits for anybody.
    let scene = Scene::new(&[("first", &[Limited(61), Well]), ("other", &[Broken])]);
    ask(&scene, request()).await.unwrap_err();
    assert_eq!(scene.asked(), ["first 0", "other 0"]);
    assert_eq!(scene.after(), 0);
}

/// Who has no retry layer inside has asked for no waits.
#[tokio::test(start_paused = true)]
async fn without_a_retry_layer_no_hint_is_waited_out() {
    let scene = Scene::new(&[("first", &[Limited(30), Well]), ("other", &[Unreachable])]);
    let chain = FallbackLayer::new(Chain::new(scene.upstreams())).expect("a chain");
    let answers = scene.clone();
    let client = service_fn(move |request: Request<Body>| {
        let scene = answers.clone();
        async move { scene.answer(request).await }
    });
    let error = chain.layer(client).oneshot(request()).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error}");
    assert_eq!(scene.asked(), ["first 0", "other 0"]);
}

/// Who is asked next, and why, as an observer is told it.
#[tokio::test(start_paused = true)]
async fn it_is_told_to_whom_a_request_comes_back_and_by_which_failure() {
    let told = async |scripts: &[(&'static str, &[Answer])], away: Option<usize>| {
        let scene = Scene::new(scripts);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = lines.clone();
        let stack = scene
            .upstreams()
            .fold(Stack::builder(), |stack, it| stack.upstream(it));
        let stack = stack.observe(move |event: &Event<'_>| {
            let line = match event {
                Event::Switched { from, to, .. } => format!("{from} to {to}"),
                Event::Retrying {
                    upstream,
                    attempt,
                    wait,
                    failure,
                } => {
                    let wait = wait.as_secs();
                    format!(
                        "{upstream} again in {wait} after {attempt}: {}",
                        failure.kind
                    )
                }
                _ => return,
            };
            log.lock().expect("no test has failed").push(line);
        });
        let stack = stack.build().expect("a stack");
        if let Some(away) = away {
            let limited = Failure::new(FailureKind::RateLimited);
            let limited = limited.with_retry_after(Duration::from_secs(20));
            stack.cooldowns().cool(&stack.upstreams()[away], &limited);
        }
        let _ = ask_through(&scene, &stack, request()).await;
        lines.lock().expect("no test has failed").clone()
    };
    let back = told(&[("a", &[Limited(30), Well]), ("b", &[Broken])], None);
    assert_eq!(
        back.await,
        ["a/m to b/m", "a/m again in 30 after 2: rate limited"]
    );
    let back = told(&[("a", &[Limited(30)]), ("b", &[Limited(20), Well])], None);
    assert_eq!(
        back.await,
        ["a/m to b/m", "b/m again in 20 after 2: rate limited"]
    );
    let scripts: [(&'static str, &[Answer]); 3] =
        [("a", &[Limited(30)]), ("b", &[Well]), ("c", &[Broken])];
    let sooner = told(&scripts, Some(1));
    assert_eq!(sooner.await, ["a/m to c/m", "c/m to b/m"]);
}

/// An upstream that cannot be reached has not been silent for the whole of an attempt.
#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_is_tried_again_though_there_are_others() {
    let scene = Scene::new(&[("first", &[Unreachable, Well]), ("other", &[Well])]);
    assert_eq!(ask(&scene, request()).await.unwrap(), "first");
}

/// An upstream that goes on to refuse is asked as often as a lone one, and the request ends.
#[tokio::test(start_paused = true)]
async fn who_comes_back_and_is_refused_again_is_asked_as_often_as_a_lone_upstream() {
    let scene = Scene::new(&[("first", &[Limited(30)]), ("other", &[Limited(20)])]);
    let error = ask(&scene, request()).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error}");
    let of = |name: &str| {
        scene
            .asked()
            .iter()
            .filter(|it| it.starts_with(name))
            .count()
    };
    assert_eq!((of("first"), of("other")), (1 + 3, 1 + 3));
}

/// Seen by the storm of `examples/ecosystem`: the server got a first attempt twice.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_asked_again_goes_on_to_count() {
    let scene = Scene::new(&[("first", &[Limited(30), Well]), ("other", &[Broken])]);
    let counts = Arc::new(Mutex::new(Vec::new()));
    let (told, answers) = (counts.clone(), scene.clone());
    let client = service_fn(move |request: Request<Body>| {
        let count = request.headers()[ATTEMPT_COUNT].to_str().expect("a number");
        told.lock()
            .expect("no test has failed")
            .push(count.to_owned());
        let scene = answers.clone();
        async move { scene.answer(request).await }
    });
    let stack = scene
        .upstreams()
        .fold(Stack::builder(), |stack, it| stack.upstream(it));
    let stack = stack.retry(RetryPolicy::llm().attempt_header(ATTEMPT_COUNT));
    let stack = stack.build().expect("a stack");
    stack
        .layer()
        .layer(client)
        .oneshot(request())
        .await
        .expect("an answer");
    assert_eq!(scene.asked(), ["first 0", "other 0", "first 30"]);
    let counts = counts.lock().expect("no test has failed").clone();
    assert_eq!(counts, ["1", "1", "2"]);
}

/// A new user's test: a request came back to an upstream under another key, which could not tell it from a new one.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_asked_again_sees_the_same_idempotency_key() {
    let scene = Scene::new(&[("first", &[Limited(30), Well]), ("other", &[Broken])]);
    let keys = Arc::new(Mutex::new(Vec::new()));
    let (told, answers) = (keys.clone(), scene.clone());
    let client = service_fn(move |request: Request<Body>| {
        let key = request.headers()["idempotency-key"].clone();
        told.lock().expect("no test has failed").push(key);
        let scene = answers.clone();
        async move { scene.answer(request).await }
    });
    let stack = scene
        .upstreams()
        .fold(Stack::builder(), |stack, it| stack.upstream(it));
    let stack = stack.retry(RetryPolicy::llm().idempotency_key(true));
    let stack = stack.build().expect("a stack");
    let answer = stack.layer().layer(client).oneshot(request()).await;
    answer.expect("an answer");
    assert_eq!(scene.asked(), ["first 0", "other 0", "first 30"]);
    let keys = keys.lock().expect("no test has failed").clone();
    assert_eq!(keys[0], keys[2]);
    // To another upstream it is another request: that is sent another body.
    assert_ne!(keys[0], keys[1]);
}

/// A new user's test: what may have been done is not done elsewhere, where the chain is told so.
#[tokio::test(start_paused = true)]
async fn a_post_that_may_have_been_done_goes_to_nobody_else_where_that_is_said() {
    let seen = async |method: &str, first: Answer, repeat: bool| {
        let scene = Scene::new(&[("first", &[first]), ("other", &[Well])]);
        let chain = Chain::new(scene.upstreams()).repeat_non_idempotent(repeat);
        let layer = FallbackLayer::new(chain).expect("a chain");
        let answers = scene.clone();
        let client = service_fn(move |request: Request<Body>| {
            let scene = answers.clone();
            async move { scene.answer(request).await }
        });
        let request = Request::builder().method(method).uri("http://host/orders");
        let request = request.body(Body::default()).expect("a request");
        // A failure is the caller's to judge.
        let _ = layer.layer(client).oneshot(request).await;
        scene.asked().len()
    };
    assert_eq!(seen("POST", Failing, false).await, 1);
    assert_eq!(seen("POST", Failing, true).await, 2);
    for method in ["GET", "PUT"] {
        assert_eq!(seen(method, Failing, false).await, 2);
    }
    for unprocessed in [Limited(30), Unreachable] {
        assert_eq!(seen("POST", unprocessed, false).await, 2);
    }
}

// The wait was left to others, whom nobody asks after such a failure: it was the caller's at once.
#[tokio::test(start_paused = true)]
async fn a_wait_is_not_left_to_others_who_are_not_asked_for_it() {
    let scene = Scene::new(&[("first", &[Locked(9), Well]), ("other", &[Well])]);
    assert_eq!(ask(&scene, request()).await.unwrap(), "first");
    assert_eq!(scene.asked(), ["first 0", "first 9"]);
}

/// Its wait was left to others, whom the chain does not ask then: it was the caller's failure at once.
#[tokio::test(start_paused = true)]
async fn what_others_are_not_asked_for_is_waited_out_where_it_is() {
    let scene = Scene::new(&[("first", &[FailingFor(9), Well]), ("other", &[Well])]);
    let stack = scene
        .upstreams()
        .fold(Stack::builder(), |stack, it| stack.upstream(it));
    let stack = stack.fallback(|chain| chain.repeat_non_idempotent(false));
    let stack = stack.build().expect("a stack");
    let served = ask_through(&scene, &stack, request()).await;
    assert_eq!(served.expect("an answer"), "first");
    assert_eq!(scene.asked(), ["first 0", "first 9"]);
}
