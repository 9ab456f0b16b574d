use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;
use crate::{
    Chain, CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, FallbackLayer, Limit, Quota,
    RateLimitLayer, RateLimiter, Scope,
    error::{CircuitOpen, Error, Exhausted, RateLimited, RefusalReason, ServiceError},
    outcome::{Failure, FailureKind, Outcome},
    request::Attempt,
    upstream::{Provider, ServedBy},
};

fn refusal(reason: RefusalReason, wait: Option<Duration>) -> Error {
    let mut refusal = RateLimited::new(reason);
    (refusal.wait, refusal.key) = (wait, Some("hash-of-a-key".into()));
    Error::RateLimited(refusal)
}

fn exhausted(kind: FailureKind) -> Error {
    let attempts = vec![Attempt::example("groq/llama", kind)];
    Error::Exhausted(Exhausted::example(attempts))
}

async fn told<B>(response: Response<B>) -> (u16, Option<String>, Value)
where
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after");
    let after = after.map(|after| after.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, after, serde_json::from_slice(&body).unwrap())
}

/// What the layer makes of this error.
async fn answer(error: Error) -> (u16, Option<String>, Value) {
    let mut error = Some(error);
    let inner = service_fn(move |_: Request<()>| {
        let error = error.take().unwrap();
        async { Err::<Response<Full<Bytes>>, _>(error) }
    });
    let service = ServiceBuilder::new()
        .layer(RejectionLayer::new())
        .service(inner);
    let Ok(response) = service.oneshot(Request::new(())).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    told(response).await
}

#[tokio::test]
async fn each_error_has_its_status() {
    let too_large = Limited::new(Full::<Bytes>::from("12345"), 4)
        .collect()
        .await
        .unwrap_err();
    let io = |kind: io::ErrorKind| Error::Service(ServiceError::new(io::Error::from(kind)));
    let open = Error::CircuitOpen(CircuitOpen {
        key: "groq".into(),
        reason: "consecutive failures",
        retry_after: Duration::from_secs(60),
    });
    for (error, status) in [
        (refusal(RefusalReason::WaitTooLong, None), 429),
        (refusal(RefusalReason::QueueFull, None), 429),
        (refusal(RefusalReason::TooLarge, None), 413),
        (open, 503),
        (exhausted(FailureKind::RateLimited), 429),
        (exhausted(FailureKind::ServerError), 503),
        (exhausted(FailureKind::Refused), 503),
        (Error::Body(too_large), 413),
        (Error::Body("broken".into()), 400),
        (
            Error::TimedOut {
                after: Duration::from_secs(1),
                upstream: None,
            },
            504,
        ),
        (io(io::ErrorKind::TimedOut), 504),
        (io(io::ErrorKind::ConnectionRefused), 502),
    ] {
        let said = error.to_string();
        let (told, _, problem) = answer(error).await;
        assert_eq!(
            (told, &problem["status"]),
            (status, &json!(status)),
            "{said}"
        );
    }
}

/// https://github.com/benwis/tower-governor/issues/65: `Retry-After: 0` for a wait below a second.
#[tokio::test]
async fn who_comes_back_when_he_was_told_is_not_early() {
    for (wait, field) in [
        (1, "1"),
        (999, "1"),
        (1_000, "1"),
        (1_001, "2"),
        (61_500, "62"),
    ] {
        let wait = Duration::from_millis(wait);
        let (_, after, _) = answer(refusal(RefusalReason::WaitTooLong, Some(wait))).await;
        assert_eq!(after.as_deref(), Some(field));
    }
    let (_, after, _) = answer(refusal(RefusalReason::TooLarge, None)).await;
    assert_eq!(after, None, "waiting does not help");
}

#[tokio::test]
async fn a_problem_says_what_to_do_and_nothing_of_the_inside() {
    let wait = Some(Duration::from_secs(3));
    let (_, _, problem) = answer(refusal(RefusalReason::WaitTooLong, wait)).await;
    assert_eq!(
        problem,
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota exceeded",
            "status": 429,
            "detail": "The service is rate limited. Please try again in 3 seconds.",
        })
    );
    let secret = io::Error::other("no route to 10.0.0.7, key sk-secret");
    let (_, _, problem) = answer(Error::Service(ServiceError::new(secret))).await;
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Bad Gateway");
    assert!(!problem.to_string().contains("secret"), "{problem}");
}

#[tokio::test]
async fn an_answer_from_inside_passes_as_it_is() {
    let inner = service_fn(async |_: Request<()>| {
        let answer = Response::builder().status(418).body(Full::from("tea"));
        Ok::<_, io::Error>(answer.unwrap())
    });
    let service = RejectionLayer::new();
    let service = ServiceBuilder::new().layer(service).service(inner);
    let Ok(response) = service.oneshot(Request::new(())).await;
    assert_eq!(response.status(), 418);
    assert!(response.headers().is_empty());
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "tea"
    );
}

#[tokio::test(start_paused = true)]
async fn limits_are_told_with_every_answer_and_violated_policies_are_named() {
    let quota = Quota::new()
        .limit(Limit::requests(2).per_minute())
        .limit(Limit::tokens(1_000).per_day());
    let limiter = RateLimiter::new(quota)
        .unwrap()
        .scope(Scope::by(|head| match head.extensions.get::<Arc<str>>() {
            Some(tenant) => tenant.clone(),
            None => "".into(),
        }))
        .max_wait(Duration::ZERO);
    let rejection = RejectionLayer::new()
        .advertise("tenant", limiter.clone())
        .unwrap();
    let service = ServiceBuilder::new()
        .layer(rejection)
        .layer(RateLimitLayer::new(limiter))
        .service(service_fn(async |_: Request<()>| {
            Ok::<_, io::Error>(Response::new(Full::from("served")))
        }));
    let ask = async |tenant: &str| {
        let mut request = Request::new(());
        request.extensions_mut().insert(Arc::<str>::from(tenant));
        let Ok(response) = service.clone().oneshot(request).await;
        response
    };
    let first = ask("a").await;
    assert_eq!(first.status(), 200);
    assert_eq!(
        first.headers()["ratelimit-policy"],
        r#""tenant-requests-60s";q=2;w=60, "tenant-tokens-86400s";q=1000;w=86400;qu="tokens""#
    );
    assert_eq!(
        first.headers()["ratelimit"],
        r#""tenant-requests-60s";r=1;t=60, "tenant-tokens-86400s";r=1000"#
    );
    ask("a").await;
    let refused = ask("a").await;
    assert_eq!(
        refused.headers()["ratelimit"],
        r#""tenant-requests-60s";r=0;t=60, "tenant-tokens-86400s";r=1000"#
    );
    let (status, after, problem) = told(refused).await;
    assert_eq!((status, after.as_deref()), (429, Some("60")));
    assert_eq!(problem["violated-policies"], json!(["tenant-requests-60s"]));
    assert_eq!(
        problem["detail"],
        "The rate limit of 2 requests per minute is used up. Please try again in 60 seconds."
    );
    assert_eq!(ask("b").await.status(), 200, "a tenant has his own");
}

/// One tenant's 429 held back all that came from the same address for as long as it said.
#[tokio::test(start_paused = true)]
async fn what_a_server_answers_one_caller_holds_back_no_other() {
    let limiter = |requests| {
        let quota = Quota::new().limit(Limit::requests(requests).per_minute());
        let limiter = RateLimiter::new(quota).unwrap();
        limiter.max_wait(Duration::ZERO).heed_answers(false)
    };
    let tenants = limiter(1).scope(Scope::by(|head| match head.extensions.get::<Arc<str>>() {
        Some(tenant) => tenant.clone(),
        None => "".into(),
    }));
    let served = service_fn(async |_: Request<()>| {
        // A provider's answer, passed on.
        let answer = Response::builder().header("x-ratelimit-remaining-requests", "0");
        let answer = answer.header("x-ratelimit-reset-requests", "1h");
        Ok::<_, io::Error>(answer.body(Full::<Bytes>::from("served")).unwrap())
    });
    let service = ServiceBuilder::new()
        .layer(RejectionLayer::new())
        .layer(RateLimitLayer::new(limiter(100)))
        .layer(
            RejectionLayer::new()
                .advertise("tenant", tenants.clone())
                .unwrap(),
        )
        .layer(RateLimitLayer::new(tenants))
        .service(served);
    let mut statuses = Vec::new();
    for tenant in ["a", "a", "b", "b", "c"] {
        let mut request = Request::new(());
        request.extensions_mut().insert(Arc::<str>::from(tenant));
        let Ok(response) = service.clone().oneshot(request).await;
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200, 429, 200]);
}

#[tokio::test]
async fn a_layer_outside_knows_a_refusal_from_an_upstreams() {
    let response = response(&refusal(RefusalReason::QueueFull, None));
    let outcome: &Outcome = response.extensions().get().unwrap();
    assert_eq!(outcome.failure().unwrap().kind, FailureKind::Refused);
}

/// What the layer makes of an answer with this status and outcome.
fn passed_on(
    layer: RejectionLayer,
    status: u16,
    outcome: Option<Outcome>,
) -> Response<ResponseBody<Full<Bytes>>> {
    let inner = service_fn(move |_: Request<()>| {
        let mut response = Response::new(Full::from("its own words"));
        *response.status_mut() = status.try_into().unwrap();
        let extensions = response.extensions_mut();
        outcome.clone().map(|it| extensions.insert(it));
        extensions.insert("the client's");
        extensions.insert(ServedBy(Provider::groq().model("m")));
        async { Ok::<_, Error>(response) }
    });
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let Some(Ok(response)) = service.oneshot(Request::new(())).now_or_never() else {
        panic!("it answers at once");
    };
    response
}

#[tokio::test]
async fn a_hidden_failure_has_a_status_of_ours_and_no_word_of_the_upstreams() {
    use FailureKind::*;
    for (kind, answered, status, title) in [
        (Auth, 401, 502, "Bad Gateway"),
        (QuotaExhausted, 402, 502, "Bad Gateway"),
        (ServerError, 500, 502, "Bad Gateway"),
        (Overloaded, 529, 503, "Temporarily reduced capacity"),
        (Timeout, 408, 504, "Gateway Timeout"),
        (RateLimited, 429, 429, "Quota exceeded"),
        (NotFound, 404, 404, "Not Found"),
        (RequestTooLarge, 400, 413, "Payload Too Large"),
    ] {
        let failure = Failure::new(kind)
            .with_message("of org-1234")
            .with_retry_after(Duration::from_millis(1_500));
        let layer = RejectionLayer::new().hide_failures();
        let response = passed_on(layer, answered, Some(failure.clone().into()));
        assert_eq!(
            response.extensions().get(),
            Some(&Outcome::Failure(failure))
        );
        let extensions = response.extensions();
        assert!(extensions.get::<ServedBy>().is_some() && extensions.get::<&str>().is_none());
        let (told, after, problem) = told(response).await;
        assert_eq!((told, after.as_deref()), (status, Some("2")), "{kind}");
        assert_eq!(problem["title"], title, "{kind}");
        assert!(!problem.to_string().contains("org-1234"), "{problem}");
    }
}

#[tokio::test]
async fn words_about_the_request_itself_go_on_though_failures_are_hidden() {
    for (answered, status) in [(422, 422), (200, 400)] {
        let failure = Failure::new(FailureKind::InvalidRequest).with_message("no such field");
        let layer = RejectionLayer::new().hide_failures();
        let told = told(passed_on(layer, answered, Some(failure.into()))).await;
        assert_eq!(
            (told.0, &told.2["detail"]),
            (status, &"no such field".into())
        );
    }
}

/// `param` was dropped, and with it which field a client has to mend.
#[tokio::test]
async fn the_field_at_fault_is_named_though_failures_are_hidden() {
    for (kind, status, param, told_as) in [
        (
            "invalid_request_error",
            400,
            "messages[0].content",
            Some("messages[0].content"),
        ),
        ("invalid_request_error", 400, "sk-proj-abc", None),
        ("invalid_request_error", 400, "the field of org 7", None),
        ("authentication_error", 401, "model", None),
        ("server_error", 500, "model", None),
    ] {
        let error = json!({"message": "Wrong.", "type": kind, "param": param, "code": null});
        let body = json!({ "error": error }).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        let headers = http::HeaderMap::new();
        let now = std::time::SystemTime::UNIX_EPOCH;
        let answer = crate::signal::Answer::new(status, &headers, body.as_bytes(), now);
        let outcome = crate::signal::outcome_of(&answer, None);
        let layer = RejectionLayer::new().openai().hide_failures();
        let (_, _, body) = told(passed_on(layer, status.as_u16(), Some(outcome))).await;
        assert_eq!(body["error"]["param"].as_str(), told_as, "{body}");
    }
}

#[tokio::test]
async fn what_is_no_failure_passes_though_failures_are_hidden() {
    for (status, outcome) in [(200, Some(Outcome::Success)), (404, None)] {
        let layer = RejectionLayer::new().hide_failures();
        let response = passed_on(layer, status, outcome);
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "its own words");
    }
    let failure = Failure::new(FailureKind::Auth);
    let response = passed_on(RejectionLayer::new(), 401, Some(failure.into()));
    assert_eq!(response.status(), 401, "unless they are hidden, all pass");
}

/// By <https://platform.openai.com/docs/guides/error-codes>: clients choose by status, and show the rest.
#[tokio::test]
async fn a_rejection_can_have_the_form_that_openais_clients_read() {
    use FailureKind::*;
    for (kind, answered, told_as, code) in [
        (RateLimited, 429, "rate_limit_error", "rate_limit_exceeded"),
        (Auth, 401, "server_error", "upstream_error"),
        (Overloaded, 503, "server_error", "unavailable"),
        (Timeout, 500, "server_error", "timeout"),
        (
            InvalidRequest,
            400,
            "invalid_request_error",
            "invalid_request",
        ),
        (
            RequestTooLarge,
            400,
            "invalid_request_error",
            "request_too_large",
        ),
        (NotFound, 404, "invalid_request_error", "not_found"),
    ] {
        let layer = RejectionLayer::new().openai().hide_failures();
        let response = passed_on(layer, answered, Some(Failure::new(kind).into()));
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let (_, _, body) = told(response).await;
        let error = &body["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&told_as.into(), &code.into())
        );
        assert!(
            error["message"].is_string() && error["param"].is_null(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_error_of_ones_own_has_the_form_that_openais_clients_read() {
    let unauthorized = OpenAiError::new(StatusCode::UNAUTHORIZED, "Who is it?").response();
    assert_eq!(unauthorized.headers()["www-authenticate"], "Bearer");
    let (status, _, body) = told(unauthorized).await;
    let error = json!({ "message": "Who is it?", "type": "authentication_error", "param": null, "code": "invalid_api_key" });
    assert_eq!((status, body), (401, json!({ "error": error })));
    let error = OpenAiError::new(StatusCode::NOT_FOUND, "No such model.");
    let (status, _, body) = told(error.code("model_not_found").param("model").response()).await;
    let error = json!({ "message": "No such model.", "type": "invalid_request_error", "param": "model", "code": "model_not_found" });
    assert_eq!((status, body), (404, json!({ "error": error })));
}

/// It was told that the service is rate limited, also where the limit was the tenant's own.
#[tokio::test(start_paused = true)]
async fn a_tenant_is_told_which_limit_of_his_is_used_up_in_openais_form_too() {
    let quota = Quota::new().limit(Limit::tokens(9_000).per_day());
    let limiter = RateLimiter::new(quota).unwrap();
    let whole = limiter.max_wait(Duration::ZERO).heed_answers(false);
    for (limiter, words) in [
        (
            whole.clone().scope(Scope::by(|_| "tenant-7".into())),
            "The rate limit of 9000 tokens per day is used up. Please try again in 24 hours.",
        ),
        (
            whole,
            "The service is rate limited. Please try again in 24 hours.",
        ),
    ] {
        let service = ServiceBuilder::new()
            .layer(RejectionLayer::new().openai())
            .layer(RateLimitLayer::new(limiter))
            .service(service_fn(async |_: Request<()>| {
                Ok::<_, io::Error>(Response::new(Full::<Bytes>::from("served")))
            }));
        let ask = async || {
            let mut request = Request::new(());
            request
                .extensions_mut()
                .insert(crate::Cost::tokens(9_000, 0));
            let Ok(response) = service.clone().oneshot(request).await;
            response
        };
        assert_eq!(ask().await.status(), 200);
        let (status, after, body) = told(ask().await).await;
        assert_eq!((status, after.as_deref()), (429, Some("86400")));
        assert_eq!(body["error"]["message"], words);
        assert!(!body.to_string().contains("tenant-7"));
    }
}

#[tokio::test]
async fn a_refusal_can_have_another_form() {
    let rejection = RejectionLayer::new().rewrite(|error, rejection| {
        assert_eq!(rejection.status(), 429);
        rejection.map(|_| error.user_message().into())
    });
    let inner = service_fn(async |_: Request<()>| {
        Err::<Response<Full<Bytes>>, _>(refusal(RefusalReason::QueueFull, None))
    });
    let service = ServiceBuilder::new().layer(rejection).service(inner);
    let Ok(response) = service.oneshot(Request::new(())).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "The service is rate limited. Please try again later.");
}

#[test]
fn a_service_that_is_dead_is_told_by_an_answer() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<Full<Bytes>>, _>(
            RejectionLayer::new(),
        );
    handle.send_error(io::Error::other("the worker is gone"));
    assert!(service.poll_ready().is_ready());
    let Ok(response) = service.call(Request::new(())).now_or_never().unwrap();
    assert_eq!(response.status(), 502);
}

#[test]
fn a_name_that_cannot_stand_in_a_field_is_no_name() {
    for name in ["a\"b", "line\nbreak", "ü"] {
        let error = RejectionLayer::new()
            .advertise(name, RateLimiter::default())
            .unwrap_err();
        assert_eq!(error.setting(), "advertise");
    }
}

/// Limits of our own that were used up everywhere were answered with 503, as open circuits are.
#[tokio::test(start_paused = true)]
async fn own_limits_that_are_used_up_everywhere_are_429_and_open_circuits_503() {
    for consults in [true, false] {
        for (limited, status, after) in [(true, 429, "60"), (false, 503, "30")] {
            let quota =
                Quota::new().limit(Limit::requests(if limited { 1 } else { 9 }).per_minute());
            let limiter = RateLimiter::new(quota).unwrap().max_wait(Duration::ZERO);
            let breaker = CircuitBreaker::new(
                CircuitBreakerPolicy::default().open_for(Duration::from_secs(30)),
            );
            let breaker = breaker.unwrap();
            let provider = Provider::new("a", "http://example.com").unwrap();
            let chain = Chain::new([provider.model("1"), provider.model("2")]);
            let chain = match consults {
                true => chain.consult(limiter.clone()).consult(breaker.clone()),
                false => chain,
            };
            let service = ServiceBuilder::new()
                .layer(RejectionLayer::new())
                .layer(FallbackLayer::new(chain).unwrap())
                .layer(CircuitBreakerLayer::new(breaker.clone()))
                .layer(RateLimitLayer::new(limiter.clone()))
                .service(service_fn(async |_: Request<String>| {
                    Ok::<_, io::Error>(Response::new(Full::<Bytes>::from("served")))
                }));
            for _ in 0..2 {
                let Ok(served) = service.clone().oneshot(Request::new(String::new())).await;
                assert_eq!(served.status(), 200);
            }
            if !limited {
                breaker.force_open("a/1");
                breaker.force_open("a/2");
            }
            let Ok(refused) = service.clone().oneshot(Request::new(String::new())).await;
            let (told, told_after, _) = told(refused).await;
            assert_eq!(
                (told, told_after.as_deref()),
                (status, Some(after)),
                "{consults}"
            );
            // One circuit among them, and limits are not all that is the reason.
            if limited {
                breaker.force_open("a/2");
                let Ok(refused) = service.oneshot(Request::new(String::new())).await;
                assert_eq!(refused.status(), if consults { 429 } else { 503 });
            }
        }
    }
}
