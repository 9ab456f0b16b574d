//! Sentences about requests that are too large.

use super::{
    rule::{FailureRule, messages},
    sentences::{ANY, BELOW_429, NOT_5XX},
};
use crate::outcome::FailureKind::RequestTooLarge;

pub(super) fn size() -> Vec<FailureRule> {
    let mut rules = messages(
        RequestTooLarge,
        BELOW_429,
        "too many tokens
        image exceeds + maximum
        string too long
        string is too long
        text is too long
        text too long
        sequence too long
        sequence is too long
        sequence length + exceed
        message is too long
        message too long
        request is too large
        request too large
        input is too large
        input too large
        prompt is too large
        prompt too large
        maximum input length
        maximum sequence length
        exceeds max length
        exceeds the max length
        exceeds the maximum length
        exceeds maximum allowed length
        maximum allowed length
        exceeds the maximum token
        tokens per request
        member must have length less than or equal to
        expected maxlength
        number of tokens + exceed
        number of input tokens + exceed
        number of prompt tokens + exceed
        input + length + exceed
        prompt + length + exceed
        prompt + exceeds max",
    );
    rules.extend(messages(
        RequestTooLarge,
        NOT_5XX,
        "token count + exceeds the
        input tokens + exceeds maximum",
    ));
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

/// Asked last, when it is not `max_tokens` that is too large.
pub(super) fn size_at_last() -> Vec<FailureRule> {
    let at = |status| {
        messages(
            RequestTooLarge,
            status..=status,
            "tokens + exceed
            token limit exceeded
            payload + exceed
            file size + exceed
            total size + exceed
            content is too long
            content too long
            you submitted was too long
            image is too large
            image too large
            file is too large
            file too large
            audio file + too large
            too many input tokens
            too many prompt tokens
            max allowed tokens",
        )
    };
    [400, 422].into_iter().flat_map(at).collect()
}
