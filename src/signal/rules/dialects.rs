//! What one provider means by its words.

use std::sync::LazyLock;

use super::{
    rule::{FailureRule, codes, messages},
    table::Table,
};
use crate::{
    outcome::FailureKind::{
        Auth, ContentFiltered, InvalidRequest, NotFound, Overloaded, QuotaExhausted, RateLimited,
        RequestTooLarge, ServerError, Timeout,
    },
    signal::Dialect,
};

/// The rules of a dialect, asked before the shared ones.
pub(crate) fn of_dialect(dialect: Dialect) -> Option<&'static Table> {
    let table = match dialect {
        Dialect::Gemini => &GEMINI,
        Dialect::Bedrock => &BEDROCK,
        Dialect::Mistral => &MISTRAL,
        Dialect::GitHub => &GITHUB,
        Dialect::Zhipu => &ZHIPU,
        Dialect::MiniMax => &MINIMAX,
        Dialect::DashScope => &DASHSCOPE,
        Dialect::Cohere => &COHERE,
        _ => return None,
    };
    Some(table)
}

/// `google.rpc.Code` and `ErrorInfo.reason` (<https://google.aip.dev/193>,
/// <https://ai.google.dev/gemini-api/docs/troubleshooting>).
static GEMINI: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(
            QuotaExhausted,
            "quota_exhausted insufficient_g1_credits_balance",
        ),
        messages(
            QuotaExhausted,
            429..=429,
            "credits are depleted\nspending cap",
        ),
        codes(Overloaded, "model_capacity_exhausted unavailable"),
        codes(
            Auth,
            "api_key_invalid api_key_expired unauthenticated permission_denied consumer_suspended consumer_invalid",
        ),
        // "Exceeded your current quota, please check your plan and billing" is what it says of a limit per minute too.
        messages(
            RateLimited,
            200..=429,
            "quota exceeded for\nresource has been exhausted\nresource exhausted",
        ),
        codes(RateLimited, "resource_exhausted rate_limit_exceeded"),
        codes(Timeout, "deadline_exceeded"),
    ];
    Table::new(rules.concat())
});

/// <https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html>
static BEDROCK: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(Timeout, "modeltimeoutexception"),
        codes(
            Overloaded,
            "serviceunavailableexception modelnotreadyexception serviceunavailable",
        ),
        codes(QuotaExhausted, "servicequotaexceededexception"),
        codes(
            ServerError,
            "internalserverexception modelerrorexception modelstreamerrorexception",
        ),
        codes(
            Auth,
            "accessdeniedexception unrecognizedclientexception expiredtokenexception invalidsignatureexception
            missingauthenticationtokenexception",
        ),
        // Before the shared words: it throttles with "too many tokens" and "exceeding the account quotas".
        vec![
            FailureRule::new(RateLimited).code_part("throttl"),
            FailureRule::new(RateLimited).code_part("limitexceeded"),
            FailureRule::new(RateLimited).statuses(429..=429),
        ],
    ];
    Table::new(rules.concat())
});

/// <https://docs.mistral.ai/api/>; the numbers were seen in answers.
static MISTRAL: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(RateLimited, "1300 3505 service_tier_capacity_exceeded"),
        codes(Overloaded, "3800 3810"),
        codes(NotFound, "1500"),
        codes(Auth, "1910"),
    ];
    Table::new(rules.concat())
});

/// A 403 is a limit at GitHub when it says so
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
static GITHUB: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        messages(
            RateLimited,
            403..=429,
            "rate limit\nabuse detection\ntoo many requests",
        ),
        codes(NotFound, "unknown_model unavailable_model"),
    ];
    Table::new(rules.concat())
});

/// <https://docs.bigmodel.cn/cn/faq/api-code>
static ZHIPU: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(RateLimited, "1302 1303 1304 1308 1310"),
        codes(Overloaded, "1305 1312"),
        codes(QuotaExhausted, "1113 1309 1313"),
        // 1311: a plan that does not include the model.
        codes(
            Auth,
            "1000 1001 1002 1003 1004 1110 1111 1112 1120 1220 1221 1222 1311",
        ),
        codes(NotFound, "1211 1212"),
        codes(RequestTooLarge, "1261"),
        codes(ContentFiltered, "1301"),
        codes(ServerError, "500 1230 1234"),
    ];
    Table::new(rules.concat())
});

/// <https://platform.minimax.io/docs/api-reference/errorcode>
static MINIMAX: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(RateLimited, "1002 1041 2045 2056"),
        codes(QuotaExhausted, "1008"),
        // 2061: a plan that does not include the model.
        codes(Auth, "1004 2049 2061"),
        codes(Timeout, "1001"),
        codes(ContentFiltered, "1026 1027"),
        codes(RequestTooLarge, "1039"),
        // It has no code of its own.
        messages(RequestTooLarge, 200..=499, "context window"),
        codes(InvalidRequest, "1042 2013"),
        // Last: 1000 stands beside a better one in brackets.
        codes(ServerError, "1000 1013 1024 1033"),
    ];
    Table::new(rules.concat())
});

/// <https://www.alibabacloud.com/help/en/model-studio/error-code>
static DASHSCOPE: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(
            QuotaExhausted,
            "arrearage allocationquota.freetieronly prepaid_bill_overdue postpaid_bill_overdue commodity_not_purchased",
        ),
        messages(
            QuotaExhausted,
            400..=429,
            "quota has been exhausted\nfree tier of the model has been exhausted\nfree allocated quota",
        ),
        codes(
            ContentFiltered,
            "datainspectionfailed data_inspection_failed",
        ),
        codes(RateLimited, "limit_requests limit_tokens limit_burst_rate"),
    ];
    Table::new(rules.concat())
});

/// <https://docs.cohere.com/reference/errors>
static COHERE: LazyLock<Table> = LazyLock::new(|| {
    let rules = [
        codes(RequestTooLarge, "too_many_tokens"),
        messages(RateLimited, 429..=429, "trial key"),
    ];
    Table::new(rules.concat())
});
