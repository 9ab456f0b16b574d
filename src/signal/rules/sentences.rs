//! Sentences that tell of a failure, whoever says them and whatever the code.

use std::ops::RangeInclusive;

use super::rule::{FailureRule, messages};
use crate::outcome::FailureKind::{
    Auth, ContentFiltered, NotFound, Overloaded, QuotaExhausted, RequestTooLarge,
};

/// Whatever the status: providers put errors into 400s, 500s and successful streams alike.
pub(super) const ANY: RangeInclusive<u16> = 200..=599;
/// Behind a 5xx these words tell of the upstream's own trouble: "quota service unavailable, quota exceeded".
pub(super) const NOT_5XX: RangeInclusive<u16> = 200..=499;
pub(super) const CLIENT: RangeInclusive<u16> = 400..=499;
/// Below 429, where "too many tokens" is about the size of the request.
pub(super) const BELOW_429: RangeInclusive<u16> = 400..=428;

pub(super) fn money() -> Vec<FailureRule> {
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

pub(super) fn size() -> Vec<FailureRule> {
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

pub(super) fn keys_and_models() -> Vec<FailureRule> {
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

pub(super) fn content_and_capacity() -> Vec<FailureRule> {
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
