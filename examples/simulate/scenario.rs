//! What is simulated, as its JSON file says. The README beside the example tells of each field.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tower_upstream::{Priority, Provider, Quota, Upstream, signal::hint};

use crate::{
    arrivals::Pattern,
    costs::Costs,
    fields::{Field, Object, ScenarioError},
    limit::{LimitSettings, Way},
    upstream::TokenCounting,
};

/// A whole scenario.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// The time of day at which it begins.
    pub(crate) start: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) queue_capacity: usize,
    pub(crate) upstreams: Vec<UpstreamSettings>,
    pub(crate) traffic: Vec<Traffic>,
}

/// An upstream, and what our client takes its quota to be.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamSettings {
    pub(crate) limits: Vec<LimitSettings>,
    pub(crate) max_concurrent: Option<u64>,
    pub(crate) tokens: TokenCounting,
    pub(crate) has_headers: bool,
    pub(crate) tells_usage: bool,
    pub(crate) head: Duration,
    pub(crate) body: Duration,
    pub(crate) way: Duration,
    pub(crate) way_jitter: Duration,
    /// Other clients of the same quota.
    pub(crate) others: Vec<(Pattern, Costs)>,
    /// What our client knows of it, its own idea of the quota included.
    pub(crate) known: Upstream,
}

/// Requests that our client is to make.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// The index of the upstream.
    pub(crate) to: usize,
    pub(crate) arrivals: Pattern,
    pub(crate) costs: Costs,
    /// Each priority, and how many of all requests have it, from 0 to 1.
    pub(crate) priorities: Vec<(Priority, f64)>,
    pub(crate) cancel: Option<Cancel>,
}

/// Callers that go away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancel {
    /// How many of them do, from 0 to 1.
    pub(crate) share: f64,
    /// How long they wait for their answer.
    pub(crate) after: Duration,
}

impl Scenario {
    pub(crate) fn parse(text: &str) -> Result<Self, ScenarioError> {
        let document: Value = serde_json::from_str(text)
            .map_err(|error| ScenarioError::new("", format!("not JSON: {error}")))?;
        let mut object = Field::document(&document).object()?;
        let seed = object.find_or("seed", 0, |field| field.whole(0))?;
        let start = object.find_or("start", UNIX_EPOCH, date)?;
        let duration = object.need("duration_seconds")?.seconds()?;
        let max_wait = object.find_or("max_wait_seconds", Some(MAX_WAIT), |field| {
            match field.is_null() {
                true => Ok(None),
                false => field.seconds().map(Some),
            }
        })?;
        let queue_capacity = object.find_or("queue_capacity", usize::MAX, |field| {
            Ok(usize::try_from(field.whole(0)?).unwrap_or(usize::MAX))
        })?;
        let upstreams = object.need("upstreams")?.list(UpstreamSettings::read)?;
        let names = names(&upstreams)?;
        let traffic = object
            .need("traffic")?
            .list(|field| Traffic::read(field, &names))?;
        object.end()?;
        Ok(Self {
            seed,
            start,
            duration,
            max_wait,
            queue_capacity,
            upstreams,
            traffic,
        })
    }
}

impl UpstreamSettings {
    pub(crate) fn name(&self) -> &str {
        self.known.provider().name()
    }

    fn read(field: Field<'_>) -> Result<Self, ScenarioError> {
        let mut object = field.object()?;
        let name_field = object.need("name")?;
        let name = name_field.text()?;
        let limits = object.find_or("limits", Vec::new(), |field| {
            field.list(LimitSettings::read)
        })?;
        let max_concurrent =
            object.find_or("max_concurrent", None, |field| Ok(Some(field.whole(1)?)))?;
        let tokens = object.find_or("token_counting", TokenCounting::Corrected, |field| {
            field.one_of(&[
                ("estimated", TokenCounting::Estimated),
                ("corrected", TokenCounting::Corrected),
                ("at_end", TokenCounting::AtEnd),
            ])
        })?;
        let has_headers = object.find_or("headers", true, |field| field.flag())?;
        let tells_usage = object.find_or("usage", true, |field| field.flag())?;
        let mut millis =
            |name| object.find_or(name, Duration::ZERO, |field: Field<'_>| field.millis());
        let (head, body) = (millis("head_ms")?, millis("body_ms")?);
        let (way, way_jitter) = (millis("way_ms")?, millis("way_jitter_ms")?);
        let others = object.find_or("other_clients", Vec::new(), |field| field.list(other))?;
        let quota = match object.find("quota") {
            None => client_quota(&limits, max_concurrent),
            Some(field) => read_quota(&field, &limits, max_concurrent)?,
        };
        object.end()?;
        let provider = Provider::new(name, "http://upstream.invalid");
        let provider = provider.map_err(|error| name_field.expected(&error.to_string()))?;
        let known = provider.model(name).quota(quota);
        Ok(Self {
            limits,
            max_concurrent,
            tokens,
            has_headers,
            tells_usage,
            head,
            body,
            way,
            way_jitter,
            others,
            known: known.map_err(|error| field.expected(&error.to_string()))?,
        })
    }
}

impl Traffic {
    fn read(field: Field<'_>, upstreams: &[(&str, usize)]) -> Result<Self, ScenarioError> {
        let mut object = field.object()?;
        let to = object.need("to")?.one_of(upstreams)?;
        let arrivals = Pattern::read(object.need("arrivals")?)?;
        let costs = object.find_or("cost", Costs::NONE, Costs::read)?;
        let normal = vec![(Priority::Normal, 1.0)];
        let priorities = object.find_or("priorities", normal, |field| {
            let mut object = field.object()?;
            let priorities = priorities(&mut object)?;
            object.end()?;
            match priorities.iter().map(|(_, share)| share).sum::<f64>() {
                sum if (sum - 1.0).abs() < 1e-9 => Ok(priorities),
                _ => Err(field.expected("shares that add up to 1")),
            }
        })?;
        let cancel = object.find_or("cancel", None, |field| {
            let mut object = field.object()?;
            let share = object.need("share")?.share()?;
            let after = object.need("after_ms")?.millis()?;
            object.end()?;
            Ok(Some(Cancel { share, after }))
        })?;
        object.end()?;
        Ok(Self {
            to,
            arrivals,
            costs,
            priorities,
            cancel,
        })
    }
}

/// Each upstream's name, and its index.
fn names(upstreams: &[UpstreamSettings]) -> Result<Vec<(&str, usize)>, ScenarioError> {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for (index, name) in upstreams.iter().map(UpstreamSettings::name).enumerate() {
        if names.iter().any(|(other, _)| *other == name) {
            let what = format!("expected a name that no other upstream has, got {name:?}");
            return Err(ScenarioError::new(
                &format!("upstreams[{index}].name"),
                what,
            ));
        }
        names.push((name, index));
    }
    Ok(names)
}

fn priorities(object: &mut Object<'_>) -> Result<Vec<(Priority, f64)>, ScenarioError> {
    let mut share = |name| object.find_or(name, 0.0, |field: Field<'_>| field.share());
    Ok(vec![
        (Priority::High, share("high")?),
        (Priority::Normal, share("normal")?),
        (Priority::Low, share("low")?),
    ])
}

fn other(field: Field<'_>) -> Result<(Pattern, Costs), ScenarioError> {
    let mut object = field.object()?;
    let arrivals = Pattern::read(object.need("arrivals")?)?;
    let costs = object.find_or("cost", Costs::NONE, Costs::read)?;
    object.end()?;
    Ok((arrivals, costs))
}

/// The client's own idea of the quota; where it says nothing of limits, it is the true one.
fn read_quota(
    field: &Field<'_>,
    limits: &[LimitSettings],
    max_concurrent: Option<u64>,
) -> Result<Quota, ScenarioError> {
    let mut object = field.object()?;
    let limits = object.find_or("limits", limits.to_vec(), |field| field.list(client_limit))?;
    let max_concurrent = object.find_or("max_concurrent", max_concurrent, |field| {
        Ok(Some(field.whole(1)?))
    })?;
    let margin = object.find_or("margin_ms", Duration::ZERO, |field| field.millis())?;
    let mut quota = client_quota(&limits, max_concurrent).margin(margin);
    if let Some(interval) = object.find("min_interval_ms") {
        quota = quota.min_interval(interval.millis()?);
    }
    if let Some(tokens) = object.find("max_tokens_per_request") {
        quota = quota.max_tokens_per_request(tokens.whole(1)?);
    }
    if object.find_or("keep_estimates", false, |field| field.flag())? {
        quota = quota.keep_estimates();
    }
    object.end()?;
    Ok(quota)
}

fn client_limit(field: Field<'_>) -> Result<LimitSettings, ScenarioError> {
    let limit = LimitSettings::read(field.clone())?;
    match limit.way {
        Way::FirstUse => Err(field.expected("a limit that the crate can count")),
        _ => Ok(limit),
    }
}

fn client_quota(limits: &[LimitSettings], max_concurrent: Option<u64>) -> Quota {
    let limits = limits.iter().map(|limit| limit.for_client());
    let quota = limits.fold(Quota::new(), Quota::limit);
    match max_concurrent {
        Some(most) => quota.max_concurrent(u32::try_from(most).unwrap_or(u32::MAX)),
        None => quota,
    }
}

fn date(field: Field<'_>) -> Result<SystemTime, ScenarioError> {
    let date = hint::parse_date(field.text()?, UNIX_EPOCH);
    date.ok_or_else(|| field.expected("a date such as \"2026-01-05T09:00:00Z\""))
}

// The limiter's own default.
const MAX_WAIT: Duration = Duration::from_secs(90);
