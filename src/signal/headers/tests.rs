use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::outcome::Window;
use Dimension::{AudioSeconds, Concurrency, InputTokens, Other, OutputTokens, Requests, Tokens};
use Window::{Day, Hour, Minute, Month, Second};

/// Dimension, window, limit, remaining, reset in milliseconds.
type Row = (
    Dimension,
    Option<Window>,
    Option<f64>,
    Option<f64>,
    Option<u64>,
);

/// 2026-09-21T14:13:20Z, Unix time 1,790,000,000.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn rows(lines: &'static str) -> Vec<Row> {
    let mut headers = HeaderMap::new();
    for line in lines.lines() {
        let (name, value) = line.trim().split_once(": ").unwrap();
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let row = |reading: &QuotaReading<'_>| {
        let reset = reading.reset_after.map(|reset| reset.as_millis() as u64);
        (
            reading.dimension,
            reading.window,
            reading.limit,
            reading.remaining,
            reset,
        )
    };
    quotas(&headers, now()).iter().map(row).collect()
}

#[test]
fn who_names_a_unit_and_no_period_tells_when_it_will_be_full_again() {
    for (name, is_refilling) in [
        ("x-ratelimit-reset-requests", true),
        ("anthropic-ratelimit-input-tokens-reset", true),
        ("llm_provider-x-ratelimit-reset-tokens", true),
        ("x-ratelimit-reset", false),
        ("ratelimit-reset", false),
        ("x-ratelimit-reset-requests-day", false),
        ("x-ratelimit-reset-req-10-second", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static("30"));
        let readings = quotas(&headers, now());
        assert_eq!(readings[0].is_refilling, is_refilling, "{name}");
    }
    let mut headers = HeaderMap::new();
    let ietf = HeaderValue::from_static("\"default\";r=0;t=30;qu=\"requests\"");
    headers.insert("ratelimit", ietf);
    assert!(!quotas(&headers, now())[0].is_refilling);
}

#[test]
fn openai_and_groq_name_the_unit_and_not_the_period() {
    let lines = "x-ratelimit-limit-requests: 500
        x-ratelimit-remaining-requests: 499
        x-ratelimit-reset-requests: 2m0.12s
        x-ratelimit-limit-tokens: 30000
        x-ratelimit-remaining-tokens: 29000
        x-ratelimit-reset-tokens: 7.999999999s";
    let wanted = [
        (Requests, None, Some(500.0), Some(499.0), Some(120_120)),
        (Tokens, None, Some(30_000.0), Some(29_000.0), Some(8_000)),
    ];
    assert_eq!(rows(lines), wanted);
}

#[test]
fn anthropic_puts_the_role_last_and_a_date_into_the_reset() {
    let lines = "anthropic-ratelimit-input-tokens-limit: 1000
        anthropic-ratelimit-input-tokens-remaining: 900
        anthropic-ratelimit-input-tokens-reset: 2026-09-21T14:13:50Z
        anthropic-ratelimit-output-tokens-limit: 200
        anthropic-ratelimit-output-tokens-reset: 2026-09-21T14:10:00Z
        anthropic-ratelimit-unified-5h-reset: 1790000000";
    let wanted = [
        (InputTokens, None, Some(1_000.0), Some(900.0), Some(30_000)),
        (OutputTokens, None, Some(200.0), None, Some(0)),
    ];
    assert_eq!(rows(lines), wanted);
}

#[test]
fn anthropics_priority_counts_where_nothing_else_is_told() {
    let priority = "anthropic-priority-input-tokens-limit: 1000
        anthropic-priority-input-tokens-remaining: 900
        anthropic-priority-input-tokens-reset: 2026-09-21T14:13:50Z";
    let wanted = [(InputTokens, None, Some(1_000.0), Some(900.0), Some(30_000))];
    assert_eq!(rows(priority), wanted);
    let both = [
        priority,
        "anthropic-ratelimit-input-tokens-limit: 70",
        priority,
    ]
    .join("\n");
    assert_eq!(
        rows(both.leak()),
        [(InputTokens, None, Some(70.0), None, None)]
    );
}

#[test]
fn three_digits_behind_a_comma_are_thousands() {
    for (value, wanted) in [
        ("30,000", Some(30_000.0)),
        ("1,234,567", Some(1_234_567.0)),
        ("100, 100;w=60", Some(100.0)),
        ("100,500;w=60", Some(100.0)),
        ("100,50", Some(100.0)),
        ("1000,500", Some(1_000.0)),
        ("0,500", Some(0.0)),
        ("10, 500", Some(10.0)),
        (",500", None),
    ] {
        let lines = format!("x-ratelimit-limit-tokens: {value}");
        let found = rows(lines.leak()).first().and_then(|row| row.2);
        assert_eq!(found, wanted, "{value}");
    }
}

#[test]
fn gateways_name_unit_and_period_in_one_word() {
    let lines = "x-ratelimit-limit-rpm: 60
        x-ratelimit-remaining-rpm: 59
        x-ratelimit-tpd-limit: 9000";
    let wanted = [
        (Requests, Some(Minute), Some(60.0), Some(59.0), None),
        (Tokens, Some(Day), Some(9_000.0), None, None),
    ];
    assert_eq!(rows(lines), wanted);
}

#[test]
fn azures_bare_resets_are_milliseconds_or_seconds() {
    let of_tokens = |reset: &str, remaining: &str| {
        let lines = format!(
            "x-ratelimit-limit-tokens: 60000
            x-ratelimit-remaining-tokens: {remaining}
            x-ratelimit-reset-tokens: {reset}
            x-ratelimit-renewalperiod-tokens: 60"
        );
        rows(lines.leak())[0]
    };
    let wanted = |remaining, reset| {
        (
            Tokens,
            Some(Minute),
            Some(60_000.0),
            Some(remaining),
            Some(reset),
        )
    };
    assert_eq!(of_tokens("500", "59500"), wanted(59_500.0, 500));
    assert_eq!(of_tokens("9", "59991"), wanted(59_991.0, 9));
    assert_eq!(of_tokens("30", "30000"), wanted(30_000.0, 30_000));
}

#[test]
fn periods_stand_in_names() {
    let lines = "x-ratelimit-limit-req-minute: 60
        x-ratelimit-limit-req-10-second: 12
        x-ratelimit-limit-tokens-month: 9000
        x-ratelimit-limit-audio-seconds-minute: 50
        x-ratelimit-remaining-requests-per-hour: 7
        x-ratelimit-reset-requests-day: 33011.5
        x-ratelimit-limit-glyphs-minute: 3";
    let wanted = [
        (Requests, Some(Minute), Some(60.0), None, None),
        (Requests, None, Some(12.0), None, None),
        (Tokens, Some(Month), Some(9_000.0), None, None),
        (AudioSeconds, Some(Minute), Some(50.0), None, None),
        (Requests, Some(Hour), None, Some(7.0), None),
        (Requests, Some(Day), None, None, Some(33_011_500)),
        (Other, Some(Minute), Some(3.0), None, None),
    ];
    assert_eq!(rows(lines), wanted);
}

#[test]
fn the_same_quota_told_twice_is_one() {
    let lines = "ratelimitbysize-limit: 500
        ratelimitbysize-remaining: 400
        ratelimitbysize-reset: 33
        ratelimitbysize-query-cost: 100
        x-ratelimitbysize-limit-minute: 500
        x-ratelimitbysize-remaining-minute: 400";
    let wanted = [(Tokens, Some(Minute), Some(500.0), Some(400.0), Some(33_000))];
    assert_eq!(rows(lines), wanted);
    let lines = "llm_provider-x-ratelimit-limit-requests: 15
        llm_provider-x-ratelimit-reset-requests: 4ms
        x-ratelimit-limit-requests: 15";
    assert_eq!(rows(lines), [(Requests, None, Some(15.0), None, Some(4))]);
}

#[test]
fn names_without_a_unit_count_requests() {
    let wanted = |reset| [(Requests, None, Some(50.0), Some(49.0), Some(reset))];
    for (lines, reset) in [
        (
            "x-ratelimit-limit: 50\nx-ratelimit-remaining: 49\nx-ratelimit-reset: 1790000515",
            515_000,
        ),
        (
            "x-ratelimit-limit: 50\nx-ratelimit-remaining: 49\nx-ratelimit-reset: 1790000060000",
            60_000,
        ),
        (
            "x-ratelimit-limit: 50\nx-ratelimit-remaining: 49\nx-ratelimit-reset: 2",
            2_000,
        ),
        (
            "x-rate-limit-limit: 50\nx-rate-limit-remaining: 49\nx-rate-limit-reset: 0",
            0,
        ),
        (
            "ratelimit-limit: 50\nratelimit-remaining: 49\nratelimit-reset: 9",
            9_000,
        ),
        (
            "x-ratelimit-limit: 50\nx-ratelimit-remaining: 49\nx-ratelimit-reset: 9\nx-ratelimit-reset-after: 1.5",
            1_500,
        ),
    ] {
        assert_eq!(rows(lines), wanted(reset), "{lines}");
    }
}

#[test]
fn the_ietf_fields_are_read_in_every_draft() {
    let wanted = [(
        Requests,
        Some(Minute),
        Some(100.0),
        Some(50.0),
        Some(30_000),
    )];
    for lines in [
        "ratelimit: \"default\";r=50;t=30\nratelimit-policy: \"default\";q=100;w=60",
        "ratelimit: limit=100, remaining=50, reset=30\nratelimit-policy: 100;w=60",
        "ratelimit-limit: 100, 100;w=60, 5000;w=86400\nratelimit-remaining: 50\nratelimit-reset: 30",
        "ratelimit-limit: 100\nratelimit-remaining: 50\nratelimit-reset: 30\nratelimit-policy: 10;w=1, 100;w=60",
        "ratelimit: \"api\";r=50;t=30\nratelimit-policy: \"fixed window\";\"api\";q=100;w=60",
    ] {
        assert_eq!(rows(lines), wanted, "{lines}");
    }
}

#[test]
fn several_policies_are_joined_by_name() {
    let lines = "ratelimit-policy: \"a, b\";q=10;w=1, \"c\";q=4;w=10;qu=\"concurrent-requests\"
        ratelimit: \"c\";r=3, \"a, b\";r=8;t=1";
    let wanted = [
        (Concurrency, None, Some(4.0), Some(3.0), None),
        (Requests, Some(Second), Some(10.0), Some(8.0), Some(1_000)),
    ];
    assert_eq!(rows(lines), wanted);
}

/// Each item is compared with each policy: ten thousand of each once took a tenth of a second.
#[test]
fn of_very_many_policies_the_first_count() {
    let list = |members: &str, count| {
        let list: Vec<_> = (0..count)
            .map(|index| members.replace('#', &index.to_string()))
            .collect();
        HeaderValue::from_str(&list.join(", ")).unwrap()
    };
    for count in [3, 10_000] {
        let mut map = HeaderMap::new();
        map.insert("ratelimit-policy", list("\"#\";q=9;w=60", count));
        map.insert("ratelimit", list("\"#\";r=0", count));
        let readings = quotas(&map, now());
        assert_eq!(readings.len(), count.min(64));
        assert!(readings.iter().all(|reading| reading.limit == Some(9.0)));
    }
}

#[test]
fn other_headers_and_unreadable_values_say_nothing() {
    let lines = "retry-after: 30
        x-request-id: 7
        x-ratelimit-resource: core
        x-ratelimit-key: gpt
        x-ratelimit-abusepenalty-active: False
        x-ratelimit-limit-requests: many
        x-ratelimit-remaining-requests: -5
        x-ratelimit-reset-requests: soon";
    assert_eq!(rows(lines), []);
}

#[test]
fn of_several_values_the_first_that_can_be_read_counts() {
    let lines = "x-ratelimit-reset-tokens: req_123
        x-ratelimit-reset-tokens: 3s
        x-ratelimit-reset-tokens: 9s";
    assert_eq!(rows(lines), [(Tokens, None, None, None, Some(3_000))]);
}

proptest! {
    #[test]
    fn any_header_is_read_without_panic(
        headers in prop::collection::vec((
            "(x-|llm_provider-|anthropic-)?ratelimit(-policy|bysize)?(-(limit|remaining|reset|used|reset-after|renewalperiod))?(-[a-z0-9]{1,8}){0,3}",
            prop::collection::vec(any::<u8>(), 0..30),
        ), 0..8),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value)) {
                map.append(name, value);
            }
        }
        for reading in quotas(&map, now()) {
            prop_assert!(reading.reset_after.is_none_or(|reset| reset <= hint::MAX_HINT));
            for figure in [reading.limit, reading.remaining, reading.used] {
                prop_assert!(figure.is_none_or(|figure| figure.is_finite() && figure >= 0.0));
            }
        }
    }

    #[test]
    fn any_ietf_field_is_read_without_panic(policy in "[-\"a-z0-9;=, .]{0,60}", item in "[-\"a-z0-9;=, .]{0,60}") {
        let mut map = HeaderMap::new();
        map.insert("ratelimit-policy", HeaderValue::from_str(&policy).unwrap());
        map.insert("ratelimit", HeaderValue::from_str(&item).unwrap());
        quotas(&map, now());
    }
}
