//! What all providers, and the servers in front of them, say alike.

use std::{ops::RangeInclusive, sync::LazyLock};

use super::{FailureRule, codes, messages, table::Table};
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

/// Whatever the status: providers put errors into 400s, 500s and successful streams alike.
const ANY: RangeInclusive<u16> = 200..=599;
/// Behind a 5xx these words tell of the upstream's own trouble: "quota service unavailable, quota exceeded".
const NOT_5XX: RangeInclusive<u16> = 200..=499;
const CLIENT: RangeInclusive<u16> = 400..=499;
/// Below 429, where "too many tokens" is about the size of the request.
const BELOW_429: RangeInclusive<u16> = 400..=428;

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

fn money() -> Vec<FailureRule> {
    messages(
        QuotaExhausted,
        NOT_5XX,
        "check your plan and billing
        check your billing
        check your account balance
        insufficient balance
        insufficient account balance
        insufficient credit
        insufficient funds
        not enough credit
        out of credits
        requires more credits
        no prepaid credits
        no credits left
        credits are depleted
        credit balance is too low
        available credits
        purchase more credits
        purchase credits
        included credits
        credits remaining, while
        credit limit
        payment required
        spending limit
        spend limit
        spending cap
        budget has been exceeded
        budget exceeded
        exceeded your budget
        api usage limits
        weekly usage limit
        monthly usage limit
        extra usage is required
        free allocation
        out of call volume quota
        quota has been exhausted
        exhausted your quota
        exceeded your quota
        exceeds your quota
        exceeded your monthly",
    )
}

fn size() -> Vec<FailureRule> {
    let too_large = |statuses| FailureRule::new(RequestTooLarge).statuses(statuses);
    let mut rules = vec![
        too_large(BELOW_429).message("too many tokens"),
        too_large(NOT_5XX)
            .message("token count")
            .message("exceeds the"),
        too_large(NOT_5XX)
            .message("input tokens")
            .message("exceeds maximum"),
        too_large(BELOW_429)
            .message("image exceeds")
            .message("maximum"),
    ];
    rules.extend(messages(
        RequestTooLarge,
        ANY,
        "context length
        context window
        context limit
        context size
        maximum prompt length
        maximum model length
        model token limit
        prompt is too long
        prompt too long
        input is too long
        input too long
        messages is too long
        input tokens exceeded
        tokens in request more than max tokens allowed
        exceeds the maximum allowed input
        range of input length should be
        inputs` must have less than
        max_new_tokens` must be <=
        reduce the length of",
    ));
    rules
}

fn keys_and_models() -> Vec<FailureRule> {
    let gone = |how: &str| {
        FailureRule::new(NotFound)
            .statuses(CLIENT)
            .message("model")
            .message(how)
    };
    let mut rules = messages(
        Auth,
        CLIENT,
        "invalid api key
        incorrect api key
        api key not valid
        api key provided
        api key is invalid
        api key expired
        invalid x-api-key
        access was terminated
        account has been disabled
        organization has been disabled
        has been restricted
        has been suspended
        account is suspended
        does not have permission
        insufficient permission
        not authorized
        unauthorized
        security token
        country, region, or territory
        location is not supported
        you don't have access to",
    );
    rules.extend([
        gone("does not exist"),
        gone("not exist"),
        gone("not found"),
        gone("decommissioned"),
        gone("has been deprecated"),
        gone("was removed"),
        gone("end of its life"),
        gone("no longer available"),
        gone("too large to be loaded"),
    ]);
    rules.extend(messages(
        NotFound,
        CLIENT,
        "invalid model
        is not a valid model
        unknown model
        unsupported model
        model identifier is invalid
        model is not supported
        no such model
        no endpoints found
        deployment for this resource does not exist",
    ));
    rules
}

fn content_and_capacity() -> Vec<FailureRule> {
    let mut rules = messages(
        ContentFiltered,
        NOT_5XX,
        "content filter
        content management policy
        content moderation
        content policy
        safety system
        requires moderation
        input was flagged
        prompt was flagged
        blocked by our",
    );
    rules.extend(messages(
        Overloaded,
        ANY,
        "overloaded
        at capacity
        no capacity
        insufficient capacity
        over capacity
        capacity temporarily exceeded
        resource unavailability
        high traffic
        heavy traffic
        high demand
        heavy load
        server busy
        server is busy
        model busy
        model is busy
        too busy
        currently loading
        is loading
        no healthy upstream
        maximum pending requests
        queue is full
        not ready",
    ));
    rules
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
