//! Behaviour that the tests of trusted libraries agree on, each by the id of its anchor.
//!
//! Not among them: FB-03's 413 and FB-07, for a request too large for one upstream goes to a larger one, and a chain that is
//! used up ends in an error that tells every attempt; FB-29 and FB-33, which are options that we do not have.

use super::*;

#[tokio::test(start_paused = true)]
async fn fb_01_the_chain_is_asked_in_order() {
    let bench = Bench::new(|chain| chain);
    let answers = |upstream: &str| match upstream {
        "a/1" => status(500),
        "a/2" => status(503),
        _ => ok(),
    };
    let result = bench.call(answers).await;
    assert_eq!(served_by(&result), "b/1");
    assert_eq!(bench.asked(), ["a/1", "a/2", "b/1"]);
}

#[tokio::test(start_paused = true)]
async fn fb_03_a_caller_s_error_does_not_fall_back() {
    for code in [400, 422] {
        let bench = Bench::new(|chain| chain);
        let response = bench.call(|_| status(code)).await.unwrap();
        assert_eq!(response.into_body(), code.to_string());
        assert_eq!(bench.asked(), ["a/1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn fb_05_statuses_and_errors_fall_back_and_a_200_does_not() {
    let io = |kind: io::ErrorKind| Err(io::Error::from(kind).into());
    for first in [
        status(503),
        io(io::ErrorKind::ConnectionRefused),
        io(io::ErrorKind::TimedOut),
    ] {
        let bench = Bench::new(|chain| chain);
        let first = Cell::new(Some(first));
        let result = bench.call(|_| first.take().unwrap_or_else(ok)).await;
        assert_eq!(served_by(&result), "a/2");
    }
    let bench = Bench::new(|chain| chain);
    let error = r#"{"error":{}}"#;
    let response = bench.call(|_| Ok(Response::new(error.to_owned()))).await;
    assert_eq!(response.unwrap().into_body(), error);
    assert_eq!(bench.asked(), ["a/1"]);
}

#[tokio::test(start_paused = true)]
async fn fb_09_a_cooldown_ends_exactly_at_its_time() {
    let bench = Bench::new(|chain| chain);
    let limited_first = |upstream: &str| if upstream == "a/1" { limited(30) } else { ok() };
    bench.call(limited_first).await.unwrap();
    assert_eq!(bench.asked(), ["a/1", "a/2"]);
    sleep(secs(30) - Duration::from_millis(1)).await;
    bench.call(|_| ok()).await.unwrap();
    assert_eq!(bench.asked(), ["a/2"]);
    sleep(Duration::from_millis(1)).await;
    bench.call(|_| ok()).await.unwrap();
    assert_eq!(bench.asked(), ["a/1"]);
}

#[tokio::test(start_paused = true)]
async fn fb_11_a_longer_hint_extends_a_cooldown_and_a_shorter_one_does_not() {
    let bench = Bench::new(|chain| chain);
    let upstream = provider("a").model("1");
    let cool = |seconds| {
        let failure = Failure::new(FailureKind::RateLimited);
        bench
            .cooldowns
            .cool(&upstream, &failure.with_retry_after(secs(seconds)));
        bench.cooldowns.remaining(&upstream)
    };
    assert_eq!(cool(10), Some(secs(10)));
    sleep(secs(1)).await;
    assert_eq!(cool(60), Some(secs(60)));
    sleep(secs(1)).await;
    assert_eq!(cool(1), Some(secs(59)));
}

#[tokio::test(start_paused = true)]
async fn fb_13_a_lone_upstream_is_not_cooled() {
    let bench = Bench::new(|_| Chain::new([provider("a").model("1")]));
    assert_eq!(bench.call(|_| limited(30)).await.unwrap().status(), 429);
    assert_eq!(bench.cooling(), []);
    assert_eq!(served_by(&bench.call(|_| ok()).await), "a/1");
}

#[tokio::test(start_paused = true)]
async fn fb_15_a_429_that_comes_as_an_error_of_another_type_still_cools() {
    let bench = Bench::new(|chain| chain);
    let wait = Some(secs(10));
    let answers = |upstream: &str| match upstream {
        "a/1" => meaning(Failure::new(FailureKind::RateLimited).with_retry_after(wait)),
        _ => ok(),
    };
    bench.call(answers).await.unwrap();
    assert_eq!(bench.cooling(), [("a/1".to_owned(), 10_000)]);
}

#[tokio::test(start_paused = true)]
async fn fb_21_one_cap_holds_over_retries_and_fallbacks() {
    let bench = Bench::new(|chain| chain.max_attempts(5));
    let calls = Rc::new(Cell::new([0_u32; 3]));
    let counted = calls.clone();
    let client = service_fn(move |request: Request<String>| {
        let mut counts = counted.get();
        let index = ["a/1", "a/2", "b/1"]
            .iter()
            .position(|it| *it == id(&request));
        counts[index.unwrap()] += 1;
        counted.set(counts);
        future::ready(status(500))
    });
    let policy = crate::RetryPolicy::default().max_attempts(3);
    let retry = crate::RetryLayer::new(policy).unwrap();
    let service = bench.layer.layer(retry.layer(client));
    let error = service
        .oneshot(Request::new(String::new()))
        .await
        .unwrap_err();
    assert_eq!(calls.get(), [3, 2, 0]);
    let Error::Exhausted(exhausted) = error else {
        panic!("{error}");
    };
    assert_eq!(exhausted.attempts.len(), 5);
}

#[test]
fn fb_23_an_empty_chain_is_refused_and_a_duplicate_counts_once() {
    let error = FallbackLayer::new(Chain::new(Vec::<Upstream>::new())).unwrap_err();
    assert_eq!(error.setting(), "chain");
    let twice = [provider("a").model("1"), provider("a").model("1")];
    let layer = FallbackLayer::new(Chain::new(twice)).unwrap();
    assert_eq!(layer.router().upstreams().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn fb_27_a_late_success_does_not_end_a_cooldown() {
    let bench = Bench::new(|chain| chain);
    let slow = service_fn(|request: Request<String>| async move {
        assert_eq!(id(&request), "a/1");
        sleep(secs(5)).await;
        ok()
    });
    let slow = bench.layer.layer(slow).oneshot(Request::new(String::new()));
    let limited = async {
        sleep(secs(1)).await;
        let answers = |upstream: &str| if upstream == "a/1" { limited(60) } else { ok() };
        bench.call(answers).await
    };
    let (slow, _) = future::join(slow, limited).await;
    assert_eq!(served_by(&slow), "a/1");
    assert_eq!(bench.cooling(), [("a/1".to_owned(), 56_000)]);
}

#[test]
fn fb_31_a_clock_that_steps_back_prolongs_no_cooldown_and_one_that_jumps_ends_it() {
    let upstream = provider("a").model("1");
    let clock = crate::clock::ManualClock::new();
    let cooldowns = Cooldowns::new().clock(clock.clone());
    let failure = Failure::new(FailureKind::RateLimited).with_retry_after(secs(10));
    cooldowns.cool(&upstream, &failure);
    clock.advance(secs(1_000_000_000));
    assert_eq!(cooldowns.remaining(&upstream), None);
}
