use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::outcome::Dimension;
use FailureKind::{
    Auth, ContentFiltered, InvalidRequest, NotFound, Overloaded, QuotaExhausted, RateLimited,
    RequestTooLarge, ServerError, Timeout,
};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn outcome(status: u16, pairs: &[(&'static str, &'static str)], body: &str) -> Outcome {
    let headers = headers(pairs);
    let status = StatusCode::from_u16(status).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    outcome_of(&Answer::new(status, &headers, body.as_bytes(), now), None)
}

fn failure(status: u16, body: &Value) -> Failure {
    let outcome = outcome(status, &[], &body.to_string());
    outcome.failure().cloned().unwrap()
}

fn message(text: &str) -> Value {
    json!({"error": {"message": text, "type": "invalid_request_error", "param": null, "code": null}})
}

#[test]
fn the_status_says_what_it_says() {
    for (status, kind, retry_same) in [
        (400, InvalidRequest, false),
        (401, Auth, false),
        (402, QuotaExhausted, false),
        (404, NotFound, false),
        (408, Timeout, true),
        // PITFALLS 38: two clients that collide must not take the upstream down for everybody.
        (409, InvalidRequest, true),
        (413, RequestTooLarge, false),
        (422, InvalidRequest, false),
        (423, InvalidRequest, true),
        (424, ServerError, true),
        (425, InvalidRequest, true),
        (429, RateLimited, true),
        (500, ServerError, true),
        // Of what an upstream does not know how to do, five in a row opened its circuit.
        (501, NotFound, false),
        (503, Overloaded, true),
        (504, Timeout, true),
        (524, Timeout, true),
        (529, Overloaded, true),
    ] {
        let now = SystemTime::UNIX_EPOCH;
        let status = StatusCode::from_u16(status).unwrap();
        let headers = HeaderMap::new();
        let of_head = outcome_of_head(status, &headers, now);
        let failure = of_head.failure().unwrap();
        assert_eq!(
            (failure.kind, failure.retry_same),
            (kind, retry_same),
            "{status}"
        );
        let answer = Answer::new(status, &headers, b"", now);
        assert_eq!(outcome_of(&answer, None), of_head, "{status}");
    }
    for hint in [("retry-after", "60"), ("x-ratelimit-remaining", "0")] {
        let outcome = outcome(403, &[hint], "");
        assert_eq!(outcome.failure().unwrap().kind, RateLimited, "{hint:?}");
    }
    for status in [100, 200, 204, 304] {
        assert!(outcome(status, &[], "").is_success(), "{status}");
    }
}

#[test]
fn a_limit_is_read_out_of_its_sentence() {
    let failure = failure(
        429,
        &json!({"error": {
            "message": "Rate limit reached for model `llama-9-8b` in organization `org_1` service tier `on_demand` on tokens per \
                day (TPD): Limit 5000, Used 4990, Requested 30. Please try again in 5m45.6s. Need more? Upgrade today",
            "type": "tokens", "code": "rate_limit_exceeded",
        }}),
    );
    assert_eq!(failure.kind, RateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_millis(345_600)));
    let limit = failure.limit.unwrap();
    assert_eq!(
        (limit.dimension, limit.window),
        (Some(Dimension::Tokens), Some(Window::Day))
    );
    assert_eq!(
        (limit.limit, limit.used, limit.requested),
        (Some(5000.0), Some(4990.0), Some(30.0))
    );
    assert_eq!(limit.model.as_deref(), Some("llama-9-8b"));
}

/// litellm#18730, PITFALLS 3: what never fits must not be waited for, whatever the words.
#[test]
fn a_request_larger_than_the_whole_limit_is_too_large() {
    let text = "Rate limit reached on tokens per min (TPM): Limit 100, Used 0, Requested 130. Please try again in 20s.";
    let failure = failure(429, &message(text));
    assert_eq!((failure.kind, failure.retry_same), (RequestTooLarge, false));
}

/// openai-python#1671.
#[test]
fn a_429_without_money_is_not_repeated() {
    for body in [
        json!({"error": {"message": "You exceeded your current quota, please check your plan and billing details.",
            "type": "insufficient_quota", "code": "insufficient_quota"}}),
        message("Your account is not active, please check your billing details on our website."),
        json!({"error": "Your team has used all available credits."}),
    ] {
        for status in [400, 401, 403, 429] {
            let failure = failure(status, &body);
            assert_eq!(
                (failure.kind, failure.retry_same),
                (QuotaExhausted, false),
                "{status} {body}"
            );
            assert!(failure.fall_back && failure.account_wide);
        }
    }
}

fn google(quota_id: &str, value: &str, delay: &str) -> Value {
    json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
            {"quotaId": quota_id, "quotaValue": value, "quotaDimensions": {"model": "gemini-9"}}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]}})
}

/// python-genai#2044.
#[test]
fn a_google_quota_per_day_outweighs_its_retry_delay() {
    let of_minute = failure(
        429,
        &google("GenerateRequestsPerMinutePerProjectPerModel", "7", "34.4s"),
    );
    assert_eq!(of_minute.kind, RateLimited);
    assert_eq!(of_minute.retry_after, Some(Duration::from_millis(34_400)));
    assert_eq!(of_minute.limit.unwrap().limit, Some(7.0));
    let of_day = failure(
        429,
        &google("GenerateRequestsPerDayPerProjectPerModel", "70", "34.4s"),
    );
    assert_eq!(
        (of_day.kind, of_day.retry_same, of_day.account_wide),
        (QuotaExhausted, false, false)
    );
    let none = failure(
        429,
        &google("GenerateRequestsPerMinutePerProjectPerModel", "0", "34.4s"),
    );
    assert_eq!(none.kind, QuotaExhausted);
}

#[test]
fn an_upstreams_body_inside_a_gateways_is_read() {
    let inner = google("GenerateRequestsPerDayPerProjectPerModel", "70", "1s").to_string();
    for outer in [
        json!({"error": {"message": inner, "code": 429}}),
        json!({"error": {"message": "Provider returned error", "metadata": {"raw": inner, "provider_name": "Google"}}}),
        json!([{"error": {"message": format!("upstream: {inner}")}}]),
    ] {
        assert_eq!(failure(429, &outer).kind, QuotaExhausted, "{outer}");
    }
}

#[test]
fn words_outweigh_the_status() {
    for (status, text, kind) in [
        (400, "Incorrect API key provided: sk-1.", Auth),
        (
            400,
            "Our servers are currently overloaded. Please try again later.",
            Overloaded,
        ),
        (400, "The model `none-1` does not exist", NotFound),
        (
            400,
            "Your credit balance is too low to access the API.",
            QuotaExhausted,
        ),
        (
            400,
            "This model's maximum context length is 10 tokens. However, you requested 12 tokens",
            RequestTooLarge,
        ),
        (
            400,
            "The response was filtered by our content management policy",
            ContentFiltered,
        ),
        (
            403,
            "You have exceeded a secondary rate limit.",
            RateLimited,
        ),
        (
            429,
            "We're experiencing high traffic right now!",
            Overloaded,
        ),
        (503, "quota service unavailable, quota exceeded", Overloaded),
        (401, "insufficient permissions for this key", Auth),
        (400, "'temperature' must be a number", InvalidRequest),
    ] {
        assert_eq!(failure(status, &message(text)).kind, kind, "{text}");
    }
}

#[test]
fn only_what_every_provider_would_refuse_does_not_fall_back() {
    assert!(!failure(400, &message("'messages' is a required property")).fall_back);
    let for_this_model =
        "max_tokens is too large: 100. This model supports at most 50 completion tokens";
    assert!(failure(400, &message(for_this_model)).fall_back);
}

#[test]
fn an_error_in_a_successful_stream_is_a_failure() {
    for body in [
        "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        ": comment\n\nevent: error\ndata: {\"code\":\"server_is_overloaded\",\"message\":\"x\"}\n\n",
        "event: response.created\ndata: {\"response\":{\"error\":null,\"model\":\"m-1\"}}\n\n\
         event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"overloaded\",\"message\":\"x\"}}}\n\n",
        "{\"error\":{\"message\":\"server busy\"}}\n",
    ] {
        let outcome = outcome(200, &[("content-type", "text/event-stream")], body);
        assert_eq!(
            outcome.failure().map(|failure| failure.kind),
            Some(Overloaded),
            "{body}"
        );
    }
}

#[test]
fn an_answer_about_errors_is_a_success() {
    for body in [
        json!({"choices": [{"message": {"content": "{\"error\": {\"message\": \"rate limit\"}}"}, "finish_reason": "stop"}]}),
        json!({"error": null, "output": [{"content": [{"type": "error", "text": "insufficient_quota"}]}]}),
        json!({"type": "message", "content": [{"type": "tool_use", "input": {"error": "overloaded"}}]}),
        json!({"base_resp": {"status_code": 0, "status_msg": "success"}}),
    ] {
        assert!(outcome(200, &[], &body.to_string()).is_success(), "{body}");
    }
    let filtered = json!({"choices": [{"finish_reason": "content_filter"}]});
    let outcome = outcome(200, &[], &filtered.to_string());
    assert_eq!(outcome.failure().unwrap().kind, ContentFiltered);
}

#[test]
fn the_wait_is_the_longest_that_is_asked_for() {
    let text = message("Rate limited. Try again in 2 seconds.").to_string();
    let hint = |pairs: &[_], body| outcome(429, pairs, body).failure().unwrap().retry_after;
    let wait = |millis| Some(Duration::from_millis(millis));
    assert_eq!(hint(&[("retry-after-ms", "1250")], &text), wait(2_000));
    assert_eq!(hint(&[("retry-after", "9")], &text), wait(9_000));
    assert_eq!(
        hint(&[], r#"{"error": {"retry_info": {"retryAfter": "300"}}}"#),
        wait(300_000)
    );
    assert_eq!(hint(&[], r#"{"retry_after_ms": 1500}"#), wait(1_500));
    assert_eq!(
        hint(&[], r#"{"error": "x", "resets_at": 1790000060}"#),
        wait(60_000)
    );
    assert_eq!(
        hint(&[], r#"{"error": "x", "headers": {"Retry-After": "120"}}"#),
        wait(120_000)
    );
}

#[test]
fn reset_headers_of_the_empty_quota_stand_in_for_a_hint() {
    let quotas = [
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "3s"),
        ("x-ratelimit-remaining-tokens", "500"),
        ("x-ratelimit-reset-tokens", "1h"),
    ];
    let outcome = outcome(429, &quotas, "");
    let failure = outcome.failure().unwrap();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
    let limit = failure.limit.as_ref().unwrap();
    assert_eq!(
        (limit.dimension, limit.limit, limit.remaining),
        (Some(Dimension::Requests), Some(10.0), Some(0.0))
    );
}

/// A demanding user's test: without a provider layer nobody knew how long.
#[test]
fn the_reset_of_what_is_used_up_is_the_wait_by_the_head_alone_too() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let used_up = ("x-ratelimit-remaining", "0");
    let in_30_s = ("x-ratelimit-reset", "1790000030");
    let wait = |status: u16, pairs: &[_]| {
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), headers(pairs));
        let of_head = outcome_of_head(status, &headers, now);
        let answer = Answer::new(status, &headers, b"", now);
        let waits = [of_head, outcome_of(&answer, None)];
        let [wait, of_body] = waits.map(|outcome| outcome.failure().unwrap().retry_after);
        assert!(wait.is_none() || wait == of_body, "{status} {pairs:?}");
        wait.map(|wait| wait.as_millis())
    };
    // GitHub's, and its 403.
    assert_eq!(wait(429, &[used_up, in_30_s]), Some(30_000));
    assert_eq!(wait(403, &[used_up, in_30_s]), Some(30_000));
    // The IETF's, in an early draft and in a late one.
    let early = [("ratelimit-remaining", "0"), ("ratelimit-reset", "30")];
    assert_eq!(wait(429, &early), Some(30_000));
    let late = [("ratelimit", "\"a\";r=0;t=30, \"b\";r=4;t=900")];
    assert_eq!(wait(429, &late), Some(30_000));
    // OpenAI's, of which one quota has something left.
    let of_units = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "30s"),
        ("x-ratelimit-remaining-tokens", "500"),
        ("x-ratelimit-reset-tokens", "1h"),
    ];
    assert_eq!(wait(429, &of_units), Some(30_000));
    // Who names a wait means it; something is left; who is not over a limit has no wait for one.
    let named = ("retry-after", "7");
    assert_eq!(wait(429, &[used_up, in_30_s, named]), Some(7_000));
    assert_eq!(wait(429, &[("x-ratelimit-remaining", "3"), in_30_s]), None);
    assert_eq!(wait(503, &[used_up, in_30_s]), None);
}

#[test]
fn x_should_retry_has_the_last_word_where_asking_again_can_help() {
    let retry_same = |status, value, body: &str| {
        let outcome = outcome(status, &[("x-should-retry", value)], body);
        outcome.failure().unwrap().retry_same
    };
    assert!(!retry_same(529, "false", ""));
    assert!(retry_same(400, "true", ""));
    assert!(!retry_same(
        429,
        "true",
        r#"{"error": {"code": "insufficient_quota"}}"#
    ));
}

#[test]
fn pages_and_plain_text_are_read() {
    let page = "<html><head><title>Rate Limited</title><script>if (a<b) {\"x\"}</script></head><body>Please wait 5 seconds</body>";
    let of_page = outcome(429, &[], page);
    let failure = of_page.failure().unwrap();
    assert_eq!(
        failure.message.as_deref(),
        Some("Rate Limited Please wait 5 seconds")
    );
    assert_eq!(failure.retry_after, Some(Duration::from_secs(5)));
    assert_eq!(
        outcome(503, &[], "no healthy upstream")
            .failure()
            .unwrap()
            .kind,
        Overloaded
    );
}

/// A page is read up to 16 KiB, where a script may stand.
#[test]
fn a_page_cut_in_the_middle_of_a_script_says_what_stands_before_it() {
    let page = "<html><title>Bad Gateway</title><script>var limit = 5;";
    let outcome = outcome(502, &[], page);
    let message = outcome.failure().unwrap().message.clone();
    assert_eq!(message.as_deref(), Some("Bad Gateway"));
}

/// They were once taken as they came, and what compares with them went astray.
#[test]
fn a_quota_that_is_no_number_is_none() {
    for value in ["NaN", "inf", "1e999"] {
        let body = json!({"error": {"details": [{"quotaValue": value}]}});
        assert_eq!(failure(429, &body).limit, None, "{value}");
    }
}

#[test]
fn a_dialect_gives_numbers_their_meaning() {
    let body = json!({"error": {"code": "1113", "message": "账户异常"}}).to_string();
    let headers = HeaderMap::new();
    let answer = Answer::new(
        StatusCode::TOO_MANY_REQUESTS,
        &headers,
        body.as_bytes(),
        SystemTime::UNIX_EPOCH,
    );
    let of_zhipu = outcome_of(&answer, Some(Dialect::Zhipu));
    assert_eq!(of_zhipu.failure().unwrap().kind, QuotaExhausted);
    assert_eq!(
        outcome_of(&answer, None).failure().unwrap().kind,
        RateLimited
    );
}

#[test]
fn keys_do_not_get_into_the_message() {
    let failure = failure(
        401,
        &message("Incorrect API key provided: sk-proj-0123456789abcdef. Find it at x"),
    );
    let message = failure.message.unwrap();
    assert!(
        !message.contains("0123") && message.contains("***"),
        "{message}"
    );
}

#[test]
fn a_body_cut_anywhere_is_read_as_far_as_it_goes() {
    let body = google("GenerateRequestsPerDayPerProjectPerModel", "70", "34.4s").to_string();
    for length in 0..body.len() {
        let outcome = outcome(429, &[], &body[..length]);
        let kind = outcome.failure().unwrap().kind;
        assert!(
            matches!(kind, RateLimited | QuotaExhausted),
            "{length}: {kind}"
        );
    }
}

#[test]
fn deep_nesting_is_passed_over() {
    let deep = "{\"error\":[".repeat(20_000);
    assert_eq!(
        outcome(500, &[], &deep).failure().unwrap().kind,
        ServerError
    );
}

/// Whatever came: a short message without the key that stands in it, a wait and figures that can be reckoned with.
fn expect_credible(outcome: &Outcome) {
    let Some(failure) = outcome.failure() else {
        return;
    };
    assert!(
        failure
            .retry_after
            .is_none_or(|wait| wait <= hint::MAX_HINT)
    );
    let message = failure.message.as_deref().unwrap_or_default();
    assert!(
        message.len() <= 200 && !message.contains("sk-12345678"),
        "{message}"
    );
    let limit = failure.limit.as_deref().cloned().unwrap_or_default();
    for figure in [limit.limit, limit.used, limit.requested, limit.remaining] {
        assert!(figure.is_none_or(f64::is_finite), "{limit:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        status in 100u16..1000,
        body in prop::collection::vec(any::<u8>(), 0..300),
        start in prop::sample::select(vec!["", "{\"error\":", "data: ", "<html>", "event: error\ndata: ", "[{\"message\":\""]),
    ) {
        let body = [start.as_bytes(), &body].concat();
        let headers = HeaderMap::new();
        let answer = Answer::new(StatusCode::from_u16(status).unwrap(), &headers, &body, SystemTime::UNIX_EPOCH);
        expect_credible(&outcome_of(&answer, None));
    }

    #[test]
    fn any_sentence_is_read_without_panic(words in prop::collection::vec(prop::sample::select(vec![
        "limit", "Limit:", "requested", "1,000", "5", "per", "minute", "/", "model", "`", ":", "é", "+", ">", "tokens", "(", "try again in", "9s",
        "|1790000000", "https://a.b/c?d=sk-12345678", "reset at", "2026-01-01T00:00:00Z", "{\"", "\n", "exceeded for", "Bearer", "current", "0.5.", "并发", " sk-12345678 ",
    ]), 0..30)) {
        let headers = headers(&[("x-ratelimit-limit", "3")]);
        for separator in ["", " "] {
            let body = json!({"error": {"message": words.join(separator)}}).to_string();
            let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH);
            expect_credible(&outcome_of(&answer, None));
        }
    }

    #[test]
    fn figures_of_the_usual_sentence_are_read_back(limit in 1u32.., used in 1u32.., requested in 1u32.., millis in 1u64..100_000_000) {
        let wait = Duration::from_millis(millis);
        let text = format!("Rate limit reached for m-1 in organization o on requests per min (RPM): Limit {limit}, Used {used}, \
            Requested {requested}. Please try again in {}.{:03}s.", wait.as_secs(), wait.subsec_millis());
        let failure = failure(429, &message(&text));
        let hit = failure.limit.unwrap();
        prop_assert_eq!(failure.retry_after, Some(wait));
        prop_assert_eq!((hit.limit, hit.used, hit.requested), (Some(f64::from(limit)), Some(f64::from(used)), Some(f64::from(requested))));
        prop_assert_eq!(hit.model.as_deref(), Some("m-1"));
    }
}
