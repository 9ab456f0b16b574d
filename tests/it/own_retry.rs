//! An upstream with a retry policy of its own, in a stack.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_upstream::{
    Attempts, Error, FailureKind, Provider, RetryLayer, RetryPolicy, ServedBy, Stack, Upstream,
    clock::{Clock, TokioClock},
};

/// The answer of each upstream: after so many seconds, with this status.
async fn ask(
    stack: &Stack,
    answers: &[(&str, u64, StatusCode)],
) -> Result<Response<impl Sized>, Error> {
    let server = service_fn(|request: Request<Full<Bytes>>| {
        let upstream = request.extensions().get::<Upstream>().expect("it is there");
        let answer = answers
            .iter()
            .find(|(id, ..)| *id == upstream.id())
            .expect("it is there");
        let (_, seconds, status) = *answer;
        async move {
            let at = TokioClock.now() + Duration::from_secs(seconds);
            TokioClock.sleep_until(at).await;
            let mut response = Response::new(r#"{"choices":[]}"#.to_owned());
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    let body = Full::<Bytes>::from(r#"{"messages":[{"role":"user","content":"Hello"}]}"#);
    let request = Request::post("/v1/chat/completions")
        .body(body)
        .expect("it is there");
    stack.layer().layer(server).oneshot(request).await
}

fn requests(stack: &Stack) -> u64 {
    let upstreams = stack.stats().snapshot().upstreams;
    upstreams.get("groq/m").map_or(0, |row| row.requests)
}

fn ends(response: &Response<impl Sized>) -> (String, Vec<(String, FailureKind)>) {
    let served = response
        .extensions()
        .get::<ServedBy>()
        .expect("it is there")
        .0
        .id()
        .to_owned();
    let attempts = response.extensions().get::<Attempts>();
    let failed = attempts.map(Attempts::failed).unwrap_or_default();
    let failed = failed.into_iter().map(|attempt| {
        let upstream = attempt.upstream.expect("it is there").to_string();
        (upstream, attempt.failure.kind)
    });
    (served, failed.collect())
}

// A model on a machine of one's own takes longer to begin than a provider whose silence means that it is not well.
#[tokio::test(start_paused = true)]
async fn each_upstream_has_the_time_that_it_needs() {
    let quick = RetryPolicy::llm().attempt_timeout(Duration::from_secs(10));
    let patient = quick.clone().attempt_timeout(Duration::from_secs(300));
    let (groq, local) = (Provider::groq().model("m"), Provider::ollama().model("m"));
    let stack = Stack::builder().upstream(groq).upstream(local);
    let stack = stack.retry(quick).retry_for("ollama", patient);
    let stack = stack.build().expect("it is there");
    let slow = [
        ("groq/m", 60, StatusCode::OK),
        ("ollama/m", 60, StatusCode::OK),
    ];
    let answer = ask(&stack, &slow).await.expect("it is there");
    let failed = vec![("groq/m".to_owned(), FailureKind::Timeout)];
    assert_eq!(ends(&answer), ("ollama/m".to_owned(), failed));
}

#[cfg(feature = "toml")]
#[tokio::test(start_paused = true)]
async fn each_upstream_is_asked_as_often_as_its_policy_says_and_the_budget_is_one() {
    let file = r#"
        [retry]
        max_attempts = 2
        budget.tokens = 15

        [[upstreams]]
        provider = "groq"
        models = ["m"]
        retry.max_attempts = 4

        [[upstreams]]
        provider = "ollama"
        models = ["m"]
        retry = "off"

        [[upstreams]]
        provider = "vllm"
        models = ["m"]
    "#;
    let builder = tower_upstream::stack::StackBuilder::from_toml(file, |_| Some("key".to_owned()))
        .expect("it is there");
    let stack = builder.build().expect("it is there");
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let all_busy = [
        ("groq/m", 0, busy),
        ("ollama/m", 0, busy),
        ("vllm/m", 0, StatusCode::OK),
    ];
    let answer = ask(&stack, &all_busy).await.expect("it is there");
    let (served, failed) = ends(&answer);
    let count = |id: &str| failed.iter().filter(|(upstream, _)| upstream == id).count();
    assert_eq!(
        (served.as_str(), count("groq/m"), count("ollama/m")),
        ("vllm/m", 4, 1)
    );
    // Three retries have taken all that there was.
    let words = stack.explain();
    assert!(
        words.contains("     retry: 4 attempts, after waits of 1s"),
        "{words}"
    );
    assert!(words.contains("     retry: off"), "{words}");
    let last = [
        ("groq/m", 0, busy),
        ("ollama/m", 0, busy),
        ("vllm/m", 0, busy),
    ];
    stack.cooldowns().clear_all();
    let error = ask(&stack, &last).await.err().expect("it is there");
    let Error::Exhausted(exhausted) = error else {
        panic!("{error}");
    };
    assert_eq!(exhausted.attempts.len(), 3, "{exhausted:?}");
}

#[test]
fn a_policy_that_cannot_work_is_refused_where_it_is_set() {
    let never = RetryPolicy::default().max_attempts(0);
    let retry = RetryLayer::default();
    let error = retry
        .set_policy_for("groq", never.clone())
        .expect_err("it fails");
    assert_eq!(error.setting(), "max_attempts");
    assert!(Stack::builder().retry_for("groq", never).build().is_err());
}

// The handle is what a service holds: what is set while it runs holds for calls that begin from then on.
#[tokio::test(start_paused = true)]
async fn the_policy_of_an_upstream_is_replaced_while_the_stack_runs() {
    let stack = Stack::builder()
        .upstream(Provider::groq().model("m"))
        .build()
        .expect("it is there");
    let busy = [("groq/m", 0, StatusCode::SERVICE_UNAVAILABLE)];
    let attempts = async || {
        let before = requests(&stack);
        ask(&stack, &busy).await.expect("it is there");
        requests(&stack) - before
    };
    assert_eq!(attempts().await, 3);
    let once = stack.retry().policy().max_attempts(1);
    stack
        .retry()
        .set_policy_for("groq/m", once)
        .expect("it is there");
    assert_eq!(attempts().await, 1);
    // The layer's own is another's business.
    let policy = stack.retry().policy().max_attempts(2);
    stack
        .retry()
        .set_policy(policy.clone())
        .expect("it is there");
    assert_eq!(attempts().await, 1);
    stack
        .retry()
        .set_policy_for("groq/m", policy)
        .expect("it is there");
    stack.breaker().reset_all();
    assert_eq!(attempts().await, 2);
}
