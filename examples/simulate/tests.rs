use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{report::Report, run, scenario::Scenario};

/// A ready scenario, cut off after so many seconds.
fn play(name: &str, seconds: u64) -> Report {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulate/scenarios");
    let text = fs::read_to_string(scenarios.join(name)).unwrap();
    let mut scenario = Scenario::parse(&text).unwrap();
    scenario.duration = scenario.duration.min(Duration::from_secs(seconds));
    Report::new(&scenario, &run::play(&scenario))
}

fn play_json(scenario: &Value) -> Report {
    let scenario = Scenario::parse(&scenario.to_string()).unwrap();
    Report::new(&scenario, &run::play(&scenario))
}

/// What holds in each ready scenario. Two wake-ups are what a wait takes: one to become the first, one when the time has
/// come. The limiter adds one where an estimate was wrong.
fn check(name: &str, report: &Report) {
    let used = report.quota_used.expect("somebody waited");
    assert!(used >= 0.99, "{name}: {used} of the quota was used");
    assert_eq!(report.order_inversions, 0, "{name}");
    let wakeups = report.wakeups_per_admission;
    assert!(wakeups <= 3.0, "{name}: {wakeups} wake-ups");
    let refused: usize = report.refused.iter().map(|(_, count)| count).sum();
    let ended = report.answered + refused + report.cancelled + report.too_many_requests;
    assert_eq!(ended + report.unfinished, report.offered, "{name}");
}

#[test]
fn with_the_right_quota_nobody_sees_a_429_however_the_upstream_counts() {
    for (name, seconds) in [
        // Past the hour, for its limits per hour.
        ("multi_provider.json", 4_500),
        ("token_bucket.json", 1_800),
        ("fallback.json", 900),
        ("openai.json", 900),
        ("azure_agents.json", 1_200),
        ("at_end.json", 300),
        ("jitter.json", 600),
    ] {
        let report = play(name, seconds);
        check(name, &report);
        assert_eq!(report.too_many_requests, 0, "{name}");
        assert_eq!(report.largest_overrun, 0, "{name}");
    }
}

#[test]
fn with_another_client_on_the_same_quota_headers_keep_429s_below_one_percent() {
    let report = play("shared_quota.json", 900);
    check("shared_quota.json", &report);
    let seen = report.too_many_requests as f64 / report.admitted as f64;
    assert!(seen < 0.01, "{seen}");
}

#[test]
fn an_upstream_that_tells_nothing_is_used_up_and_refuses_few() {
    let report = play("unknown.json", 900);
    check("unknown.json", &report);
    let seen = report.too_many_requests as f64 / report.admitted as f64;
    assert!((0.0..0.08).contains(&seen), "{seen}");
}

#[test]
fn every_ready_scenario_is_played_by_a_test() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulate/scenarios");
    let own_text = include_str!("tests.rs");
    for file in fs::read_dir(scenarios).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(own_text.contains(&name), "{name}");
    }
}

#[test]
fn the_same_scenario_always_gives_the_same() {
    let told = || play("azure_agents.json", 600).to_json(Duration::ZERO);
    assert_eq!(told(), told());
}

#[test]
fn a_quota_that_is_too_large_is_seen_in_429s() {
    let mut scenario = simple();
    scenario["upstreams"][0]["headers"] = json!(false);
    scenario["upstreams"][0]["quota"] =
        json!({"limits": [{"dimension": "requests", "amount": 70, "per_seconds": 60}]});
    let report = play_json(&scenario);
    assert!(report.too_many_requests > 0);
    assert!(report.quota_used.unwrap() > 0.99);
}

#[test]
fn a_quota_that_is_too_small_is_seen_in_what_is_used() {
    let mut scenario = simple();
    scenario["upstreams"][0]["quota"] =
        json!({"limits": [{"dimension": "requests", "amount": 30, "per_seconds": 60}]});
    let report = play_json(&scenario);
    assert_eq!(report.too_many_requests, 0);
    let used = report.quota_used.unwrap();
    assert!((0.48..0.52).contains(&used), "{used}");
}

#[test]
fn without_a_margin_a_way_of_varying_length_is_seen_in_429s() {
    let mut scenario = simple();
    scenario["upstreams"][0]["headers"] = json!(false);
    scenario["upstreams"][0]["way_jitter_ms"] = json!(500);
    assert!(play_json(&scenario).too_many_requests > 0);
    scenario["upstreams"][0]["quota"] = json!({"margin_ms": 500});
    assert_eq!(play_json(&scenario).too_many_requests, 0);
}

// Answers take 4 s, so that up to 12 requests are under way; 80 % of the quota is used.
#[test]
fn quota_headers_cost_nothing_while_nobody_else_uses_the_quota() {
    let mut scenario = simple();
    let upstream = &mut scenario["upstreams"][0];
    upstream["limits"] = json!([{"dimension": "requests", "amount": 30, "per_seconds": 10}]);
    (upstream["head_ms"], upstream["body_ms"]) = (json!(1_000), json!(3_000));
    scenario["traffic"][0]["arrivals"] = json!({"kind": "constant", "per_second": 4});
    check("headers", &play_json(&scenario));
}

#[test]
fn a_wrong_scenario_is_told_with_the_field_that_is_wrong() {
    let cases = [
        (
            "/duration_seconds",
            json!(0),
            "duration_seconds: expected a number above 0, got 0",
        ),
        (
            "/seed",
            json!(-1),
            "seed: expected a whole number of at least 0, got -1",
        ),
        (
            "/start",
            json!("soon"),
            "start: expected a date such as \"2026-01-05T09:00:00Z\", got \"soon\"",
        ),
        (
            "/colour",
            json!("red"),
            "colour: unknown field; known are seed, start, duration_seconds, max_wait_seconds, queue_capacity, upstreams, traffic",
        ),
        (
            "/upstreams",
            json!({}),
            "upstreams: expected a list, got {}",
        ),
        (
            "/upstreams/0/limits/0/per_seconds",
            json!("x"),
            "upstreams[0].limits[0].per_seconds: expected a number above 0, got \"x\"",
        ),
        (
            "/upstreams/0/limits/0/amount",
            json!(1.5),
            "upstreams[0].limits[0].amount: expected a whole number of at least 1, got 1.5",
        ),
        (
            "/upstreams/0/limits/0/counting",
            json!("leaky"),
            "upstreams[0].limits[0].counting: expected \"sliding\" or \"first_use\" or \"calendar\" or \"bucket\", got \"leaky\"",
        ),
        (
            "/upstreams/0/limits/0/burst",
            json!(5),
            "upstreams[0].limits[0].burst: unknown field; known are dimension, amount, per_seconds, counting",
        ),
        (
            "/upstreams/0/headers",
            json!("yes"),
            "upstreams[0].headers: expected true or false, got \"yes\"",
        ),
        (
            "/upstreams/0/way_ms",
            json!(-3),
            "upstreams[0].way_ms: expected a number of at least 0, got -3",
        ),
        (
            "/upstreams/0/quota",
            json!({"limits": [{"dimension": "tokens", "amount": 1, "per_seconds": 7, "counting": "calendar"}]}),
            "upstreams[0].quota.limits[0].per_seconds: expected a period that a day is made of, got 7",
        ),
        (
            "/traffic/0/to",
            json!("there"),
            "traffic[0].to: expected \"here\", got \"there\"",
        ),
        (
            "/traffic/0/arrivals",
            json!({"kind": "constant"}),
            "traffic[0].arrivals.per_second: missing",
        ),
        (
            "/traffic/0/arrivals/kind",
            json!("often"),
            "traffic[0].arrivals.kind: expected \"constant\" or \"poisson\" or \"bursts\" or \"daily\", got \"often\"",
        ),
        (
            "/traffic/0/cost",
            json!({"input": {"median": 0, "sigma": 1, "max": 9}}),
            "traffic[0].cost.input.median: expected a number above 0, got 0",
        ),
        (
            "/traffic/0/priorities",
            json!({"high": 0.5, "low": 0.4}),
            "traffic[0].priorities: expected shares that add up to 1, got {\"high\":0.5,\"low\":0.4}",
        ),
        (
            "/traffic/0/cancel",
            json!({"share": 2, "after_ms": 1}),
            "traffic[0].cancel.share: expected a number from 0 to 1, got 2",
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut scenario = simple();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        scenario.pointer_mut(parent).unwrap()[name] = value;
        let error = Scenario::parse(&scenario.to_string()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let broken = Scenario::parse("{\"seed\": }").unwrap_err();
    assert!(broken.to_string().starts_with("not JSON: "), "{broken}");
}

#[test]
fn two_upstreams_of_the_same_name_are_a_mistake() {
    let mut scenario = simple();
    let twin = scenario["upstreams"][0].clone();
    scenario["upstreams"].as_array_mut().unwrap().push(twin);
    let error = Scenario::parse(&scenario.to_string()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "upstreams[1].name: expected a name that no other upstream has, got \"here\""
    );
}

/// Twice as many requests as the upstream takes.
fn simple() -> Value {
    json!({
        "duration_seconds": 1_800,
        "upstreams": [{
            "name": "here",
            "limits": [{"dimension": "requests", "amount": 60, "per_seconds": 60}],
        }],
        "traffic": [{"to": "here", "arrivals": {"kind": "poisson", "per_second": 2}}],
    })
}
