//! [`StackStatus`]: how everything stands at one moment.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::handle::Stack;
use crate::{
    circuit_breaker::CircuitState,
    fallback::Cooldown,
    money::Money,
    observe::{End, LastFailure, Snapshot, UpstreamStats},
    outcome::FailureKind,
    period, plain_words,
    rate_limit::{LimitStatus, RateLimiter, Status},
    upstream::Upstream,
};

/// How everything stands at one moment: what [`Stack::status`] tells.
///
/// Displayed, it is a line for each upstream; [`to_json`](Self::to_json) is for pages and other programs.
///
/// ```
/// use tower_upstream::{Limit, Provider, Quota, Stack};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let quota = Quota::new().limit(Limit::requests(20).per_minute());
/// let stack = Stack::builder().upstream(Provider::ollama().model("llama3.2").quota(quota)?).build()?;
/// assert_eq!(stack.status().to_string(), "ollama/llama3.2: circuit closed, 0 of 20 requests per minute\n");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StackStatus {
    /// Those that the stack was built with, in the order in which they were listed. Those that its
    /// [`router`](Stack::router) was given since are in the `stats` alone.
    pub upstreams: Vec<UpstreamStatus>,
    /// What has been counted; empty where the stack keeps no [`Stats`](crate::observe::Stats).
    pub stats: Snapshot,
}

/// How one upstream stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// Its id.
    pub id: Arc<str>,
    /// Where its circuit stands.
    pub circuit: CircuitState,
    /// How long until its open circuit lets a probe through; `None` in other states.
    pub probe_after: Option<Duration>,
    /// Why and how long it is left alone, by itself or with its whole account: the longer of the two.
    pub cooldown: Option<Cooldown>,
    /// Its limits, its queue, and what is under way, by [`Stack::limiter`].
    pub limiter: Status,
    /// The same by each other of the [`Stack::limiters`] that holds its requests, in their order: of its account, of all requests
    /// together. Not by one whose key is read from each request.
    pub shared: Vec<SharedStatus>,
    /// Its last failure; `None` where there was none, and where the stack keeps no [`Stats`](crate::observe::Stats).
    pub last_failure: Option<LastFailure>,
}

/// How a limiter stands that an upstream shares with others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStatus {
    /// Who shares it: `all`, each `provider`, or `upstream` and `host` for a second limiter by these.
    pub scope: &'static str,
    /// The key that it stands under: empty for all requests together, the provider's name for an account.
    pub key: Arc<str>,
    /// Limits, queue, and what is under way, of all who share it.
    pub limiter: Status,
}

impl Stack {
    /// How everything stands: circuits, cooldowns, limits and figures of each upstream. It takes the locks of all of them one
    /// after the other, so that ask it a few times a second at most.
    pub fn status(&self) -> StackStatus {
        let cooldowns = self.cooldowns().list();
        let (upstreams, stats) = (self.upstreams().iter(), self.stats().snapshot());
        let status = |it: &Upstream| self.status_of(it, &cooldowns, &stats);
        StackStatus {
            upstreams: upstreams.map(status).collect(),
            stats,
        }
    }

    fn status_of(
        &self,
        upstream: &Upstream,
        cooldowns: &[Cooldown],
        stats: &Snapshot,
    ) -> UpstreamStatus {
        let id = upstream.id();
        let circuit = self.breaker().metrics(id);
        let is_its = |it: &&Cooldown| {
            let key = if it.account_wide {
                upstream.provider().name()
            } else {
                id
            };
            *it.key == *key
        };
        let others = self.limiters().iter();
        let others = others.filter(|it| !it.is_same(self.limiter()));
        UpstreamStatus {
            id: id.into(),
            circuit: circuit.map_or_else(|| self.breaker().state(id), |it| it.state),
            probe_after: circuit.and_then(|it| it.retry_after),
            // They are sorted by the time that is left.
            cooldown: cooldowns.iter().rev().find(is_its).cloned(),
            limiter: self.limiter().status_of(upstream).unwrap_or_default(),
            shared: others.filter_map(|it| shared(it, upstream)).collect(),
            last_failure: stats.upstreams.get(id).and_then(|row| row.last_failure),
        }
    }
}

/// How a limiter stands that holds an upstream's requests beside its own.
fn shared(limiter: &RateLimiter, upstream: &Upstream) -> Option<SharedStatus> {
    Some(SharedStatus {
        scope: limiter.scope_name(),
        key: limiter.key_of_all(upstream)?.into(),
        limiter: limiter.status_of(upstream)?,
    })
}

impl StackStatus {
    /// One JSON object, on one line, times in whole milliseconds, rounded up:
    ///
    /// - `upstreams`, for each `id`, `circuit` (`closed`, `open`, `half_open`, `forced_open`, `forced_closed`, `disabled`),
    ///   `probe_after_ms`, `cooling_ms`, `cooling_reason`, `paused_ms` (`null` where there is none), `queued`, `in_flight`,
    ///   `answered`, `failed`, `last_failure` (a [`FailureKind`](crate::FailureKind) in snake case, or `broken`) and
    ///   `last_failure_ms`, how long ago that was (`null` where there was none), and `limits`. Each of those is told in words, as
    ///   `name` (`requests per 60s`) and `limit` (`10 requests per 60s`), and in figures: `dimension`, `per_s`, `amount`, `used`,
    ///   the share `taken`, from 0 to 1, and `is_shadow`. `shared` has the other limiters that hold its requests, each with `scope`
    ///   (`all`, `provider`), `key`, `paused_ms`, `queued`, `in_flight` and `limits` of all who share it.
    /// - `totals` of all upstreams, with `answered`, `failed`, `tokens`, `cost` (such as `0.25`, of what prices are in) and
    ///   `cost_nanos`.
    pub fn to_json(&self) -> String {
        let rows = &self.stats.upstreams;
        let upstreams = self.upstreams.iter().map(|upstream| {
            let figures = rows.get(&upstream.id).cloned().unwrap_or_default();
            upstream.json(&figures)
        });
        let sum =
            |of: fn(&UpstreamStats) -> u64| rows.values().map(of).fold(0, u64::saturating_add);
        let cost = sum(|it| it.money.nanos());
        json!({
            "upstreams": upstreams.collect::<Value>(),
            "totals": {
                "answered": sum(|it| it.answered),
                "failed": sum(failed),
                "tokens": sum(|it| it.input_tokens.saturating_add(it.output_tokens)),
                "cost": Money::from_nanos(cost).to_string(),
                "cost_nanos": cost,
            },
        })
        .to_string()
    }
}

impl UpstreamStatus {
    fn json(&self, figures: &UpstreamStats) -> Value {
        json!({
            "id": &*self.id,
            "circuit": self.circuit.as_str(),
            "probe_after_ms": millis(self.probe_after),
            "cooling_ms": millis(self.cooldown.as_ref().map(|it| it.remaining)),
            "cooling_reason": self.cooldown.as_ref().map(|it| it.kind.as_str()),
            "paused_ms": millis(self.limiter.paused),
            "queued": self.limiter.queued,
            "in_flight": self.limiter.in_flight,
            "answered": figures.answered,
            "failed": failed(figures),
            "last_failure": self.last_failure.map(|it| kind(it.end)),
            "last_failure_ms": millis(self.last_failure.map(|it| it.ago)),
            "limits": limits(&self.limiter),
            "shared": self.shared.iter().map(SharedStatus::json).collect::<Value>(),
        })
    }
}

fn kind(end: End) -> &'static str {
    end.failure().map_or(end.as_str(), FailureKind::as_str)
}

impl SharedStatus {
    fn json(&self) -> Value {
        json!({
            "scope": self.scope,
            "key": &*self.key,
            "paused_ms": millis(self.limiter.paused),
            "queued": self.limiter.queued,
            "in_flight": self.limiter.in_flight,
            "limits": limits(&self.limiter),
        })
    }
}

fn millis(time: Option<Duration>) -> Option<u64> {
    time.map(|time| period::whole_millis(time).as_millis() as u64)
}

fn limits(status: &Status) -> Value {
    status.limits.iter().map(limit).collect()
}

fn limit(limit: &LimitStatus) -> Value {
    let per = match limit.is_monthly() {
        true => "month".into(),
        false => format!("{:?}", limit.per),
    };
    let amount = plain_words::amount(limit.amount, limit.dimension);
    json!({
        "name": format!("{} per {per}", limit.dimension),
        "limit": format!("{amount} per {per}"),
        "dimension": limit.dimension.as_str(),
        "per_s": limit.per.as_secs_f64(),
        "amount": limit.amount,
        "used": limit.used,
        "taken": limit.taken(),
        "is_shadow": limit.is_shadow,
    })
}

fn failed(figures: &UpstreamStats) -> u64 {
    figures.failures().saturating_add(figures.broken)
}

/// A line for each upstream.
impl fmt::Display for StackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.upstreams.iter().try_for_each(|it| writeln!(f, "{it}"))
    }
}

/// What there is to tell, and no more, such as `groq/llama: circuit open for 12 seconds, 20 of 20 requests per minute,
/// 3 waiting, last failure 5 seconds ago (rate limited); all requests together: 30 of 90 requests per minute, 5 under way`.
impl fmt::Display for UpstreamStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: circuit {}", self.id, self.circuit)?;
        if let Some(wait) = self.probe_after {
            write!(f, " for {}", plain_words::in_words(wait))?;
        }
        if let Some(cooldown) = &self.cooldown {
            let left = plain_words::in_words(cooldown.remaining);
            write!(f, ", cooling down for {left} ({})", cooldown.kind)?;
        }
        for fact in facts(&self.limiter) {
            write!(f, ", {fact}")?;
        }
        if let Some(failure) = self.last_failure {
            write!(f, ", last failure {failure}")?;
        }
        let limited = self.shared.iter().filter(|it| it.has_something_to_tell());
        limited.into_iter().try_for_each(|it| write!(f, "; {it}"))
    }
}

impl SharedStatus {
    /// One without limits, in which nobody is held back, is no news.
    fn has_something_to_tell(&self) -> bool {
        let Status {
            limits,
            queued,
            paused,
            ..
        } = &self.limiter;
        !limits.is_empty() || *queued > 0 || paused.is_some()
    }
}

/// Such as `all requests together: 2 of 2 requests per minute, 3 waiting`.
impl fmt::Display for SharedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            "all" => f.write_str("all requests together")?,
            "provider" => write!(f, "all of {}", self.key)?,
            _ => f.write_str("as well")?,
        }
        write!(f, ": {}", facts(&self.limiter).join(", "))
    }
}

fn facts(status: &Status) -> Vec<String> {
    let paused = status.paused.map(plain_words::in_words);
    let paused = paused.map(|wait| format!("paused for {wait}"));
    let limits = status.limits.iter().map(|limit| {
        let amount = plain_words::amount(limit.amount, limit.dimension);
        let used = plain_words::figure(limit.used, limit.dimension);
        format!("{used} of {amount} {}", limit.period_in_words())
    });
    let under_way = (status.in_flight > 0).then(|| format!("{} under way", status.in_flight));
    let waiting = (status.queued > 0).then(|| format!("{} waiting", status.queued));
    let facts = paused.into_iter().chain(limits);
    facts.chain(under_way).chain(waiting).collect()
}
