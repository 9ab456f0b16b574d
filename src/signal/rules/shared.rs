//! What all providers, and the servers in front of them, say alike.

use std::sync::LazyLock;

use super::{
    rule::{FailureRule, codes, messages},
    sentences::{CLIENT, NOT_5XX, content_and_capacity, keys_and_models, money, size},
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
        content_and_capacity(),
        rates(),
        weak_codes(),
        another_model_may_take_it(),
    ];
    Table::new(rules.concat())
});

/// OpenAI answers a project without access with the code for an unknown model.
fn no_access() -> Vec<FailureRule> {
    messages(Auth, 403..=403, "does not have access to")
}

fn strong_codes() -> Vec<FailureRule> {
    [
        codes(
            RequestTooLarge,
            "context_length_exceeded context_window_exceeded exceed_context_size_error max_tokens_exceeded
            model_max_prompt_tokens_exceeded payload_too_large prompt_too_long request_too_large input_too_long
            string_above_max_length tokens_limit_reached too_many_prompt_tokens",
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
            spend_limit_exceeded spend_limit_reached spending_limit_reached usage_limit_exceeded",
        ),
        codes(
            Auth,
            "access_terminated account_deactivated account_disabled organization_restricted authentication_error
            authenticationerror api_key_invalid invalid_api_key invalid_authentication_error invalidapikey
            permission_error tier_not_allowed unauthenticated unauthorized unsupported_country_region_territory",
        ),
        codes(
            NotFound,
            "deploymentnotfound invalid_model model_decommissioned model_deprecated model_not_available
            model_not_found model_not_supported modelnotfound not_found_error notfounderror unknown_model
            resource_not_found_error",
        ),
        codes(
            ContentFiltered,
            "content_filter content_policy_violation content_policy_violation_error moderation_blocked
            responsibleaipolicyviolation image_content_policy_violation prohibited_content",
        ),
        codes(
            Overloaded,
            "overloaded overloaded_error engine_overloaded engine_overloaded_error model_overloaded no_capacity
            nocapacity queue_exceeded server_is_overloaded server_overloaded service_unavailable
            service_unavailable_error slow_down capacity_exceeded consumption_limit_reached resource_unavailable
            system_busy",
        ),
    ]
    .concat()
}

fn rates() -> Vec<FailureRule> {
    let mut rules = codes(
        RateLimited,
        "rate_limit rate_limited ratelimited rate_limit_error rate_limit_exceeded rate_limit_reached_error
        ratelimitreached ratelimiterror ratelimitexceeded requestlimitexceeded slowdown too_many_requests
        too_many_requests_error toomanyrequestsexception toomanyrequests usage_limit_reached",
    );
    rules.push(FailureRule::new(RateLimited).code_part("throttl"));
    rules.extend(messages(RateLimited, 200..=299, "rate limit"));
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
    rules.extend(codes(
        ServerError,
        "api_error internal internal_error internal_server_error internalservererror server_error
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

/// A request that is wrong for this model, and may be right for another one.
fn another_model_may_take_it() -> Vec<FailureRule> {
    let words = "this model
        the model
        does not support
        is not supported
        unsupported parameter
        unsupported value
        max_tokens is too large
        maximum allowed number of output tokens";
    let at = |status| messages(InvalidRequest, status..=status, words);
    let rules = at(400).into_iter().chain(at(422));
    rules.map(|rule| rule.fall_back(true)).collect()
}
