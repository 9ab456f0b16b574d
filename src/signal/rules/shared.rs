//! What all providers, and the servers in front of them, say alike.

use std::sync::LazyLock;

use super::{
    money::{money, money_behind_auth},
    rule::{FailureRule, codes, messages},
    sentences::{CLIENT, NOT_5XX, content_and_capacity, keys_and_models, limits},
    size::{size, size_at_last},
    table::Table,
};
use crate::outcome::FailureKind::{
    Auth, ContentFiltered, InvalidRequest, NotFound, Overloaded, QuotaExhausted, RateLimited,
    RequestTooLarge, ServerError, Timeout,
};

/// The rules that hold whoever speaks, in the order they are asked.
///
/// Strong words come before weak ones: a code says more than a sentence, and a sentence about the request's size, the
/// account or the key more than "rate limit", which the same sentence may well mention. Where a code is as general as
/// "invalid request", the sentences come first.
pub(crate) fn shared() -> &'static Table {
    &SHARED
}

static SHARED: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        no_access(),
        strong_codes(),
        money(),
        size(),
        keys_and_models(),
        limits(),
        content_and_capacity(),
        rates(),
        weak_codes(),
        money_behind_auth(),
        too_much_output(),
        size_at_last(),
        another_model_may_take_it(),
    ];
    Table::new(rules.concat())
});

/// OpenAI answers a project without access with the code for an unknown model, Bedrock with the status for one.
fn no_access() -> Vec<FailureRule> {
    let mut rules = messages(Auth, 403..=403, "does not have access to");
    rules.extend(messages(
        Auth,
        400..=404,
        "must be verified\nuse case details have not been",
    ));
    rules
}

fn strong_codes() -> Vec<FailureRule> {
    [
        codes(
            RequestTooLarge,
            "context_length_exceeded context_window_exceeded exceed_context_size_error max_tokens_exceeded
            model_max_prompt_tokens_exceeded payload_too_large prompt_too_long request_too_large input_too_long
            string_above_max_length tokens_limit_reached too_many_prompt_tokens max_tokens_per_request context_exceeded",
        ),
        messages(
            RequestTooLarge,
            NOT_5XX,
            "request too large for
            request entity too large
            payload too large
            body too large",
        ),
        codes(
            QuotaExhausted,
            "insufficient_quota insufficient_balance insufficient_credits insufficient_funds billing_not_active
            billing_error billing_hard_limit_reached billing_limit_reached budget_exceeded credit_balance_exhausted
            credits_exhausted exceeded_current_quota_error payment_required quota_exceeded quota_exhausted
            spend_limit_exceeded spend_limit_reached spending_limit_reached usage_limit_exceeded
            arrearage commodity_not_purchased set_limit_exceeded insufficient_user_quota",
        ),
        // Volcano Engine's AccountOverdueError, DashScope's PrepaidBillOverdue, Deepgram's ASR_PAYMENT_REQUIRED.
        vec![
            FailureRule::new(QuotaExhausted).code_part("overdue"),
            FailureRule::new(QuotaExhausted).code_part("payment_required"),
        ],
        codes(
            Auth,
            "access_terminated account_deactivated account_disabled organization_restricted authentication_error
            api_key_invalid invalid_api_key invalid_authentication_error
            permission_error tier_not_allowed unauthenticated unauthorized unsupported_country_region_territory",
        ),
        codes(
            NotFound,
            "deployment_not_found invalid_model model_decommissioned model_deprecated model_not_available
            model_not_found model_not_supported not_found_error unknown_model resource_not_found_error",
        ),
        codes(
            ContentFiltered,
            "content_filter content_policy_violation content_policy_violation_error moderation_blocked
            responsible_ai_policy_violation image_content_policy_violation prohibited_content content_moderation",
        ),
        // Volcano Engine's InputTextSensitiveContentDetected and its kin.
        vec![FailureRule::new(ContentFiltered).code_part("sensitive_content")],
        codes(
            Overloaded,
            "overloaded overloaded_error engine_overloaded engine_overloaded_error engine_max_pending_tokens
            model_overloaded no_capacity queue_exceeded server_is_overloaded server_overloaded service_unavailable
            service_unavailable_error slow_down capacity_exceeded consumption_limit_reached resource_unavailable
            system_busy circuit_breaker",
        ),
    ]
    .concat()
}

fn rates() -> Vec<FailureRule> {
    let mut rules = codes(
        RateLimited,
        "rate_limit rate_limited rate_limit_error rate_limit_exceeded rate_limit_reached rate_limit_reached_error
        request_limit_exceeded too_many_requests too_many_requests_error too_many_requests_exception
        usage_limit_reached",
    );
    rules.push(FailureRule::new(RateLimited).code_part("throttl"));
    rules.extend(messages(
        RateLimited,
        200..=299,
        "rate limit
        request limit reached
        频率
        并发数过高",
    ));
    rules.extend(messages(
        RateLimited,
        403..=403,
        "rate limit\nabuse detection",
    ));
    rules.extend(messages(
        RateLimited,
        CLIENT,
        "rate limit exceeded
        rate limit reached
        rate exceeded
        too many requests
        throttled",
    ));
    rules
}

fn weak_codes() -> Vec<FailureRule> {
    // A model that filled in a tool call or a schema badly: sampled again, it may do better.
    let sampled = |code| {
        FailureRule::new(InvalidRequest)
            .code(code)
            .retry_same(true)
            .fall_back(true)
    };
    let mut rules = vec![
        sampled("tool_use_failed"),
        sampled("json_validate_failed"),
        sampled("output_parse_failed"),
    ];
    rules.extend(codes(
        Timeout,
        "timeout timeout_error request_timeout deadline_exceeded gatewaytimeout",
    ));
    rules.extend(messages(
        Timeout,
        500..=599,
        "timed out
        request timeout
        deadline exceeded",
    ));
    // These say it better than the codes of a server error that some send along.
    rules.extend([503, 529].map(|status| FailureRule::new(Overloaded).statuses(status..=status)));
    rules.extend(codes(
        ServerError,
        "api_error internal internal_error internal_server_error server_error
        generation incomplete_generation",
    ));
    // Behind a status these say less than the status; in a stream they are all there is.
    let invalid = codes(
        InvalidRequest,
        "invalid_request_error invalid_argument bad_request",
    );
    rules.extend(invalid.into_iter().map(|rule| rule.statuses(200..=299)));
    rules
}

/// More output than this model gives.
fn too_much_output() -> Vec<FailureRule> {
    let words = "max_tokens is too large
        maximum allowed number of output tokens
        valid range of max_
        maximum tokens you requested
        max_ + tokens + must be less than
        max_ + tokens + exceed
        max_ + tokens + at most";
    fall_back_with(words)
}

/// A request that is wrong for this model, and may be right for another one.
fn another_model_may_take_it() -> Vec<FailureRule> {
    let words = "this model
        the model
        does not support
        is not supported
        unsupported parameter
        unsupported value
        is not enabled for
        not a multimodal
        model + supports
        model + does not work with
        specified model";
    fall_back_with(words)
}

fn fall_back_with(words: &str) -> Vec<FailureRule> {
    let at = |status| messages(InvalidRequest, status..=status, words);
    let rules = at(400).into_iter().chain(at(422));
    rules.map(|rule| rule.fall_back(true)).collect()
}
