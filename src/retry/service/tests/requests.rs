//! What is written into requests, and what a user's rule and another policy change.

use http::header::HeaderName;

use super::*;
use crate::retry::ATTEMPT_COUNT;

fn post() -> Request<Bytes> {
    let mut request = get();
    *request.method_mut() = http::Method::POST;
    request
}

/// What each attempt carried in this header, after so many answers.
async fn seen(
    policy: RetryPolicy,
    request: Request<Bytes>,
    name: HeaderName,
    answers: &[u16],
) -> Vec<Option<String>> {
    let (seen, left) = (Rc::new(Cell::new(Vec::new())), Cell::new(answers));
    let inner = service_fn(|request: Request<Bytes>| {
        let value = request.headers().get(&name);
        let value = value.map(|value| value.to_str().unwrap().to_owned());
        let mut before = seen.take();
        before.push(value);
        seen.set(before);
        let (first, rest) = left.get().split_first().unwrap();
        left.set(rest);
        ready(Ok::<_, Infallible>(answer(*first)))
    });
    layer(policy).layer(inner).oneshot(request).await.unwrap();
    seen.take()
}

#[tokio::test(start_paused = true)]
async fn a_post_is_given_a_key_that_is_the_same_for_all_its_attempts() {
    let name = || HeaderName::from_static("idempotency-key");
    let policy = || policy().idempotency_key(true);
    let answers = [500, 502, 200];
    let first = seen(policy(), post(), name(), &answers).await;
    assert_eq!(first.len(), 3, "with a key it may be repeated");
    assert!(first[0].is_some() && first.iter().all(|key| *key == first[0]));
    let second = seen(policy(), post(), name(), &answers).await;
    assert_ne!(second[0], first[0]);

    let mut own = post();
    own.headers_mut().insert(name(), "mine".parse().unwrap());
    let own = seen(policy(), own, name(), &answers).await;
    assert_eq!(own, vec![Some("mine".to_owned()); 3]);
    assert_eq!(
        seen(policy(), get(), name(), &[500, 200]).await,
        [None, None]
    );
    let off = seen(super::policy(), post(), name(), &[429, 200]).await;
    assert_eq!(off, [None, None]);
}

/// RT-43. As in Envoy's `x-envoy-attempt-count` and the AWS clients: the first is 1, and it is told too.
#[tokio::test(start_paused = true)]
async fn the_attempts_are_counted_in_a_header_unless_the_caller_has_his_own() {
    let counted = || policy().attempt_header(ATTEMPT_COUNT);
    let counts = seen(counted(), get(), ATTEMPT_COUNT, &[500, 500, 200]).await;
    assert_eq!(counts, ["1", "2", "3"].map(|count| Some(count.to_owned())));
    let mut own = get();
    own.headers_mut()
        .insert(ATTEMPT_COUNT, "7".parse().unwrap());
    let counts = seen(counted(), own, ATTEMPT_COUNT, &[500, 200]).await;
    assert_eq!(counts, ["7", "7"].map(|count| Some(count.to_owned())));
    let off = seen(policy(), get(), ATTEMPT_COUNT, &[500, 200]).await;
    assert_eq!(off, [None, None]);
}

async fn calls(policy: RetryPolicy, request: Request<Bytes>, answers: &'static [u16]) -> u32 {
    let (calls, script) = scripted(answers);
    layer(policy).layer(script).oneshot(request).await.unwrap();
    calls.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_the_users_own_overrules_what_is_repeated_but_not_how_often() {
    let says = |verdict| policy().verdict(move |_, _| verdict);
    // What would not be repeated: a missing page, a POST that may have been processed, a success.
    assert_eq!(
        calls(says(Verdict::Retry), get(), &[404, 404, 404]).await,
        3
    );
    assert_eq!(
        calls(says(Verdict::Retry), post(), &[500, 500, 500]).await,
        3
    );
    assert_eq!(
        calls(says(Verdict::Retry), get(), &[202, 200, 200]).await,
        3
    );
    let until = policy().verdict(|_, ended| match &ended.result {
        Ok(response) if response.status == StatusCode::ACCEPTED => Verdict::Retry,
        _ => Verdict::AsUsual,
    });
    assert_eq!(calls(until, get(), &[202, 500, 200]).await, 3);
    assert_eq!(calls(says(Verdict::Return), get(), &[500]).await, 1);
    assert_eq!(calls(says(Verdict::AsUsual), get(), &[500, 404]).await, 2);
    let poor = says(Verdict::Retry).budget(RetryBudget::new(5));
    assert_eq!(calls(poor, get(), &[404, 404]).await, 2);
    let brief = says(Verdict::Retry).total_deadline(Duration::from_secs(2));
    assert_eq!(calls(brief, get(), &[404, 404]).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_rule_sees_request_attempt_failure_and_answer_and_no_refusal_of_our_own() {
    let told = Told::default();
    let lines = told.clone();
    let rule = policy().verdict(move |request, ended| {
        let failure = ended.failure.map(|failure| failure.kind.as_str());
        let result = match &ended.result {
            Ok(response) => response.status.to_string(),
            Err(error) => error.downcast_ref::<Error>().unwrap().to_string(),
        };
        let line = format!("{} {} {failure:?} {result}", request.uri, ended.attempt);
        lines.lock().unwrap().push(line);
        Verdict::AsUsual
    });
    let (mut service, mut handle) = pair(&layer(rule));
    let upstream = async {
        next(&mut handle).await.1.send_response(answer(503));
        next(&mut handle)
            .await
            .1
            .send_error(io::Error::other("reset"));
        next(&mut handle).await.1.send_response(answer(500));
        let refusal = RateLimited::new(RefusalReason::QueueFull);
        let error = Error::RateLimited(refusal);
        next(&mut handle).await.1.send_error(error);
    };
    let sent = async {
        send(&mut service, get()).await.unwrap();
        send(&mut service, get()).await.unwrap_err();
    };
    tokio::join!(sent, upstream);
    // Of the third nobody asks: no other attempt was possible. Nor of the refusal.
    assert_eq!(
        *told.lock().unwrap(),
        [
            "http://example.com/a 1 Some(\"overloaded\") 503 Service Unavailable",
            "http://example.com/a 2 Some(\"transport\") reset",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_replaced_holds_for_calls_that_begin_afterwards() {
    let layer = layer(policy().max_attempts(2));
    let handle = layer.clone();
    let (calls, script) = scripted(&[500, 500, 500, 500, 500, 500, 500]);
    let service = layer.layer(script);
    let mut under_way = Box::pin(service.clone().oneshot(get()));
    assert!((&mut under_way).now_or_never().is_none());
    handle.set_policy(handle.policy().max_attempts(4)).unwrap();
    under_way.await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2, "it goes on with its own");
    service.clone().oneshot(get()).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2 + 4);
    handle.set_policy(policy().max_attempts(0)).unwrap_err();
    handle.set_policy(handle.policy().max_attempts(1)).unwrap();
    service.oneshot(get()).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2 + 4 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_made_from_the_old_one_keeps_its_budget() {
    let budget = RetryBudget::new(10);
    let layer = layer(policy().budget(budget.clone()));
    layer.set_policy(layer.policy().max_attempts(2)).unwrap();
    let (_, script) = scripted(&[500, 500]);
    layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!(budget.available(), 5);
}

/// RT-57: the credentials are the business of a layer inside, which sees each attempt.
#[tokio::test(start_paused = true)]
async fn a_layer_inside_can_refresh_what_each_attempt_carries() {
    let rule = policy().verdict(|_, ended| match &ended.result {
        Ok(response) if response.status == StatusCode::UNAUTHORIZED => Verdict::Retry,
        _ => Verdict::AsUsual,
    });
    let (tokens, sent) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let seen = sent.clone();
    let inner = service_fn(move |request: Request<Bytes>| {
        let token = request.headers()["authorization"].to_str().unwrap();
        seen.set(seen.get() + 1);
        ready(Ok::<_, Infallible>(answer(if token == "Bearer 2" {
            200
        } else {
            401
        })))
    });
    let signed = inner.map_request(move |mut request: Request<Bytes>| {
        tokens.set(tokens.get() + 1);
        let token = format!("Bearer {}", tokens.get()).parse().unwrap();
        request.headers_mut().insert("authorization", token);
        request
    });
    let response = layer(rule).layer(signed).oneshot(get()).await.unwrap();
    assert_eq!((response.status(), sent.get()), (StatusCode::OK, 2));
}

proptest::proptest! {
    /// Whatever fails, however often, with whatever hints: never more attempts than allowed, and no wait past the deadline.
    #[test]
    fn no_call_has_more_attempts_than_allowed_or_waits_past_its_deadline(
        most in 1..8_u32,
        deadline in 1..300_u64,
        script in proptest::collection::vec(
            (proptest::sample::select(vec![408_u16, 429, 500, 503, 529, 200, 404]), proptest::option::of(0..90_u32), 0..5_000_u64),
            1..20,
        ),
        seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (calls, waited, took) = runtime.block_on(async {
            let start = TokioClock.now();
            let deadline = Duration::from_secs(deadline);
            let policy = RetryPolicy::default().seed(seed).max_attempts(most).total_deadline(deadline);
            let calls = Rc::new(Cell::new((0, Duration::ZERO)));
            let counted = calls.clone();
            let inner = service_fn(move |_: Request<Bytes>| {
                let (call, _) = counted.get();
                // When it began: the waits are over by then.
                counted.set((call + 1, TokioClock.now() - start));
                let (status, hint, millis) = script[call % script.len()];
                async move {
                    TokioClock.sleep_until(TokioClock.now() + Duration::from_millis(millis)).await;
                    let mut answer = answer(status);
                    if let Some(hint) = hint {
                        answer.headers_mut().insert("retry-after", hint.into());
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            layer(policy).layer(inner).oneshot(get()).await.unwrap();
            let (calls, last) = calls.get();
            (calls, last, deadline)
        });
        proptest::prop_assert!(calls <= most as usize);
        // tokio's timer rounds up to its milliseconds.
        proptest::prop_assert!(waited <= took + Duration::from_millis(1), "{:?} of {:?}", waited, took);
    }
}
