//! Sentences that tell of a failure, whoever says them and whatever the code.

use std::ops::RangeInclusive;

use super::rule::{FailureRule, messages};
use crate::outcome::FailureKind::{Auth, ContentFiltered, NotFound, Overloaded, RateLimited};

/// Whatever the status: providers put errors into 400s, 500s and successful streams alike.
pub(super) const ANY: RangeInclusive<u16> = 200..=599;
/// Behind a 5xx these words tell of the upstream's own trouble: "quota service unavailable, quota exceeded".
pub(super) const NOT_5XX: RangeInclusive<u16> = 200..=499;
pub(super) const CLIENT: RangeInclusive<u16> = 400..=499;
/// Below 429, where "too many tokens" is about the size of the request.
pub(super) const BELOW_429: RangeInclusive<u16> = 400..=428;

pub(super) fn keys_and_models() -> Vec<FailureRule> {
    let gone = |how: &str| {
        FailureRule::new(NotFound)
            .statuses(CLIENT)
            .message("model")
            .message(how)
    };
    let mut rules = messages(
        Auth,
        NOT_5XX,
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
        you don't have access to
        not yet available for this subscription
        does not yet include access
        plan not support
        plan does not support
        plan does not include
        not included in your
        not available on your
        access token invalid
        access token expired
        access token is invalid
        invalid access token
        invalid authentication
        invalid credentials
        available in your region
        available in your country
        token has expired",
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
        gone("is not available"),
        gone("no longer supported"),
        gone("has been retired"),
        gone("was retired"),
        gone("is retired"),
        gone("discontinued"),
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
        model disabled
        model is disabled
        模型不存在
        no endpoints found
        deployment for this resource does not exist",
    ));
    rules
}

/// Limits that come with words of being busy.
pub(super) fn limits() -> Vec<FailureRule> {
    messages(
        RateLimited,
        429..=429,
        "rate limit + limited to
        service tier capacity exceeded
        并发数过高",
    )
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
        blocked by our
        blocked output
        blocked input
        敏感内容
        敏感信息
        敏感词",
    );
    rules.extend(messages(
        ContentFiltered,
        BELOW_429,
        "was flagged
        been flagged
        flagged for
        flagged as
        sensitive information
        sensitive words
        sensitive content
        inappropriate content
        unsafe content
        harmful content
        usage policy
        usage policies
        usage guidelines
        prohibited content
        nsfw
        exists risk
        guardrail
        safety filter
        violates our
        violation of our",
    ));
    rules.extend(messages(
        Overloaded,
        ANY,
        "overloaded
        at capacity
        no capacity
        insufficient capacity
        over capacity
        capacity temporarily exceeded
        capacity exceeded
        maximum capacity
        full capacity
        maximum load
        unable to process additional requests
        temporarily unavailable
        currently unavailable
        resource unavailability
        high traffic
        heavy traffic
        high demand
        heavy load
        busy
        currently loading
        is loading
        being loaded
        warming up
        starting up
        cold start
        no healthy upstream
        maximum pending requests
        queue is full
        queue full
        no available workers
        not ready
        访问量过大
        负载
        繁忙",
    ));
    rules
}
