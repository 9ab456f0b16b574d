//! Files without mistakes, and what is understood of them.

use tower_upstream::{
    Cost, Stack,
    stack::{StackBuilder, presets},
};

use super::any_key;

/// Every key that there is.
pub(super) const EVERYTHING: &str = r#"{
  "strategy": "local-first",
  "providers": {
    "gateway": {
      "base_url": "https://gateway.example.com/v1", "key_env": "GATEWAY_KEY", "dialect": "mistral", "local": true,
      "quota": { "requests": "1000/day" }
    },
    "openai-2": { "preset": "openai", "key_env": "SECOND_KEY" },
    "azure": { "base_url": "https://x.openai.azure.com", "api_version": "2024-10-21" }
  },
  "upstreams": [
    {
      "provider": "openai-2", "models": ["gpt-4o-mini"],
      "quota": {
        "requests": ["60/minute", { "limit": "10000/day", "zone": "UTC-8" }],
        "tokens": { "limit": "90000/minute", "burst": 10000 },
        "input_tokens": "70000/minute",
        "output_tokens": { "limit": "30000/5m", "shadow": true },
        "money": "20.00/month",
        "max_concurrent": 8, "min_interval": "100ms", "max_tokens_per_request": 16000,
        "keep_estimates": true, "steady": true, "margin": "50ms"
      },
      "price": { "input": 0.15, "cached_input": "0.07", "cache_write": 0.2, "output": 0.6 },
      "context_tokens": 64000, "weight": 9
    },
    { "provider": "azure", "models": ["deployed"] },
    {
      "provider": "gateway", "models": ["one", "two"],
      "retry": { "attempt_timeout": "5m", "first_wait": "1s", "on": { "timeout": { "max_attempts": 2 } } }
    },
    { "provider": "vllm", "models": ["own"], "retry": "off" }
  ],
  "fallback": {
    "cooldown": "2m", "max_wait": "3s", "max_attempts": 5, "when_exhausted": { "wait": "10s" }, "fall_back_on": ["auth"]
  },
  "retry": {
    "max_attempts": 4, "first_wait": "500ms", "longest_wait": "20s", "multiplier": 3, "jitter": "equal",
    "max_hint_wait": "30s", "max_hint_wait_with_alternatives": "1s", "total_deadline": "2m", "attempt_timeout": "1m",
    "retry_non_idempotent": false,
    "budget": { "tokens": 100, "retry_cost": 2, "timeout_cost": 4, "success_deposit": 0.5 },
    "on": { "overloaded": { "max_attempts": 6, "first_wait": "10s", "longest_wait": "1m", "multiplier": 2.5, "jitter": 0.1 } }
  },
  "circuit_breaker": {
    "consecutive_failures": 7, "failure_rate": 0.25, "window": 40, "minimum_calls": 20, "open_for": "30s",
    "open_growth": 3.0, "open_max": "5m", "jitter": 0.2, "probes": 2, "successes": 4, "probe_timeout": "15s",
    "probe_flow": "5s"
  },
  "rate_limit": {
    "scope": "upstream", "quota": { "requests": "100/s" }, "max_wait": "5s", "queue_capacity": 9, "max_keys": 99,
    "quotas": { "azure/deployed": { "requests": "2/minute" } },
    "and": [
      { "scope": "all", "quota": { "max_concurrent": 64 }, "max_wait": "unlimited" },
      { "scope": "provider" }, { "scope": "host" }, { "scope": "caller" },
      { "scope": { "header": "x-tenant" }, "quota": { "requests": "20/minute" } }
    ]
  },
  "intake": { "max_body": 1000000, "output_tokens": 256 },
  "answers": { "peek_bytes": 4096, "peek_time": "3s", "include_usage": true }
}"#;

fn built(json: &str) -> Stack {
    let builder =
        StackBuilder::from_json(json, any_key).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    builder.build().expect("a stack")
}

#[test]
fn every_key_is_understood() {
    let stack = built(EVERYTHING);
    assert_eq!(
        stack.explain(),
        "\
upstreams:
  1. openai-2/gpt-4o-mini, at https://api.openai.com/v1
     key: from SECOND_KEY
     quota: 100ms between requests, 60 requests per minute, 10000 requests per day of the calendar, UTC-8:00, \
90000 tokens per minute in bursts of up to 10000, 70000 input tokens per minute, \
30000 output tokens per 5 minutes (only watched), 20.00 per month of the calendar, UTC, at most 8 at a time, \
at most 16000 tokens in a request, estimates are kept, no other rate is held down
     price: 0.15 a million tokens in (0.07 out of a cache, 0.20 into it), 0.60 out
     context: 64000 tokens
     weight: 9
  2. azure/deployed, at https://x.openai.azure.com/
     key: from AZURE_OPENAI_API_KEY
     quota: 2 requests per minute
  3. gateway/one, at https://gateway.example.com/v1
     key: from GATEWAY_KEY
     quota of the whole account: 1000 requests per day
     retry: 4 attempts, after waits of 1s, each 3 times the last, up to 20s, with equal jitter; \
timed out: 2 attempts, after waits of 1s, each 2 times the last, up to 30s, with full jitter; \
an attempt is cut off after 5 minutes
  4. gateway/two, at https://gateway.example.com/v1
     key: from GATEWAY_KEY
     quota of the whole account: 1000 requests per day
     retry: 4 attempts, after waits of 1s, each 3 times the last, up to 20s, with equal jitter; \
timed out: 2 attempts, after waits of 1s, each 2 times the last, up to 30s, with full jitter; \
an attempt is cut off after 5 minutes
  5. vllm/own, at http://localhost:8000/v1
     key: none
     retry: off: each request is sent once to an upstream
fallback:
  those on own hardware first, then as they are listed
  cools down for as long as an upstream asks, else 2 minutes
  who would wait in line for more than 3s is served by the next, where that is sooner
  at most 5 attempts for a request, retries included
  turns to the next when not authorized, too
  waits up to 10s when all are cooling down
retry:
  4 attempts, after waits of 500ms, each 3 times the last, up to 20s, with equal jitter
  overloaded: 6 attempts, after waits of 10s, each 2.5 times the last, up to 1 minute, up to 10 % longer or shorter
  an upstream's own wait is heeded up to 30s, or 1s while others could be asked
  no wait ends later than 2 minutes after the call
  an attempt is cut off after 1 minute
  a POST is repeated only where it cannot have been processed
  all requests share 100 tokens for retries, 2 each, 4 after a timeout
circuit breaker:
  opens after 7 failures in a row, or 25 % failures over the last 40 calls, of at least 20 calls
  for 30s, 3 times as long after each failed probe, up to 5 minutes
  closes after 4 good probes, 2 at a time
rate limit:
  each upstream: 100 requests per second; waits of up to 5s
    set for azure/deployed: 2 requests per minute
  all requests together: at most 64 at a time; waits of any length
  each provider: no limits of its own; waits of up to 90s
  each upstream or host: no limits of its own; waits of up to 90s
  each key of its own: no limits of its own; waits of up to 90s
  each key of its own: 20 requests per minute; waits of up to 90s
"
    );
    let of_key = stack.limiter().status("azure/deployed");
    assert_eq!(of_key.limits[0].amount, 2);
    assert_eq!(stack.budget().unwrap().capacity(), 100);
    let debugged = format!("{:?}", stack.layer());
    for wanted in [
        "max_bytes: 1000000",
        "output_tokens: 256",
        "peek_bytes: 4096",
        "peek_time: 3s",
        "include_usage: true",
    ] {
        assert!(debugged.contains(wanted), "{wanted} in {debugged}");
    }
}

#[cfg(feature = "toml")]
#[test]
fn both_formats_say_the_same() {
    let toml = include_str!("../../../examples/configs/c-fallback.toml");
    let json = include_str!("../../../examples/configs/c-fallback.json");
    let toml = StackBuilder::from_toml(toml, any_key)
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(toml.explain(), built(json).explain());
    // Numbers that only TOML has, a byte order mark, and the ends of lines of another system.
    let odd = "\u{feff}[retry]\r\nmax_attempts = 0x4\r\nmultiplier = 1_0.5\r\n";
    let odd = StackBuilder::from_toml(odd, any_key)
        .unwrap()
        .build()
        .unwrap();
    let plain = built(r#"{"retry": {"max_attempts": 4, "multiplier": 10.5}}"#);
    assert_eq!(odd.explain(), plain.explain());
}

#[test]
fn a_file_that_says_nothing_is_a_stack_without_upstreams() {
    let usual = Stack::builder().build().unwrap();
    assert_eq!(built("{}").explain(), usual.explain());
    assert_eq!(
        built(r#"{"retry": {}, "circuit_breaker": {}}"#).explain(),
        usual.explain()
    );
}

#[test]
fn off_is_off() {
    let stack = built(r#"{"retry": "off", "circuit_breaker": "off"}"#);
    assert!(
        stack
            .explain()
            .contains("retry:\n  off: each request is sent once to an upstream\n")
    );
    assert!(
        stack
            .explain()
            .contains("circuit breaker:\n  off: no failure opens a circuit\n")
    );
    assert!(stack.budget().is_none());
    let rules =
        built(r#"{"circuit_breaker": {"failure_rate": "off"}, "retry": {"budget": "off"}}"#);
    assert!(
        rules
            .explain()
            .contains("opens after 5 failures in a row\n")
    );
    assert!(rules.explain().contains("retries have no budget"));
    let share = built(r#"{"retry": {"budget": {"share": 0.2}}}"#);
    assert!(
        share
            .explain()
            .contains("20 % more than the callers send, and 10 in reserve")
    );
}

#[test]
fn a_provider_without_models_has_those_that_it_serves_in_their_order() {
    for (known, order) in [
        ("groq-first", ["groq", "openai", "anthropic"]),
        ("openai-first", ["openai", "anthropic", "groq"]),
        ("anthropic-first", ["anthropic", "openai", "groq"]),
    ] {
        let stack = built(&format!(r#"{{"upstreams": "{known}"}}"#));
        let ids: Vec<&str> = stack
            .upstreams()
            .iter()
            .map(|upstream| upstream.id())
            .collect();
        let wanted: Vec<String> = order
            .iter()
            .flat_map(|name| {
                let models = presets::provider(name).unwrap().models();
                models.map(move |model| format!("{name}/{}", model.name))
            })
            .collect();
        assert_eq!(ids, wanted);
        assert!(!stack.explain().contains("beware"), "{}", stack.explain());
    }
    let retired =
        built(r#"{"upstreams": [{"provider": "groq", "models": ["mixtral-8x7b-32768"]}]}"#);
    assert!(
        retired
            .explain()
            .contains("beware: the provider served this model no longer on 2025-03-20")
    );
    let gone = built(r#"{"upstreams": [{"provider": "github", "models": ["openai/gpt-4.1"]}]}"#);
    assert!(
        gone.explain()
            .contains("beware: the provider answered no longer on 2026-07-30")
    );
}

/// A key for one service must not be sent to another because somebody changed a URL.
#[test]
fn the_usual_key_goes_to_the_usual_place_only() {
    let elsewhere = r#"{"providers": {"openai": {"base_url": "https://gateway.example.com/v1"}},
                        "upstreams": [{"provider": "openai", "models": ["m"]}]}"#;
    assert!(built(elsewhere).explain().contains("     key: none\n"));
    let said = elsewhere.replace(
        r#""base_url""#,
        r#""key_env": "OPENAI_API_KEY", "base_url""#,
    );
    assert!(
        built(&said)
            .explain()
            .contains("     key: from OPENAI_API_KEY\n")
    );
}

#[test]
fn a_key_of_a_scope_has_the_quota_that_the_file_grants_it() {
    let stack = built(
        r#"{"rate_limit": {"scope": "caller", "quotas": {"planner": {"max_tokens_per_request": 100}}}}"#,
    );
    let [of_upstreams, limiter] = stack.limiters() else {
        panic!("one by upstreams, and that of the file");
    };
    assert!(of_upstreams.can_admit("planner", Cost::tokens(101, 0)));
    assert!(!limiter.can_admit("planner", Cost::tokens(101, 0)));
    assert!(limiter.can_admit("writer", Cost::tokens(101, 0)));
}
