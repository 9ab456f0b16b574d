use std::collections::BTreeMap;

use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::*;
use crate::observe::examples::with_events;

/// Every metric with its labels, as text, and its value.
fn recorded(snapshotter: &Snapshotter) -> BTreeMap<String, String> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, unit, description, value)| {
        let key = key.key().clone();
        assert!(description.is_some(), "{} is not described", key.name());
        if key.name() != "tower_upstream.circuit.state" {
            assert!(unit.is_some(), "{} has no unit", key.name());
        }
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        let value = match value {
            DebugValue::Counter(count) => count.to_string(),
            DebugValue::Gauge(value) => value.to_string(),
            DebugValue::Histogram(values) => format!(
                "{:?}",
                values.iter().map(|value| value.0).collect::<Vec<_>>()
            ),
        };
        (name, value)
    })
    .collect()
}

#[test]
fn every_event_is_counted_under_the_names_of_the_table() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    with_local_recorder(&recorder, || {
        let metrics = Metrics::new();
        with_events(|event| metrics.event(event));
    });
    let expected = [
        (
            "gen_ai.client.operation.duration gen_ai.provider.name= gen_ai.request.model=",
            "[0.0]",
        ),
        (
            "gen_ai.client.operation.duration gen_ai.provider.name= gen_ai.request.model= error.type=server_error",
            "[0.0]",
        ),
        (
            "gen_ai.client.operation.duration gen_ai.provider.name= gen_ai.request.model= error.type=stream_broken",
            "[0.0]",
        ),
        (
            "gen_ai.client.operation.duration gen_ai.provider.name=groq gen_ai.request.model=m gen_ai.operation.name=chat",
            "[0.9]",
        ),
        (
            "gen_ai.client.operation.time_to_first_chunk gen_ai.provider.name=groq gen_ai.request.model=m gen_ai.operation.name=chat",
            "[0.15]",
        ),
        (
            "gen_ai.client.token.usage gen_ai.provider.name=groq gen_ai.request.model=m gen_ai.operation.name=chat gen_ai.token.type=input",
            "[7.0]",
        ),
        (
            "gen_ai.client.token.usage gen_ai.provider.name=groq gen_ai.request.model=m gen_ai.operation.name=chat gen_ai.token.type=output",
            "[2.0]",
        ),
        ("tower_upstream.answers.truncated upstream=groq/m", "1"),
        (
            "tower_upstream.circuit.changes key=groq/m state=closed",
            "1",
        ),
        (
            "tower_upstream.circuit.changes key=groq/m state=disabled",
            "1",
        ),
        (
            "tower_upstream.circuit.changes key=groq/m state=half_open",
            "1",
        ),
        ("tower_upstream.circuit.changes key=groq/m state=open", "2"),
        ("tower_upstream.circuit.state key=groq/m", "-1"),
        (
            "tower_upstream.cooldowns upstream=groq/m error.type=quota_exhausted",
            "1",
        ),
        ("tower_upstream.deadlines.exceeded layer=retry", "1"),
        ("tower_upstream.exhausted", "2"),
        ("tower_upstream.limiter.admitted key=groq/m", "1"),
        ("tower_upstream.limiter.learned key=groq/m", "2"),
        ("tower_upstream.limiter.left key=groq/m", "1"),
        ("tower_upstream.limiter.paused key=groq/m", "1"),
        ("tower_upstream.limiter.queued key=groq/m", "1"),
        (
            "tower_upstream.limiter.refused key=groq/m reason=too_large",
            "1",
        ),
        (
            "tower_upstream.limiter.refused key=groq/m reason=wait_too_long",
            "1",
        ),
        ("tower_upstream.limiter.shadowed key=groq/m", "1"),
        (
            "tower_upstream.limiter.taken key=groq/m dimension=tokens per=60s",
            "0.75",
        ),
        ("tower_upstream.limiter.wait key=groq/m", "[3.25]"),
        ("tower_upstream.money.nanos upstream=groq/m", "1500"),
        ("tower_upstream.requests upstream=groq/m end=answered", "1"),
        (
            "tower_upstream.requests upstream=groq/m end=broken error.type=stream_broken",
            "1",
        ),
        ("tower_upstream.requests upstream=groq/m end=cancelled", "1"),
        (
            "tower_upstream.requests upstream=groq/m end=failed error.type=server_error",
            "1",
        ),
        (
            "tower_upstream.retries upstream=groq/m error.type=rate_limited",
            "1",
        ),
        (
            "tower_upstream.retries.given_up upstream=groq/m error.type=rate_limited",
            "1",
        ),
        ("tower_upstream.retry.wait upstream=groq/m", "[3.25]"),
        (
            "tower_upstream.switches from=groq/m to=openai/n error.type=rate_limited",
            "1",
        ),
        ("tower_upstream.tokens.cached upstream=groq/m", "4"),
    ];
    let docs = include_str!("../mod.rs");
    for (name, _) in expected {
        let mut words = name.split(' ');
        let metric = words.next().unwrap();
        let row = docs
            .lines()
            .find(|line| line.starts_with(&format!("//! | `{metric}` |")));
        let row = row.expect(metric);
        let labels = words.map(|label| label.split_once('=').unwrap().0);
        for label in labels.filter(|label| !metric.starts_with("gen_ai") || !COMMON.contains(label))
        {
            assert!(row.contains(&format!("`{label}`")), "{metric}: {label}");
        }
    }
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let recorded: Vec<_> = recorded(&snapshotter).into_iter().collect();
    assert_eq!(recorded, expected);
}

/// What the docs say once for all of them.
const COMMON: [&str; 3] = [
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.operation.name",
];

/// PITFALLS 61: a map keyed by what callers send never shrinks.
#[test]
fn what_callers_make_up_does_not_become_labels_without_bound() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    with_local_recorder(&recorder, || {
        let metrics = Metrics::new().most_labels(3);
        for number in 0..50 {
            let name = format!("tenant-{number}");
            metrics.event(&Event::Disabled { key: &name });
            let mut receipt = Receipt::new(&name, crate::observe::End::Answered);
            receipt.model = &name;
            metrics.event(&Event::Ended(&receipt));
        }
    });
    let recorded = recorded(&snapshotter);
    let count = |name: &str| {
        let names = recorded.keys();
        names.filter(|key| key.starts_with(name)).count()
    };
    assert_eq!(count("tower_upstream.circuit.state"), 4);
    assert_eq!(count("tower_upstream.requests"), 4);
    assert_eq!(count("gen_ai.client.operation.duration"), 4);
    assert_eq!(
        recorded["tower_upstream.circuit.changes key=(others) state=disabled"],
        "47"
    );
}
