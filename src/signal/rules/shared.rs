//! What all providers, and the servers in front of them, say alike.

use std::sync::LazyLock;

use super::{FailureRule, codes, messages};
use crate::outcome::FailureKind::{
    Auth, ContentFiltered, InvalidRequest, NotFound, Overloaded, QuotaExhausted, RateLimited,
    RequestTooLarge, ServerError, Timeout,
};

/// The rules that hold whoever speaks, in the order they are asked.
pub(crate) fn shared() -> &'static [FailureRule] {
    &SHARED
}

/// Strong words come before weak ones: a code says more than a sentence, and a sentence about the request's size, the
/// account or the key more than "rate limit", which the same sentence may well mention.
static SHARED: LazyLock<Vec<FailureRule>> = LazyLock::new(|| {
    [
        codes(
            RequestTooLarge,
            &[
                "context_length_exceeded",
                "context_window_exceeded",
                "exceed_context_size_error",
                "model_max_prompt_tokens_exceeded",
                "max_tokens_exceeded",
                "prompt_too_long",
                "request_too_large",
                "payload_too_large",
                "string_above_max_length",
                "tokens_limit_reached",
                "too_many_prompt_tokens",
                "input_too_long",
            ],
        ),
        messages(
            RequestTooLarge,
            NOT_A_SERVER_ERROR,
            &[
                "request too large for",
                "request entity too large",
                "payload too large",
                "body too large",
            ],
        ),
        codes(
            QuotaExhausted,
            &[
                "insufficient_quota",
                "insufficient_balance",
                "insufficient_credits",
                "insufficient_funds",
                "billing_not_active",
                "billing_error",
                "billing_hard_limit_reached",
                "billing_limit_reached",
                "credit_balance_exhausted",
                "credits_exhausted",
                "exceeded_current_quota_error",
                "payment_required",
                "quota_exceeded",
                "quota_exhausted",
                "spend_limit_exceeded",
                "spending_limit_reached",
                "usage_limit_exceeded",
            ],
        ),
        codes(
            Auth,
            &[
                "access_terminated",
                "account_deactivated",
                "account_disabled",
                "authentication_error",
                "authenticationerror",
                "api_key_invalid",
                "invalid_api_key",
                "invalid_authentication_error",
                "invalidapikey",
                "permission_error",
                "tier_not_allowed",
                "unauthenticated",
                "unauthorized",
                "unsupported_country_region_territory",
            ],
        ),
        codes(
            NotFound,
            &[
                "deploymentnotfound",
                "invalid_model",
                "model_decommissioned",
                "model_deprecated",
                "model_not_available",
                "model_not_found",
                "model_not_supported",
                "modelnotfound",
                "not_found_error",
                "notfounderror",
                "unknown_model",
                "resource_not_found_error",
            ],
        ),
        codes(
            ContentFiltered,
            &[
                "content_filter",
                "content_policy_violation",
                "content_policy_violation_error",
                "moderation_blocked",
                "responsibleaipolicyviolation",
                "image_content_policy_violation",
                "prohibited_content",
            ],
        ),
        codes(
            Overloaded,
            &[
                "overloaded",
                "overloaded_error",
                "engine_overloaded",
                "engine_overloaded_error",
                "model_overloaded",
                "no_capacity",
                "queue_exceeded",
                "server_is_overloaded",
                "server_overloaded",
                "service_unavailable",
                "service_unavailable_error",
                "slow_down",
                "capacity_exceeded",
                "1305_overloaded",
            ],
        ),
        messages(
            QuotaExhausted,
            200..=499,
            &[
                "check your plan and billing",
                "check your billing",
                "check your account balance",
                "insufficient balance",
                "insufficient credit",
                "insufficient funds",
                "insufficient account balance",
                "not enough credit",
                "out of credits",
                "requires more credits",
                "no prepaid credits",
                "credit balance is too low",
                "available credits",
                "purchase more credits",
                "purchase credits",
                "included credits",
                "no credits",
                "credits remaining, while",
                "credit limit",
                "payment required",
                "spending limit",
                "spend limit",
                "budget has been exceeded",
                "budget exceeded",
                "exceeded your budget",
                "usage limits",
                "extra usage is required",
                "free allocation",
                "quota has been exhausted",
                "exhausted your quota",
                "exceeded your quota",
                "exceeded your monthly",
                "exceeds your quota",
                "ran out of",
            ],
        ),
        vec![
            FailureRule::new(RequestTooLarge)
                .statuses(NOT_RATE_LIMITED)
                .message("too many tokens"),
            FailureRule::new(RequestTooLarge)
                .statuses(NOT_A_SERVER_ERROR)
                .message("token count")
                .message("exceeds the maximum"),
            FailureRule::new(RequestTooLarge)
                .statuses(NOT_A_SERVER_ERROR)
                .message("input tokens")
                .message("exceeds maximum"),
        ],
        messages(
            RequestTooLarge,
            0..=599,
            &[
                "context length",
                "context window",
                "context limit",
                "context size",
                "maximum prompt length",
                "maximum model length",
                "model token limit",
                "prompt is too long",
                "prompt too long",
                "input is too long",
                "input too long",
                "messages is too long",
                "too long for requested model",
                "input tokens exceeded",
                "tokens in request more than max tokens allowed",
                "max_new_tokens` must be <=",
                "range of input length should be",
                "exceeds the maximum allowed input",
                "reduce the length of",
                "larger than the maximum",
            ],
        ),
        messages(
            Auth,
            400..=499,
            &[
                "invalid api key",
                "incorrect api key",
                "api key not valid",
                "api key provided",
                "api key is invalid",
                "api key expired",
                "invalid x-api-key",
                "invalid token",
                "access was terminated",
                "account has been disabled",
                "organization has been disabled",
                "account is suspended",
                "has been suspended",
                "does not have permission",
                "insufficient permission",
                "not authorized",
                "unauthorized",
                "security token",
                "country, region, or territory",
                "user location is not supported",
                "don't have access to the model",
                "you don't have access to",
            ],
        ),
        vec![
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("does not exist"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("not found"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("decommissioned"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("deprecated"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("was removed"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("end of its life"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("model")
                .message("no longer available"),
            FailureRule::new(NotFound)
                .statuses(400..=499)
                .message("is not a valid model"),
        ],
        messages(
            NotFound,
            400..=499,
            &[
                "invalid model",
                "unknown model",
                "unsupported model",
                "model identifier is invalid",
                "model is not supported",
                "no such model",
                "no endpoints found",
                "deployment for this resource does not exist",
            ],
        ),
        messages(
            ContentFiltered,
            200..=499,
            &[
                "content filter",
                "content management policy",
                "content policy",
                "content moderation",
                "safety system",
                "requires moderation",
                "input was flagged",
                "prompt was flagged",
                "blocked by our",
            ],
        ),
        messages(
            Overloaded,
            200..=599,
            &[
                "overloaded",
                "at capacity",
                "no capacity",
                "insufficient capacity",
                "over capacity",
                "high traffic",
                "high demand",
                "heavy load",
                "server busy",
                "server is busy",
                "currently loading",
                "is loading",
                "still being loaded",
                "model is warming up",
                "cold start",
                "no healthy upstream",
                "no available server",
                "maximum pending requests",
                "queue is full",
                "not ready",
            ],
        ),
        codes(
            RateLimited,
            &[
                "rate_limit",
                "rate_limited",
                "rate_limit_error",
                "rate_limit_exceeded",
                "rate_limit_reached_error",
                "ratelimitreached",
                "ratelimiterror",
                "ratelimitexceeded",
                "requests_exceeded",
                "requestlimitexceeded",
                "slowdown",
                "too_many_requests",
                "too_many_requests_error",
                "toomanyrequestsexception",
                "toomanyrequests",
                "usage_limit_reached",
            ],
        ),
        vec![
            FailureRule::new(RateLimited).code_part("throttl"),
            FailureRule::new(RateLimited)
                .statuses(200..=299)
                .message("rate limit"),
        ],
        messages(
            RateLimited,
            403..=403,
            &["rate limit", "too many requests", "abuse detection"],
        ),
        messages(
            RateLimited,
            400..=499,
            &[
                "rate limit exceeded",
                "rate limit reached",
                "rate exceeded",
                "too many requests",
                "throttled",
            ],
        ),
        codes(
            Timeout,
            &[
                "timeout",
                "timeout_error",
                "request_timeout",
                "deadline_exceeded",
                "gatewaytimeout",
            ],
        ),
        codes(
            ServerError,
            &[
                "api_error",
                "internal",
                "internal_error",
                "internal_server_error",
                "internalservererror",
                "internalserverexception",
                "server_error",
            ],
        ),
        vec![
            // A model that filled in a tool call badly: sampled again, it may do better.
            FailureRule::new(InvalidRequest)
                .code("tool_use_failed")
                .retry_same(true)
                .fall_back(true),
            FailureRule::new(InvalidRequest)
                .code("json_validate_failed")
                .retry_same(true)
                .fall_back(true),
            FailureRule::new(InvalidRequest)
                .code("output_parse_failed")
                .retry_same(true)
                .fall_back(true),
        ],
        another_model_may_take_it(&[
            "this model",
            "the model",
            "does not support",
            "is not supported",
            "unsupported parameter",
            "unsupported value",
            "max_tokens is too large",
        ]),
    ]
    .concat()
});

const NOT_A_SERVER_ERROR: std::ops::RangeInclusive<u16> = 200..=499;
const NOT_RATE_LIMITED: std::ops::RangeInclusive<u16> = 400..=428;

/// A request that is wrong for this model, and may be right for another one.
fn another_model_may_take_it(words: &[&str]) -> Vec<FailureRule> {
    messages(InvalidRequest, 400..=400, words)
        .into_iter()
        .chain(messages(InvalidRequest, 422..=422, words))
        .map(|rule| rule.fall_back(true))
        .collect()
}
