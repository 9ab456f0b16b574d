//! What a stack has counted, in the form of OpenMetrics.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

use super::handle::Stack;
use crate::{
    circuit_breaker::CircuitState,
    observe::{KeyStats, Latency, UpstreamStats},
};

/// The content type of what [`Stack::open_metrics`] tells.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Stack {
    /// What has been counted, and how circuits and limits stand, in the text form of
    /// [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/), to be answered to Prometheus with the content type
    /// [`OPEN_METRICS`].
    ///
    /// Names are those of the feature `metrics`, as exporters for Prometheus write them, where [`Stats`](crate::observe::Stats)
    /// tell the same; what are histograms there are summaries here, and a limit in shadow mode has a label. Circuits and limits are
    /// those of the upstreams that the stack was built with. The rows are those of `Stats`, which are bounded; keys of
    /// limiters are labels, so that keys of yours that nobody may see are no keys to limit by. For a recorder of your own, see
    /// [the guide](crate::guide::observe).
    pub fn open_metrics(&self) -> String {
        text(self)
    }
}

fn text(stack: &Stack) -> String {
    let (all, mut text) = (stack.stats().snapshot(), Text::default());
    text.family("requests", "counter", "requests by their end");
    for (id, row) in &all.upstreams {
        let failed = row
            .failed
            .iter()
            .map(|(kind, count)| ("failed", kind.as_str(), *count));
        let ends = [
            ("answered", row.answered),
            ("broken", row.broken),
            ("cancelled", row.cancelled),
        ];
        for (end, kind, count) in ends
            .map(|(end, count)| (end, "", count))
            .into_iter()
            .chain(failed)
        {
            let labels = [("upstream", &**id), ("end", end), ("error_type", kind)];
            text.sample("_total", &labels, count);
        }
    }
    for (name, help, count) in OF_UPSTREAMS {
        text.family(name, "counter", help);
        for (id, row) in &all.upstreams {
            text.sample("_total", &[("upstream", id)], count(row));
        }
    }
    for (name, help, of) in TIMES {
        text.family(name, "summary", help);
        for (id, times) in all.upstreams.iter().map(|(id, row)| (id, of(row))) {
            for (quantile, time) in [("0.5", times.p50), ("0.9", times.p90), ("0.99", times.p99)] {
                let labels = [("upstream", &**id), ("quantile", quantile)];
                let time = if times.count == 0 {
                    f64::NAN
                } else {
                    time.as_secs_f64()
                };
                text.sample("", &labels, time);
            }
            let sum = times.mean.as_secs_f64() * times.count as f64;
            text.sample("_sum", &[("upstream", id)], sum);
            text.sample("_count", &[("upstream", id)], times.count);
        }
    }
    for (name, help, count) in OF_KEYS {
        text.family(name, "counter", help);
        for (key, row) in &all.keys {
            text.sample("_total", &[("key", key)], count(row));
        }
    }
    text.family(
        "limiter_taken",
        "gauge",
        "share of a limit, 1.0 where nothing is left",
    );
    for upstream in stack.upstreams() {
        // Of several that no label tells apart, such as a window and a bucket, the fullest.
        let mut taken = BTreeMap::<_, f64>::new();
        for limit in stack.limiter().status(upstream.id()).limits {
            let shadow = if limit.is_shadow { "true" } else { "" };
            let labels = (limit.dimension.as_str(), limit.per, shadow);
            let fullest = taken.entry(labels).or_default();
            *fullest = fullest.max(limit.taken());
        }
        for ((dimension, per, shadow), taken) in taken {
            let per = format!("{per:?}");
            let labels = [
                ("key", upstream.id()),
                ("dimension", dimension),
                ("per", &per),
                ("shadow", shadow),
            ];
            text.sample("", &labels, taken);
        }
    }
    text.family(
        "circuit_state",
        "gauge",
        "0 closed, 1 half open, 2 open, -1 disabled",
    );
    for upstream in stack.upstreams() {
        let state = match stack.breaker().state(upstream.id()) {
            CircuitState::HalfOpen => 1,
            CircuitState::Open | CircuitState::ForcedOpen => 2,
            CircuitState::Disabled => -1,
            _ => 0,
        };
        text.sample("", &[("key", upstream.id())], state);
    }
    text.family("exhausted", "counter", "requests for which nobody was left");
    text.sample("_total", &[], all.exhausted);
    text.family(
        "deadlines_exceeded",
        "counter",
        "requests that came after their deadline, by layer",
    );
    for (layer, count) in &all.deadlines_exceeded {
        text.sample("_total", &[("layer", layer)], count);
    }
    text.written + "# EOF\n"
}

#[derive(Default)]
struct Text {
    written: String,
    family: String,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.family = format!("tower_upstream_{name}");
        let (text, name) = (&mut self.written, &self.family);
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        if name.ends_with("_seconds") {
            let _ = writeln!(text, "# UNIT {name} seconds");
        }
    }

    /// Labels that are empty are the same as none.
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let escaped = |value: &str| {
            value
                .replace('\\', r"\\")
                .replace('"', r#"\""#)
                .replace('\n', r"\n")
        };
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let (labels, name) = (labels.join(","), &self.family);
        let _ = writeln!(self.written, "{name}{suffix}{{{labels}}} {value}");
    }
}

type Row<T, V> = (&'static str, &'static str, fn(&T) -> V);

const OF_UPSTREAMS: [Row<UpstreamStats, u64>; 9] = [
    ("tokens_input", "tokens of prompts", |row| row.input_tokens),
    (
        "tokens_cached",
        "tokens of prompts that came out of a cache",
        |row| row.cached_tokens,
    ),
    ("tokens_output", "tokens of answers", |row| {
        row.output_tokens
    }),
    (
        "money_nanos",
        "billionths of a unit of money that tokens came to",
        |row| row.money.nanos(),
    ),
    (
        "answers_truncated",
        "answers that stopped at their maximum of tokens",
        |row| row.truncated,
    ),
    ("retries", "requests sent again", |row| row.retries),
    (
        "retries_given_up",
        "failures that were passed on though another attempt might have cured them",
        |row| row.gave_up,
    ),
    (
        "cooldowns",
        "how often an upstream was left alone for a while",
        |row| row.cooldowns,
    ),
    (
        "switches",
        "requests that went on to another upstream because this one failed",
        |row| row.switched_away,
    ),
];

const OF_KEYS: [Row<KeyStats, u64>; 7] = [
    ("limiter_admitted", "requests let through", |row| {
        row.admitted
    }),
    ("limiter_queued", "requests that waited", |row| row.queued),
    (
        "limiter_left",
        "requests whose caller left the queue",
        |row| row.left,
    ),
    ("limiter_refused", "requests refused", KeyStats::refused),
    (
        "limiter_shadowed",
        "requests that a limit in shadow mode would have held back",
        |row| row.shadowed,
    ),
    (
        "limiter_learned",
        "answers that told of a limit that was not known, or that less was left of one",
        |row| row.learned,
    ),
    (
        "limiter_paused",
        "how often everybody was held back",
        |row| row.paused,
    ),
];

const TIMES: [Row<UpstreamStats, Latency>; 3] = [
    ("head_seconds", "time to the head of an answer", |row| {
        row.head
    }),
    (
        "content_seconds",
        "time to the first of the answer itself",
        |row| row.content,
    ),
    ("answer_seconds", "time to the end of an answer", |row| {
        row.took
    }),
];
