use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::{
    outcome::{
        Dimension::{Concurrency, Requests},
        Failure,
        FailureKind::{
            self, Auth, ContentFiltered, InvalidRequest, NotFound, Overloaded, QuotaExhausted,
            RateLimited, RequestTooLarge, ServerError, Timeout,
        },
        Window,
    },
    signal::{self, Answer, Dialect, FailureRule},
};

fn failure_at(status: u16, body: &Value, dialect: Option<Dialect>) -> Option<Failure> {
    let (headers, body) = (HeaderMap::new(), body.to_string());
    let status = StatusCode::from_u16(status).unwrap();
    let answer = Answer::new(status, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH);
    signal::outcome_of(&answer, dialect).failure().cloned()
}

fn expect_kinds<'a>(cases: impl IntoIterator<Item = (u16, &'a str, FailureKind)>) {
    for (status, text, kind) in cases {
        let body = json!({"error": {"message": text}});
        let failure = failure_at(status, &body, None).unwrap();
        assert_eq!(failure.kind, kind, "{status} {text}");
    }
}

#[test]
fn a_code_is_the_same_however_its_words_are_joined() {
    for (status, code, kind) in [
        (400, "ServerOverloaded", Overloaded),
        (400, "server-overloaded", Overloaded),
        (400, "SERVER OVERLOADED", Overloaded),
        (400, "ModelNotFound", NotFound),
        (400, "InsufficientQuota", QuotaExhausted),
        (400, "contextLengthExceeded", RequestTooLarge),
        // Google's reason for a limit per minute, whatever its quota is called.
        (429, "RateLimitExceeded", RateLimited),
        // Volcano Engine's, which tells when it ends.
        (429, "AccountQuotaExceeded", RateLimited),
    ] {
        let failure = failure_at(status, &json!({"error": {"code": code}}), None).unwrap();
        assert_eq!(failure.kind, kind, "{code}");
        let rule = [FailureRule::new(InvalidRequest).code(code)];
        let (headers, body) = (HeaderMap::new(), code.replace(' ', "_"));
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::new(status, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH);
        let outcome = signal::outcome_by_rules(&answer, None, &rule);
        assert_eq!(outcome.failure().unwrap().kind, InvalidRequest, "{code}");
    }
}

#[test]
fn an_empty_account_is_known_by_many_words() {
    expect_kinds([
        (
            403,
            "Sorry, the balance of this account is insufficient",
            QuotaExhausted,
        ),
        (400, "Your balance is negative.", QuotaExhausted),
        (403, "Locked. Exhausted balance.", QuotaExhausted),
        (403, "your account has an overdue balance", QuotaExhausted),
        (429, "The postpaid bill is overdue.", QuotaExhausted),
        (401, "Please top up to go on.", QuotaExhausted),
        (
            403,
            "Your balance has been used, please recharge",
            QuotaExhausted,
        ),
        (400, "You are out of extra usage. Add more", QuotaExhausted),
        (429, "Free allocated quota exceeded.", QuotaExhausted),
        (
            429,
            "has exhausted its free trial quota for the x-1 model",
            QuotaExhausted,
        ),
        (
            429,
            "has reached the set inference limit for the [x-1] model",
            QuotaExhausted,
        ),
        // OpenRouter: the key's own limit.
        (
            403,
            "Key limit exceeded (daily limit). Manage it",
            QuotaExhausted,
        ),
        (
            429,
            "you have reached your session usage limit, upgrade",
            QuotaExhausted,
        ),
        // one-api and new-api.
        (403, "用户额度不足", QuotaExhausted),
        (403, "token quota is not enough", QuotaExhausted),
        (400, "账户余额不足，请充值", QuotaExhausted),
        (500, "insufficient balance", QuotaExhausted),
        (429, "You have used all of your credits", QuotaExhausted),
        (403, "Usage limit exceeded for this key", QuotaExhausted),
        (403, "Your free trial has expired", QuotaExhausted),
        // What is advice at a limit is none here.
        (
            429,
            "Rate limited. Add credits for a higher limit",
            RateLimited,
        ),
        (401, "The key of this load balancer is unknown", Auth),
        (503, "quota service: quota exhausted", Overloaded),
    ]);
    for code in [
        "AccountOverdueError",
        "SetLimitExceeded",
        "PrepaidBillOverdue",
        "CommodityNotPurchased",
        "Arrearage",
        "ASR_PAYMENT_REQUIRED",
    ] {
        for dialect in [None, Some(Dialect::DashScope)] {
            let failure = failure_at(429, &json!({"code": code}), dialect).unwrap();
            assert_eq!(failure.kind, QuotaExhausted, "{code}");
        }
    }
}

/// LiteLLM's proxy, `litellm/proxy/auth/auth_checks.py`.
#[test]
fn a_gateways_budget_tells_what_was_spent_of_what() {
    let text = "ExceededTokenBudget: Current spend for token: 7.25; Max Budget for Token: 5.0";
    let body = json!({"error": {"message": text, "type": "auth_error", "code": "401"}});
    let failure = failure_at(401, &body, None).unwrap();
    assert_eq!(failure.kind, QuotaExhausted);
    let limit = failure.limit.unwrap();
    assert_eq!((limit.used, limit.limit), (Some(7.25), Some(5.0)));
}

#[test]
fn a_request_is_too_large_in_many_words() {
    expect_kinds([
        (
            400,
            "Invalid 'messages[0].content': string too long.",
            RequestTooLarge,
        ),
        (400, "Sequence too long: 90 > 80 (f6)", RequestTooLarge),
        (
            400,
            "Invalid 'input[0]': maximum input length is 80 tokens.",
            RequestTooLarge,
        ),
        (
            400,
            "Requested 90 tokens, max 80 tokens per request",
            RequestTooLarge,
        ),
        (
            400,
            "Member must have length less than or equal to 80",
            RequestTooLarge,
        ),
        (
            422,
            "Input sequence length 90 exceeds model limit 80",
            RequestTooLarge,
        ),
        (400, "expected maxLength: 80, actual: 90", RequestTooLarge),
        (
            400,
            "The total number of tokens (90) exceeds the limit (80).",
            RequestTooLarge,
        ),
        (
            400,
            "Your request exceeds the maximum token limit of 80",
            RequestTooLarge,
        ),
        (400, "Prompt exceeds max length", RequestTooLarge),
        (400, "Input too large: 90 characters", RequestTooLarge),
        (
            400,
            "It has 90 tokens which exceeds the limit of 80",
            RequestTooLarge,
        ),
        (
            400,
            "max_tokens: 90 exceeds the limit of 80",
            InvalidRequest,
        ),
        (
            400,
            "The maximum tokens you requested exceeds the model limit",
            InvalidRequest,
        ),
        // Azure API Management's llm-token-limit policy.
        (
            429,
            "Token limit is exceeded. Try again in 11 seconds.",
            RateLimited,
        ),
        (429, "token limit exceeded", RateLimited),
        (429, "Too many tokens per request window", RateLimited),
    ]);
}

#[test]
fn what_never_fits_is_too_large_however_much_was_used() {
    expect_kinds([
        (
            429,
            "Rate limit reached on tokens per minute (TPM): Limit 70, Used 61, Requested 78. Please try again in 1m0.3s.",
            RequestTooLarge,
        ),
        (
            429,
            "Rate limit reached on tokens per minute (TPM): Limit 70, Used 0, Requested ~129.",
            RequestTooLarge,
        ),
    ]);
}

#[test]
fn a_limit_that_speaks_of_demand_is_a_limit() {
    let text = "Rate limit exceeded: limit_rpm/a/b-9/x. High demand for a/b-9 on OpenRouter - limited to 7 requests per minute.";
    let failure = failure_at(429, &json!({"error": {"message": text}}), None).unwrap();
    assert_eq!(failure.kind, RateLimited);
    let limit = failure.limit.unwrap();
    assert_eq!(
        (limit.dimension, limit.window, limit.limit),
        (Some(Requests), Some(Window::Minute), Some(7.0))
    );
    assert_eq!(limit.model.as_deref(), Some("a/b-9"));
}

#[test]
fn an_upstream_is_busy_in_many_words() {
    expect_kinds([
        (429, "Capacity exceeded for this model.", Overloaded),
        (
            429,
            "x is temporarily unavailable (too many failures)",
            Overloaded,
        ),
        (
            429,
            "currently unable to process additional requests",
            Overloaded,
        ),
        (500, "The model is warming up", Overloaded),
        (429, "该模型当前访问量过大，请您稍后再试", Overloaded),
        (429, "当前分组上游负载已饱和，请稍后再试", Overloaded),
        (429, "All instances are busy.", Overloaded),
        (429, "Queue full", Overloaded),
        (500, "upstream request timeout", Timeout),
        (
            429,
            "Service tier capacity exceeded for this model.",
            RateLimited,
        ),
    ]);
    let failure = |status| {
        let body = json!({"message": "Unavailable.", "type": "internal_server_error"});
        failure_at(status, &body, None).unwrap().kind
    };
    assert_eq!(
        [503, 529, 500, 502].map(failure),
        [Overloaded, Overloaded, ServerError, ServerError]
    );
}

#[test]
fn content_is_refused_in_many_words() {
    expect_kinds([
        (
            400,
            "This content was flagged for possible risk.",
            ContentFiltered,
        ),
        (
            400,
            "the input text may contain sensitive information",
            ContentFiltered,
        ),
        (
            400,
            "It was blocked because it violates our usage policies.",
            ContentFiltered,
        ),
        (400, "输入包含敏感内容", ContentFiltered),
        (498, "blocked output: adjust your prompt", ContentFiltered),
        (400, "Content Exists Risk", ContentFiltered),
        (403, "Content violates usage guidelines.", ContentFiltered),
        (429, "see our usage policy", RateLimited),
        (401, "the header holds sensitive data", Auth),
    ]);
    let body = json!({"error": {"code": "OutputImageSensitiveContentDetected.Nudity"}});
    assert_eq!(failure_at(400, &body, None).unwrap().kind, ContentFiltered);
}

#[test]
fn a_plan_or_an_account_without_access_is_no_unknown_model() {
    expect_kinds([
        (
            400,
            "The beta is not yet available for this subscription.",
            Auth,
        ),
        (429, "Your plan does not yet include access to G-9", Auth),
        (
            404,
            "Your organization must be verified to use the model `o9`.",
            Auth,
        ),
        (404, "Use case details have not been submitted", Auth),
        (400, "The model 'x' is not available in your region", Auth),
        (400, "Model a/b is not available", NotFound),
        (403, "Model disabled.", NotFound),
        (404, "This model has been retired.", NotFound),
    ]);
}

/// MiniMax behind the formats of OpenAI and Anthropic.
#[test]
fn minimaxs_number_in_brackets_is_the_code() {
    for (status, code, text, kind) in [
        (500, 1000, "insufficient balance (1008)", QuotaExhausted),
        (500, 1000, "plan not support model, M-1 (2061)", Auth),
        (500, 1000, "unknown error, 520 (1000)", ServerError),
        (400, 2013, "invalid params, x (2013)", InvalidRequest),
        (
            400,
            2013,
            "invalid params, context window exceeds limit (2013)",
            RequestTooLarge,
        ),
    ] {
        let body = json!({"code": code, "message": text});
        let failure = failure_at(status, &body, Some(Dialect::MiniMax)).unwrap();
        assert_eq!(failure.kind, kind, "{text}");
    }
}

#[test]
fn another_model_may_take_what_is_too_much_for_this_one() {
    for (text, fall_back) in [
        ("the valid range of max_tokens is [1, 80]", true),
        ("x does not work with the specified model, y-1", true),
        ("Model 'a/b' supports at most 1 image", true),
        (
            "max_completion_tokens must be less than or equal to 80",
            true,
        ),
        ("max_tokens must be an integer", false),
        ("'messages' must not be empty", false),
    ] {
        let failure = failure_at(400, &json!({"error": {"message": text}}), None).unwrap();
        assert_eq!(
            (failure.kind, failure.fall_back),
            (InvalidRequest, fall_back),
            "{text}"
        );
    }
}

/// <https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh>,
/// <https://cloud.tencent.com/document/api/1729/101843>.
#[test]
fn errors_of_status_200_are_found_without_an_error_object() {
    for (body, kind) in [
        (
            json!({"error_code": 18, "error_msg": "Open api qps request limit reached"}),
            RateLimited,
        ),
        (
            json!({"error_code": 336_501, "error_msg": "Rpm rate limit reached", "id": "x"}),
            RateLimited,
        ),
        (
            json!({"error_code": 17, "error_msg": "Open api daily request limit reached"}),
            QuotaExhausted,
        ),
        (
            json!({"error_code": 111, "error_msg": "Access token expired"}),
            Auth,
        ),
        (
            json!({"Response": {"Error": {"Code": "RequestLimitExceeded", "Message": "x"}}}),
            RateLimited,
        ),
        (
            json!({"Response": {"Error": {"Code": "x", "Message": "并发数过高"}}}),
            RateLimited,
        ),
    ] {
        assert_eq!(
            failure_at(200, &body, None).map(|failure| failure.kind),
            Some(kind),
            "{body}"
        );
    }
    for body in [
        json!({"error_code": 0, "error_msg": "", "result": "x"}),
        json!({"error_code": null, "result": "x"}),
        json!({"result": {"error_code": 18, "error_msg": "limit reached"}}),
        json!({"choices": [{"message": {"content": "x"}, "error_code": 7}]}),
        json!({"Response": {"Choices": [{"Message": {"Content": "Error"}}], "RequestId": "x"}}),
    ] {
        assert_eq!(failure_at(200, &body, None), None, "{body}");
    }
}

#[test]
fn a_limit_of_concurrency_is_told_in_chinese() {
    let body = json!({"error": {"message": "您当前的并发数过高"}});
    let failure = failure_at(429, &body, None).unwrap();
    assert_eq!(failure.kind, RateLimited);
    assert_eq!(failure.limit.unwrap().dimension, Some(Concurrency));
}
