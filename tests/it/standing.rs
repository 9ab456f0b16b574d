//! How a stack stands, in words, as JSON and as metrics.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_upstream::{
    Limit, Money, Price, Provider, Quota, RateLimitLayer, RateLimiter, Scope, Stack,
    clock::{Clock, TokioClock},
    stack::{Caller, OPEN_METRICS},
};

/// Two upstreams, of which the first has no quota left at its provider, and a limit by callers.
fn stack() -> Stack {
    let quota = Quota::new()
        .limit(Limit::requests(10).per_minute())
        .limit(Limit::tokens(1_000).per_day());
    let provider = |provider: Provider, url| provider.base_url(url).expect("a URL");
    let (groq, openai) = (
        provider(Provider::groq(), "http://groq.test/v1"),
        provider(Provider::openai(), "http://openai.test/v1"),
    );
    let price = Price::default()
        .input(Money::from_cents(100))
        .output(Money::from_cents(200));
    let large = openai.model("large").quota(quota).expect("a quota");
    Stack::builder()
        .upstream(groq.model("small"))
        .upstream(large.price(price))
        .limiter(by_caller())
        .build()
        .expect("a stack")
}

fn by_caller() -> RateLimiter {
    let limiter = RateLimiter::new(Quota::new()).expect("no limits");
    limiter.scope(Scope::by(|head| match head.extensions.get() {
        Some(Caller(name)) => name.clone(),
        None => "".into(),
    }))
}

async fn answer(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match request.uri().host() {
        Some("groq.test") => (
            429,
            json!({ "error": { "message": "You exceeded your current quota.", "code": "insufficient_quota" } }),
        ),
        _ => {
            let is_beyond = request.headers().contains_key("beyond");
            let tokens = if is_beyond { u64::MAX } else { 30 };
            (
                200,
                json!({ "usage": { "prompt_tokens": tokens, "completion_tokens": 10 } }),
            )
        }
    };
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status.try_into().expect("a status");
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    Ok(response)
}

async fn ask(stack: &Stack, caller: &str) {
    let request = Request::post("http://any.test/v1/chat/completions");
    let request = request.extension(Caller(caller.into())).header(caller, "");
    let request = request.body(r#"{"messages":[],"max_tokens":10}"#.to_owned());
    let service = stack.layer().layer(service_fn(answer));
    let response = service.oneshot(request.expect("a request")).await;
    let body = response.expect("an answer").into_body();
    body.collect().await.expect("a whole answer");
}

#[tokio::test(start_paused = true)]
async fn a_line_for_each_upstream_says_why_it_is_not_asked_and_what_is_left() {
    let stack = stack();
    for _ in 0..3 {
        ask(&stack, "anna").await;
    }
    stack.breaker().force_open("openai/large");
    let told = stack.status().to_string();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "groq/small: circuit closed, cooling down for 5 minutes (quota exhausted), last failure 1 second ago (quota exhausted)"
    );
    let clock = TokioClock;
    clock
        .sleep_until(clock.now() + Duration::from_secs(12))
        .await;
    let later = stack.status().to_string();
    assert!(
        later.contains("last failure 12 seconds ago (quota exhausted)\n"),
        "{later}"
    );
    assert_eq!(
        lines[1],
        "openai/large: circuit forced open, 3 of 10 requests per minute, 120 of 1000 tokens per day"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_was_lifted_is_not_told_any_more() {
    let stack = stack();
    stack
        .limiter()
        .set_quota("openai/large", Quota::new())
        .expect("a quota");
    let told = stack.status().to_string();
    assert!(told.ends_with("openai/large: circuit closed\n"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn usage_beyond_all_measure_is_no_reason_to_panic() {
    let stack = stack();
    ask(&stack, "beyond").await;
    let told: Value = serde_json::from_str(&stack.status().to_json()).expect("JSON");
    assert_eq!(told["totals"]["tokens"], u64::MAX);
}

#[tokio::test(start_paused = true)]
async fn the_same_as_json_is_for_pages() {
    let stack = stack();
    ask(&stack, "anna").await;
    let told: Value = serde_json::from_str(&stack.status().to_json()).expect("JSON");
    assert_eq!(
        told["upstreams"][1],
        json!({
            "id": "openai/large", "circuit": "closed", "probe_after_ms": null,
            "cooling_ms": null, "cooling_reason": null, "paused_ms": null,
            "queued": 0, "in_flight": 0, "answered": 1, "failed": 0, "last_failure": null, "last_failure_ms": null,
            "limits": [
                { "name": "requests per 60s", "limit": "10 requests per 60s", "dimension": "requests", "per_s": 60.0, "amount": 10, "used": 1, "taken": 0.1, "is_shadow": false },
                { "name": "tokens per 86400s", "limit": "1000 tokens per 86400s", "dimension": "tokens", "per_s": 86400.0, "amount": 1000, "used": 40, "taken": 0.04, "is_shadow": false },
            ],
            "shared": [],
        })
    );
    assert_eq!(told["upstreams"][0]["cooling_reason"], "quota_exhausted");
    assert_eq!(told["upstreams"][0]["failed"], 1);
    assert_eq!(told["upstreams"][0]["last_failure"], "quota_exhausted");
    assert_eq!(told["upstreams"][0]["last_failure_ms"], 0);
    let totals = json!({ "answered": 1, "failed": 1, "tokens": 40, "cost": "0.00005", "cost_nanos": 50_000 });
    assert_eq!(told["totals"], totals);
}

/// By the grammar of OpenMetrics 1.0, as far as it is used: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
#[tokio::test(start_paused = true)]
async fn metrics_keep_to_the_rules_of_their_format() {
    let stack = stack();
    for _ in 0..3 {
        ask(&stack, "anna").await;
    }
    stack.breaker().disable("groq/small");
    // A window, a bucket and a shadow of the same amount and period.
    let alike = || Limit::requests(10).per_minute();
    let quota = Quota::new()
        .limit(alike())
        .limit(alike().burst(20))
        .limit(alike().shadow());
    stack
        .limiter()
        .set_quota("openai/large", quota)
        .expect("a quota");
    let limiter = by_caller().observe(stack.stats().clone());
    let service = RateLimitLayer::new(limiter).layer(service_fn(answer));
    let request = Request::post("/").extension(Caller("a\\b\"c\nd".into()));
    let request = request.body(Full::default()).expect("a request");
    service.oneshot(request).await.expect("an answer");
    assert!(OPEN_METRICS.starts_with("application/openmetrics-text; version=1.0.0"));
    let text = stack.open_metrics();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    let (mut family, mut kind) = ("", "");
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    for line in &lines[..lines.len() - 1] {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name");
            assert!(families.insert(family), "{family} stands in one place");
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            kind = told.strip_prefix(family).expect("the same name").trim();
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            assert_eq!(unit, format!("{family} seconds"));
            assert!(family.ends_with("_seconds"));
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().expect("a number");
            assert!(samples.insert(series), "{series} stands once");
            let name = series.split('{').next().expect("a name");
            let suffix = name.strip_prefix(family).expect("the same name");
            let allowed: &[&str] = match kind {
                "counter" => &["_total"],
                "summary" => &["", "_sum", "_count"],
                "gauge" => &[""],
                kind => panic!("{kind}"),
            };
            assert!(allowed.contains(&suffix), "{line}");
        }
    }
    for wanted in [
        r#"tower_upstream_requests_total{upstream="openai/large",end="answered"} 3"#,
        r#"tower_upstream_requests_total{upstream="groq/small",end="failed",error_type="quota_exhausted"} 1"#,
        r#"tower_upstream_tokens_output_total{upstream="openai/large"} 30"#,
        r#"tower_upstream_limiter_taken{key="openai/large",dimension="requests",per="60s"} 0.3"#,
        r#"tower_upstream_limiter_taken{key="openai/large",dimension="requests",per="60s",shadow="true"} 0"#,
        r#"tower_upstream_limiter_admitted_total{key="a\\b\"c\nd"} 1"#,
        r#"tower_upstream_circuit_state{key="groq/small"} -1"#,
    ] {
        assert!(lines.contains(&wanted), "{wanted} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_made_up_do_not_grow_the_metrics_without_bound() {
    let stack = stack();
    let limiter = by_caller().observe(stack.stats().clone());
    let service = RateLimitLayer::new(limiter).layer(service_fn(answer));
    for number in 0..1_100 {
        let request = Request::post("/").extension(Caller(number.to_string().into()));
        let request = request.body(Full::default()).expect("a request");
        service.clone().oneshot(request).await.expect("an answer");
    }
    let text = stack.open_metrics();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("tower_upstream_limiter_admitted_total"));
    assert_eq!(rows.count(), 1_001);
    assert!(text.contains("(others)"));
}
