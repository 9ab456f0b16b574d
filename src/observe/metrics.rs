//! [`Metrics`]: events for recorders of the `metrics` facade.

mod describe;
mod labels;

use std::{fmt, sync::Arc, time::Duration};

use metrics::{Label, counter, gauge, histogram};

use self::{describe::describe, labels::Names};
use super::{
    events::Event,
    fields::reason_of,
    limit_use::LimitUse,
    names::{OTHERS, gen_ai_provider},
    observer::Observer,
    receipt::Receipt,
};
use crate::money::Money;

/// An observer that feeds the recorder of the [`metrics`](https://docs.rs/metrics) facade: see the table in the
/// [module docs](super#metrics).
///
/// Install the recorder first: the metrics are described to the one that is there when this is made.
///
/// Labels are bounded. The ids of upstreams, the kinds of failures, and the reasons come from the configuration and from
/// this crate. Keys of limiters and breakers may be made of what callers send: the first 200 different ones are labels, and
/// [so many](Self::most_labels) upstreams, and all beyond are `(others)`.
///
/// ```
/// use tower_upstream::{RateLimiter, observe::Metrics};
///
/// let metrics = Metrics::new();
/// let limiter = RateLimiter::default().observe(metrics.clone());
/// # let _ = limiter;
/// ```
#[derive(Clone)]
pub struct Metrics {
    names: Arc<Known>,
}

/// Names that are labels.
struct Known {
    upstreams: Names,
    keys: Names,
}

impl Metrics {
    /// Describes the metrics to the recorder that is installed.
    pub fn new() -> Self {
        describe();
        Self::of(MOST_LABELS)
    }

    /// Takes at most so many different upstreams, and as many keys, for labels, at least 1. Default: 200. The number of time
    /// series can be as many times as large as an upstream has kinds of failures.
    #[must_use]
    pub fn most_labels(self, names: usize) -> Self {
        Self::of(names)
    }

    fn of(most: usize) -> Self {
        let names = Known {
            upstreams: Names::new(most.max(1)),
            keys: Names::new(most.max(1)),
        };
        Self {
            names: Arc::new(names),
        }
    }

    fn upstream(&self, name: &'static str, id: &str) -> Label {
        Label::new(name, self.names.upstreams.admit(id))
    }

    fn key(&self, key: &str) -> Label {
        Label::new("key", self.names.keys.admit(key))
    }

    fn ended(&self, receipt: &Receipt<'_>) {
        let upstream = self.upstream("upstream", receipt.upstream);
        let is_known = upstream.value() != OTHERS;
        let name = |name: &str| Arc::<str>::from(if is_known { name } else { OTHERS });
        let mut genai = vec![
            Label::new(
                "gen_ai.provider.name",
                name(gen_ai_provider(receipt.provider)),
            ),
            Label::new("gen_ai.request.model", name(receipt.model)),
        ];
        if !receipt.operation.is_empty() {
            let operation = Label::from_static_parts("gen_ai.operation.name", receipt.operation);
            genai.push(operation);
        }
        for (kind, tokens) in [
            ("input", receipt.usage.input_tokens),
            ("output", receipt.usage.output_tokens),
        ] {
            if let Some(tokens) = tokens {
                let kind = Label::from_static_parts("gen_ai.token.type", kind);
                let labels = with(&genai, kind);
                histogram!("gen_ai.client.token.usage", labels).record(tokens as f64);
            }
        }
        if let Some(after) = receipt.content_after.filter(|_| receipt.is_stream) {
            histogram!("gen_ai.client.operation.time_to_first_chunk", genai.clone()).record(after);
        }
        let end = Label::from_static_parts("end", receipt.end.as_str());
        let mut labels = vec![upstream.clone(), end];
        if let Some(error) = receipt.error_type() {
            let error = Label::from_static_parts("error.type", error);
            labels.push(error.clone());
            genai.push(error);
        }
        histogram!("gen_ai.client.operation.duration", genai).record(receipt.took);
        counter!("tower_upstream.requests", labels).increment(1);
        let of = vec![upstream];
        if receipt.is_truncated {
            counter!("tower_upstream.answers.truncated", of.clone()).increment(1);
        }
        if let Some(cached) = receipt.usage.cached_tokens {
            counter!("tower_upstream.tokens.cached", of.clone()).increment(cached);
        }
        if let Some(nanos) = receipt.money.map(Money::nanos) {
            counter!("tower_upstream.money.nanos", of).increment(nanos);
        }
    }

    fn admitted(&self, key: &str, waited: Duration, limits: &[LimitUse]) {
        let key = self.key(key);
        counter!("tower_upstream.limiter.admitted", vec![key.clone()]).increment(1);
        if !waited.is_zero() {
            histogram!("tower_upstream.limiter.wait", vec![key.clone()]).record(waited);
        }
        for limit in limits {
            let labels = vec![
                key.clone(),
                Label::from_static_parts("dimension", limit.dimension.as_str()),
                Label::new("per", format!("{:?}", limit.per)),
            ];
            gauge!("tower_upstream.limiter.taken", labels).set(limit.share());
        }
    }

    fn circuit(&self, key: &str, state: &'static str, number: f64) {
        let key = self.key(key);
        let to = Label::from_static_parts("state", state);
        counter!("tower_upstream.circuit.changes", vec![key.clone(), to]).increment(1);
        gauge!("tower_upstream.circuit.state", vec![key]).set(number);
    }
}

impl Observer for Metrics {
    fn event(&self, event: &Event<'_>) {
        let error = |kind| Label::from_static_parts("error.type", kind);
        match *event {
            Event::Ended(receipt) => self.ended(receipt),
            Event::Admitted {
                key,
                waited,
                limits,
            } => self.admitted(key, waited, limits),
            Event::Queued { key, .. } => {
                counter!("tower_upstream.limiter.queued", vec![self.key(key)]).increment(1);
            }
            Event::Left { key, .. } => {
                counter!("tower_upstream.limiter.left", vec![self.key(key)]).increment(1);
            }
            Event::Refused { key, reason, .. } => {
                let reason = Label::from_static_parts("reason", reason_of(reason));
                let labels = vec![self.key(key), reason];
                counter!("tower_upstream.limiter.refused", labels).increment(1);
            }
            Event::Shadowed { key, .. } => {
                counter!("tower_upstream.limiter.shadowed", vec![self.key(key)]).increment(1);
            }
            Event::Learned { key, .. } => {
                counter!("tower_upstream.limiter.learned", vec![self.key(key)]).increment(1);
            }
            Event::Paused { key, .. } => {
                counter!("tower_upstream.limiter.paused", vec![self.key(key)]).increment(1);
            }
            Event::Settled { .. } => {}
            Event::Retrying {
                upstream,
                wait,
                failure,
                ..
            } => {
                let upstream = self.upstream("upstream", upstream);
                let labels = vec![upstream.clone(), error(failure.kind.as_str())];
                counter!("tower_upstream.retries", labels).increment(1);
                histogram!("tower_upstream.retry.wait", vec![upstream]).record(wait);
            }
            Event::GaveUp {
                upstream, failure, ..
            } => {
                let upstream = self.upstream("upstream", upstream);
                let labels = vec![upstream, error(failure.kind.as_str())];
                counter!("tower_upstream.retries.given_up", labels).increment(1);
            }
            Event::Opened { key, .. } => self.circuit(key, "open", 2.0),
            Event::HalfOpened { key, .. } => self.circuit(key, "half_open", 1.0),
            Event::Closed { key, .. } => self.circuit(key, "closed", 0.0),
            Event::Disabled { key } => self.circuit(key, "disabled", -1.0),
            Event::CoolingDown { upstream, kind, .. } => {
                let upstream = self.upstream("upstream", upstream);
                let labels = vec![upstream, error(kind.as_str())];
                counter!("tower_upstream.cooldowns", labels).increment(1);
            }
            Event::Switched { from, to, failure } => {
                let labels = vec![
                    self.upstream("from", from),
                    self.upstream("to", to),
                    error(failure.kind.as_str()),
                ];
                counter!("tower_upstream.switches", labels).increment(1);
            }
            Event::Exhausted { .. } => counter!("tower_upstream.exhausted").increment(1),
            Event::DeadlineExceeded { layer, .. } => {
                let layer = Label::from_static_parts("layer", layer);
                counter!("tower_upstream.deadlines.exceeded", vec![layer]).increment(1);
            }
        }
    }

    fn wants_settled(&self) -> bool {
        // The receipt tells it, and with more.
        false
    }
}

fn with(labels: &[Label], more: Label) -> Vec<Label> {
    labels.iter().cloned().chain([more]).collect()
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

const MOST_LABELS: usize = 200;

#[cfg(test)]
#[path = "metrics/tests.rs"]
mod tests;
