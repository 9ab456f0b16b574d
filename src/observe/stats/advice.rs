//! Advice in plain words, each with the figure behind it.

use std::{fmt, sync::Arc};

use super::figures::{KeyStats, Snapshot, UpstreamStats};
use crate::{binding::remedy, outcome::FailureKind};

/// Something that could be better. Written out, it is a sentence or two for whoever runs the program.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Insight {
    /// What it is about.
    pub kind: InsightKind,
    /// The upstream's id, or the key of the limiter or breaker.
    pub subject: Arc<str>,
    /// The share of all that it concerns, from 0.0 to 1.0.
    pub share: f64,
    text: String,
}

/// What an [`Insight`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InsightKind {
    /// Every answer said that the key is wrong or may not do what was asked.
    AccessDenied,
    /// 10 % of all requests or more failed, the limiter's refusals aside.
    Failing,
    /// 2 % or more were refused by the upstream for their rate.
    RateLimitedUpstream,
    /// 5 % or more waited longer than 2 s.
    Waiting,
    /// 1 % or more were refused because the wait was too long for the limiter or the queue full.
    Refused,
    /// 1 % or more were refused because their own deadline would have passed, or did, before their turn.
    OutOfTime,
    /// 1 % or more were larger than a limit ever allows.
    TooLarge,
    /// A limit was taken to 90 % or more, and hardly anybody waited: it is about to hold requests back.
    NearLimit,
    /// 25 % or more went on to another upstream.
    FallingBack,
    /// 5 % or more of the answers were cut off at their maximum of tokens.
    Truncated,
    /// 2 % or more of the answers broke off.
    Breaking,
    /// 10 % or more of the callers went away before the end.
    Cancelled,
    /// 10 % or more of the answers told no usage.
    UsageUnknown,
    /// 1 % or more would have been held back by a limit in shadow mode.
    Shadowed,
}

impl fmt::Display for Insight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All that there is to say, the kinds in the order of their urgency, within a kind the largest share first.
pub(super) fn insights(snapshot: &Snapshot) -> Vec<Insight> {
    let of_upstreams = snapshot.upstreams.iter();
    let of_upstreams = of_upstreams.flat_map(|(id, row)| of_upstream(id, row));
    let of_keys = snapshot.keys.iter();
    let of_keys = of_keys.flat_map(|(key, row)| of_key(key, row));
    let mut insights: Vec<_> = of_upstreams.chain(of_keys).collect();
    insights.sort_by(|a, b| {
        let kinds = (a.kind as u8).cmp(&(b.kind as u8));
        kinds.then(b.share.total_cmp(&a.share))
    });
    insights
}

fn of_upstream(id: &Arc<str>, row: &UpstreamStats) -> Vec<Insight> {
    let name = named(id, "requests without an upstream");
    let answers = row.answered + row.broken;
    let is_limited = |kind: &FailureKind| *kind == FailureKind::RateLimited;
    let limited = row.failed.get(&FailureKind::RateLimited).copied();
    let limited = limited.unwrap_or(0);
    let others = row.failed.iter().filter(|(kind, _)| !is_limited(kind));
    let worst = others.max_by_key(|(_, count)| **count);
    let worst = worst
        .map_or("", |(kind, _)| kind.as_str())
        .replace('_', " ");
    let say = |kind, count, of, least, text: &dyn Fn(u32) -> String| {
        let share = share(count, of, least)?;
        let text = text(percent(share));
        let subject = id.clone();
        Some(Insight {
            kind,
            subject,
            share,
            text,
        })
    };
    let denied = access_denied(id, name, row);
    let is_told = |kind: FailureKind| denied.is_some() && kind == FailureKind::Auth;
    let others = row.failed.iter().filter(|(kind, _)| !is_told(**kind));
    let failed = others.map(|(_, count)| count).sum::<u64>() - limited;
    let requests = row.requests;
    // Those that our own layers refused were not sent.
    let asked = requests.max(row.switched_away);
    [
        denied,
        say(InsightKind::Failing, failed, requests, 0.10, &|percent| {
            format!(
                "{name}: {percent} % of {requests} requests failed, most of them by {worst}; add an upstream that can take over, or ask the provider."
            )
        }),
        say(InsightKind::RateLimitedUpstream, limited, requests, 0.02, &|percent| {
            format!(
                "{name}: the upstream refused {percent} % of {requests} requests for their rate; set its limits as they are, or with a margin, so that requests wait here instead."
            )
        }),
        say(InsightKind::FallingBack, row.switched_away, asked, 0.25, &|percent| {
            format!(
                "{name}: {percent} % of {asked} requests went on to another upstream; put one that answers first in the chain, or ask for a higher quota."
            )
        }),
        say(InsightKind::Truncated, row.truncated, answers, 0.05, &|percent| {
            format!(
                "{name}: {percent} % of {answers} answers were cut off at their maximum of tokens; raise the maximum, or ask for shorter answers."
            )
        }),
        say(InsightKind::Breaking, row.broken, answers, 0.02, &|percent| {
            format!(
                "{name}: {percent} % of {answers} answers broke off in the middle; look at proxies and timeouts on the way, or ask the provider."
            )
        }),
        say(InsightKind::Cancelled, row.cancelled, requests, 0.10, &|percent| {
            let begins = match row.content.count {
                0 => "no answer began".to_owned(),
                _ => format!("one answer in ten begins later than {:.1?}", row.content.p90),
            };
            format!(
                "{name}: {percent} % of {requests} requests were given up by their callers; {begins}, so a faster model or more patience may help."
            )
        }),
        say(InsightKind::UsageUnknown, row.usage_unknown, answers, 0.10, &|percent| {
            format!(
                "{name}: {percent} % of {answers} answers told no usage, and are not in the sums of tokens and money; for streams, set `include_usage` on the provider layer."
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where nothing else was ever answered, it is no single request's fault.
fn access_denied(id: &Arc<str>, name: &str, row: &UpstreamStats) -> Option<Insight> {
    let denied = row.failed.get(&FailureKind::Auth).copied()?;
    let is_unanswered = |kind: &FailureKind| {
        let unanswered = [
            FailureKind::Auth,
            FailureKind::Timeout,
            FailureKind::Transport,
        ];
        unanswered.contains(kind)
    };
    let has_other = row.answered + row.broken > 0 || !row.failed.keys().all(is_unanswered);
    let text = format!(
        "{name}: each of {denied} answers said that the key is wrong or may not do this (401, 403); look at the provider's key (`Provider::key`, or `key_env` in the file) and at what it may use."
    );
    (!has_other && denied >= LEAST).then(|| Insight {
        kind: InsightKind::AccessDenied,
        subject: id.clone(),
        share: share(denied, row.requests, 0.0).unwrap_or(1.0),
        text,
    })
}

fn of_key(key: &Arc<str>, row: &KeyStats) -> Vec<Insight> {
    let name = named(key, "all requests");
    let asked = row.admitted + row.refused();
    let held_back = row.held_back_by.iter().max_by_key(|(_, count)| **count);
    let held_back = held_back.map_or("", |(limit, _)| limit);
    let remedy = remedy(held_back);
    let limit = match held_back {
        "" => "their turn".to_owned(),
        limit => format!("`{limit}`"),
    };
    let too_late = row.refused_by_deadline;
    let turned_away = row.refused_wait_too_long - too_late + row.refused_queue_full;
    let admitted = row.admitted;
    let say = |kind, count, of, least, text: &dyn Fn(u32) -> String| {
        let share = share(count, of, least)?;
        let text = text(percent(share));
        let subject = key.clone();
        Some(Insight {
            kind,
            subject,
            share,
            text,
        })
    };
    let waiting = say(
        InsightKind::Waiting,
        row.long_waits,
        admitted,
        0.05,
        &|percent| {
            format!(
                "{name}: {percent} % of {admitted} requests waited longer than 2 s for {limit}; {remedy} or add an upstream."
            )
        },
    );
    let near = near_limit(key, name, row).filter(|_| waiting.is_none());
    [
        waiting,
        say(InsightKind::Refused, turned_away, asked, 0.01, &|percent| {
            format!(
                "{name}: {percent} % of {asked} requests were refused because they would have waited too long for {limit}; add an upstream, {remedy}, or allow a longer wait."
            )
        }),
        say(InsightKind::OutOfTime, too_late, asked, 0.01, &|percent| {
            format!(
                "{name}: {percent} % of {asked} requests were refused because they would have waited for {limit} beyond their own deadline; add an upstream, {remedy}, or give them more time."
            )
        }),
        say(InsightKind::TooLarge, row.refused_too_large, asked, 0.01, &|percent| {
            format!(
                "{name}: {percent} % of {asked} requests were larger than a limit ever allows; shorten them, lower their maximum of tokens, or add an upstream that takes them."
            )
        }),
        near,
        say(InsightKind::Shadowed, row.shadowed, admitted, 0.01, &|percent| {
            format!(
                "{name}: a limit in shadow mode would have held back {percent} % of {admitted} requests; raise it before it is put into force."
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn near_limit(key: &Arc<str>, name: &str, row: &KeyStats) -> Option<Insight> {
    let peaks = row.peaks.iter().filter(|_| row.admitted >= LEAST);
    let peak = peaks.max_by(|a, b| a.share.total_cmp(&b.share))?;
    let (limit, of) = (peak.limit, percent(peak.share));
    let next = match (row.queued, row.admitted) {
        (0, _) => "a little more, and requests will wait".to_owned(),
        (queued, all) => {
            format!("{queued} of {all} requests waited a moment, and a little more makes it longer")
        }
    };
    let text = format!("{name}: at its peak {of} % of `{limit}` was taken; {next}.");
    (peak.share >= 0.90).then(|| Insight {
        kind: InsightKind::NearLimit,
        subject: key.clone(),
        share: peak.share,
        text,
    })
}

/// The share, where enough was seen to speak of one and it is no less than `least`.
fn share(count: u64, of: u64, least: f64) -> Option<f64> {
    let share = count as f64 / of.max(1) as f64;
    (of >= LEAST && share >= least).then_some(share)
}

fn percent(share: f64) -> u32 {
    (share * 100.0).round() as u32
}

fn named<'a>(name: &'a str, empty: &'a str) -> &'a str {
    if name.is_empty() { empty } else { name }
}

/// Fewer are no reason to change anything.
const LEAST: u64 = 20;
