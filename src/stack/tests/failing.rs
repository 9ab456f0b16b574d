//! What its owner is told of a client that fails.

use std::{future::pending, io};

use tower::ServiceBuilder;

use super::*;
use crate::circuit_breaker::CircuitBreakerPolicy;

// "client error (Connect)", and not whose.
#[tokio::test(start_paused = true)]
async fn a_lone_upstream_that_gives_no_answer_is_named() {
    let policy = RetryPolicy::llm().max_attempts(1);
    let stack = Stack::builder()
        .upstream(Provider::ollama().model("m"))
        .retry(policy.attempt_timeout(Duration::from_secs(9)));
    let stack = stack.build().unwrap();
    let refused = service_fn(|_: Request<Full<Bytes>>| async {
        let kind = io::ErrorKind::ConnectionRefused;
        Err::<Answer, _>(io::Error::new(kind, "connection refused"))
    });
    let error = stack.layer().layer(refused).oneshot(request()).await;
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer from ollama/m: connection refused"
    );
    assert_eq!(error.upstream(), Some("ollama/m"));
    assert!(error.is_unsent());
    let silent = service_fn(|_: Request<Full<Bytes>>| pending::<Result<Answer, io::Error>>());
    let error = stack.layer().layer(silent).oneshot(request()).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "no answer from ollama/m within 9s"
    );
}

// It was "connection failed (service overloaded)", and the upstream was left alone for 5 minutes.
#[tokio::test(start_paused = true)]
async fn what_a_layer_of_the_program_sheds_says_nothing_of_the_upstream() {
    let stack = Stack::builder()
        .upstream(Provider::ollama().model("a"))
        .upstream(Provider::vllm().model("b"))
        .build()
        .unwrap();
    let silent = service_fn(|_: Request<Full<Bytes>>| pending::<Result<Answer, BoxError>>());
    let shedding = ServiceBuilder::new()
        .layer(stack.layer())
        .load_shed()
        .concurrency_limit(1)
        .service(silent);
    tokio::spawn(shedding.clone().oneshot(request()));
    tokio::task::yield_now().await;
    let began = TokioClock.now();
    let error = shedding.oneshot(request()).await.unwrap_err();
    assert_eq!(TokioClock.now(), began, "nothing is repeated");
    let Error::Exhausted(exhausted) = &error else {
        panic!("{error:?}");
    };
    let kinds = exhausted.attempts.iter().map(|it| it.failure.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [FailureKind::Refused; 2]);
    assert!(error.is_unsent());
    assert_eq!(stack.cooldowns().list(), []);
    assert_eq!(stack.breaker().metrics("ollama/a").unwrap().failures, 0);
}

/// Of one request a second in the ten minutes after an outage of five seconds of one's own network.
async fn lost_after_an_outage(builder: StackBuilder) -> usize {
    let began = TokioClock.now();
    let stack = builder
        .upstream(Provider::ollama().model("m"))
        .build()
        .unwrap();
    let client = service_fn(move |_: Request<Full<Bytes>>| async move {
        match TokioClock.now().duration_since(began).as_secs() {
            0..5 => Err(io::Error::other("no route to host")),
            _ => Ok(Answer::default()),
        }
    });
    let service = stack.layer().layer(client);
    let calls = (0..600).map(|second| {
        let service = service.clone();
        tokio::spawn(async move {
            let at = began + Duration::from_secs(second);
            TokioClock.sleep_until(at).await;
            let answer = service.oneshot(request()).await;
            second >= 5 && answer.is_err()
        })
    });
    let lost = futures::future::join_all(calls.collect::<Vec<_>>()).await;
    lost.into_iter()
        .filter(|lost| *lost.as_ref().unwrap())
        .count()
}

// guide::running says so.
#[tokio::test(start_paused = true)]
async fn the_open_time_is_what_an_outage_of_ones_own_network_costs() {
    let lost = lost_after_an_outage(Stack::builder()).await;
    assert!((50..=66).contains(&lost), "{lost}");
    let policy = CircuitBreakerPolicy::default();
    let short = policy
        .open_for(Duration::from_secs(2))
        .open_growth(2.0, Duration::from_secs(30));
    let lost = lost_after_an_outage(Stack::builder().circuit_breaker(short)).await;
    assert!(lost <= 4, "{lost}");
}
