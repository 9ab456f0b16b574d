//! What is kept of a key, as JSON.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    fields::{Fields, count, expected, text, time},
    problem::Wrong,
};
use crate::{
    config_error::ConfigError,
    outcome::Dimension,
    rate_limit::{
        calendar::{Every, Zone, ZoneId},
        config::Quota,
        limit::{Counting, Limit},
        saved::{SavedElsewhere, SavedKey, SavedLimit, SavedQuota, SavedTypical, Taking},
    },
};

pub(super) fn of_key(saved: &SavedKey) -> Value {
    let mut json = Map::new();
    json.insert("key".into(), (&*saved.key).into());
    if let Some(until) = saved.paused {
        json.insert("paused_until".into(), until.into());
    }
    if let Some(quota) = &saved.quota {
        json.insert("quota".into(), of_quota(quota));
    }
    let limits: Vec<_> = saved.limits.iter().map(of_limit).collect();
    json.insert("limits".into(), limits.into());
    if let Some(SavedTypical { mean, deviation }) = saved.typical {
        let answers = json!({ "mean": mean, "deviation": deviation });
        json.insert("answers".into(), answers);
    }
    json.into()
}

pub(super) fn to_key(json: Value) -> Result<SavedKey, Wrong> {
    Fields::read(json, |fields| {
        let key = fields.required("key", text)?.into();
        let paused = fields.optional("paused_until", time)?;
        let limits = fields.list("limits", to_limit)?;
        let of_limits = quota_of(&limits);
        of_limits
            .check()
            .map_err(|error| unworkable(&error).within("limits"))?;
        let quota = fields.optional("quota", |json| to_quota(json, of_limits))?;
        let typical = fields.optional("answers", to_typical)?;
        Ok(SavedKey {
            key,
            quota,
            paused,
            limits,
            typical,
        })
    })
}

fn of_quota(SavedQuota { quota, is_set }: &SavedQuota) -> Value {
    let mut json = Map::new();
    for (name, is_so) in [
        ("set", *is_set),
        ("keep_estimates", quota.keeps_estimates),
        ("steady", quota.is_steady),
    ] {
        if is_so {
            json.insert(name.into(), true.into());
        }
    }
    if let Some(requests) = quota.max_concurrent {
        json.insert("max_concurrent".into(), requests.into());
    }
    if let Some(tokens) = quota.max_tokens_per_request {
        json.insert("max_tokens_per_request".into(), tokens.into());
    }
    json.into()
}

fn to_quota(json: Value, mut quota: Quota) -> Result<SavedQuota, Wrong> {
    let requests = |json: Value| {
        let requests = json.as_u64().and_then(|count| u32::try_from(count).ok());
        requests.ok_or_else(|| expected("a whole number from 1 to 4294967295", &json))
    };
    Fields::read(json, |fields| {
        let is_set = fields.flag("set")?;
        quota.keeps_estimates = fields.flag("keep_estimates")?;
        quota.is_steady = fields.flag("steady")?;
        quota.max_concurrent = fields.optional("max_concurrent", requests)?;
        quota.max_tokens_per_request = fields.optional("max_tokens_per_request", count)?;
        quota.check().map_err(|error| unworkable(&error))?;
        let quota = Arc::new(quota);
        Ok(SavedQuota { quota, is_set })
    })
}

/// The quota that the limits make up which were not learned.
fn quota_of(limits: &[SavedLimit]) -> Quota {
    let own = limits.iter().filter(|limit| !limit.is_learned);
    let own = own.map(|saved| &saved.limit);
    // All limits of a quota have its margin.
    let margin = own.clone().map(Limit::margin).max().unwrap_or_default();
    let quota = Quota::new().margin(Duration::from_nanos(margin));
    own.cloned().fold(quota, Quota::limit)
}

fn of_limit(saved: &SavedLimit) -> Value {
    let limit = &saved.limit;
    let taken: Vec<_> = saved.taken.iter().map(of_taking).collect();
    let mut json = Map::new();
    json.insert("dimension".into(), limit.dimension.as_str().into());
    json.insert("amount".into(), limit.amount.into());
    json.insert("per".into(), limit.period().into());
    match &limit.counting {
        Counting::Sliding => {}
        Counting::Bucket { burst } => {
            json.insert("burst".into(), (*burst).into());
        }
        Counting::Calendar { every, zone } => {
            json.insert("calendar".into(), of_calendar(*every, zone));
        }
    }
    if limit.margin() > 0 {
        json.insert("margin".into(), limit.margin().into());
    }
    for (name, is_so) in [
        ("shadow", limit.is_shadow),
        ("spacing", limit.is_spacing),
        ("learned", saved.is_learned),
    ] {
        if is_so {
            json.insert(name.into(), true.into());
        }
    }
    json.insert("taken".into(), taken.into());
    if let Some(SavedElsewhere { amount, until }) = saved.elsewhere {
        let elsewhere = json!({ "amount": amount, "until": until });
        json.insert("elsewhere".into(), elsewhere);
    }
    json.into()
}

fn to_limit(json: Value) -> Result<SavedLimit, Wrong> {
    Fields::read(json, |fields| {
        let dimension = fields.required("dimension", to_dimension)?;
        let amount = fields.required("amount", count)?;
        let per = Duration::from_nanos(fields.required("per", count)?);
        let mut limit = Limit::learned(dimension, amount, per);
        if let Some(burst) = fields.optional("burst", count)? {
            limit = limit.burst(burst);
        }
        let calendar = fields.optional("calendar", |json| to_calendar(json, limit.period()))?;
        match (calendar, &limit.counting) {
            (Some(_), Counting::Bucket { .. }) => {
                return Err(Wrong::new("there is a burst already").within("calendar"));
            }
            (Some(calendar), _) => limit.counting = calendar,
            (None, _) => {}
        }
        let margin = fields.optional("margin", count)?.unwrap_or_default();
        limit.set_margin(Duration::from_nanos(margin));
        limit.is_shadow = fields.flag("shadow")?;
        limit.is_spacing = fields.flag("spacing")?;
        limit.check().map_err(|error| unworkable(&error))?;
        let is_learned = fields.flag("learned")?;
        let taken = fields.list("taken", |json| to_taking(json, &limit.counting))?;
        if taken.len() > 1 && limit.counting != Counting::Sliding {
            let problem = "expected one at most, for the limit does not slide";
            return Err(Wrong::new(problem).within("taken"));
        }
        let elsewhere = fields.optional("elsewhere", to_elsewhere)?;
        Ok(SavedLimit {
            limit,
            is_learned,
            taken,
            elsewhere,
        })
    })
}

fn of_taking(taking: &Taking) -> Value {
    let mut json = Map::new();
    if taking.from != taking.at {
        json.insert("from".into(), taking.from.into());
    }
    json.insert("at".into(), taking.at.into());
    json.insert("amount".into(), taking.amount.into());
    if taking.part > 0 {
        json.insert("part".into(), taking.part.into());
    }
    json.into()
}

fn to_taking(json: Value, counting: &Counting) -> Result<Taking, Wrong> {
    Fields::read(json, |fields| {
        let at = fields.required("at", time)?;
        let amount = fields.required("amount", count)?;
        let (mut from, mut part) = (at, 0);
        match counting {
            Counting::Sliding => from = fields.optional("from", time)?.unwrap_or(at),
            Counting::Bucket { .. } => part = fields.optional("part", count)?.unwrap_or_default(),
            Counting::Calendar { .. } => {}
        }
        if from > at {
            return Err(Wrong::new("expected a time not after `at`").within("from"));
        }
        Ok(Taking {
            from,
            at,
            amount,
            part,
        })
    })
}

fn to_elsewhere(json: Value) -> Result<SavedElsewhere, Wrong> {
    Fields::read(json, |fields| {
        Ok(SavedElsewhere {
            amount: fields.required("amount", count)?,
            until: fields.required("until", time)?,
        })
    })
}

fn to_typical(json: Value) -> Result<SavedTypical, Wrong> {
    Fields::read(json, |fields| {
        Ok(SavedTypical {
            mean: fields.required("mean", count)?,
            deviation: fields.required("deviation", count)?,
        })
    })
}

fn of_calendar(every: Every, zone: &Zone) -> Value {
    let zone: Value = match zone.id() {
        ZoneId::Offset(minutes) => minutes.into(),
        ZoneId::Name(name) => name.into(),
    };
    match every {
        Every::Month => json!({ "zone": zone, "month": true }),
        Every::Period(_) => json!({ "zone": zone }),
    }
}

fn to_calendar(json: Value, period: u64) -> Result<Counting, Wrong> {
    Fields::read(json, |fields| {
        let zone = fields.required("zone", to_zone)?;
        let every = match fields.flag("month")? {
            true => Every::Month,
            false => Every::Period(period),
        };
        Ok(Counting::Calendar { every, zone })
    })
}

fn to_zone(json: Value) -> Result<Zone, Wrong> {
    let minutes = json
        .as_i64()
        .and_then(|minutes| i32::try_from(minutes).ok());
    let id = match (minutes, json.as_str()) {
        (Some(minutes), _) => ZoneId::Offset(minutes),
        (None, Some(name)) => ZoneId::Name(name),
        (None, None) => return Err(expected("an offset in minutes or a zone's name", &json)),
    };
    Zone::of_id(id).map_err(|error| unworkable(&error))
}

fn to_dimension(json: Value) -> Result<Dimension, Wrong> {
    let is_meant = |dimension: &Dimension| Some(dimension.as_str()) == json.as_str();
    let dimension = DIMENSIONS.into_iter().find(is_meant);
    dimension.ok_or_else(|| expected("what a limit counts, such as \"requests\"", &json))
}

fn unworkable(error: &ConfigError) -> Wrong {
    Wrong::new(error.to_string())
}

const DIMENSIONS: [Dimension; 9] = [
    Dimension::Requests,
    Dimension::Tokens,
    Dimension::InputTokens,
    Dimension::OutputTokens,
    Dimension::Money,
    Dimension::Concurrency,
    Dimension::Images,
    Dimension::AudioSeconds,
    Dimension::Other,
];
