//! The grammar of quota headers' names.

use crate::outcome::{Dimension, Window};

/// What a header's name says: `x-ratelimit-limit-tokens-minute`, `anthropic-ratelimit-input-tokens-reset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct QuotaName<'a> {
    pub(super) role: Role,
    pub(super) dimension: Dimension,
    /// The dimension in the header's own word.
    pub(super) unit: &'a str,
    /// The period in the header's own words.
    pub(super) period: &'a str,
    pub(super) window: Option<Window>,
    /// Whether it is that of a capacity that was bought in advance.
    pub(super) is_priority: bool,
}

/// What a header's value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Limit,
    Remaining,
    Used,
    Reset,
    /// A reset that is a duration for certain.
    ResetAfter,
    /// The length of the period, in seconds.
    Renewal,
    /// The IETF's `RateLimit`.
    Items,
    /// The IETF's `RateLimit-Policy`.
    Policies,
}

/// Whether a header may speak of a quota. Asked of every header of every answer: a look at the first bytes settles
/// most.
pub(super) fn is_quota_name(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', b'-', b'r', b'a', b't', b'e', ..] => true,
        [b'x', b'-', b't' | b'e', ..] => {
            name.ends_with("limit") || name.starts_with("x-tokenlimit-")
        }
        [b'r', b'a', b't', b'e', b'l', ..] => name.starts_with("ratelimit"),
        [b'a', b'n', b't', ..] => {
            name.starts_with("anthropic-ratelimit-") || name.starts_with(PRIORITY)
        }
        [b'l', b'l', b'm', ..] => name.starts_with(RELAYED),
        _ => false,
    }
}

impl<'a> QuotaName<'a> {
    /// Reads a name, in lower case as [`http::HeaderName`] has it; none if it speaks of no quota.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let name = name.strip_prefix(RELAYED).unwrap_or(name);
        if let Some((_, role, dimension, window)) =
            WHOLE_NAMES.iter().find(|(whole, ..)| *whole == name)
        {
            return Some(Self {
                role: *role,
                dimension: *dimension,
                unit: "",
                period: window.map_or("", Window::as_str),
                window: *window,
                is_priority: false,
            });
        }
        let (prefix, default) = FAMILIES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))?;
        let rest = &name[prefix.len()..];
        let (role, rest) = split_role(rest)?;
        let (unit, period, window) = split_period(rest);
        let dimension = match unit {
            "" => *default,
            unit => dimension_of(unit),
        };
        // Without a role, only a known unit makes it a limit: `x-ratelimit-tokens`, but not `x-ratelimit-key`.
        if role.is_none() && matches!(dimension, Dimension::Other) || unit.starts_with("unified") {
            return None;
        }
        Some(Self {
            role: role.unwrap_or(Role::Limit),
            dimension,
            unit,
            period,
            window,
            is_priority: *prefix == PRIORITY,
        })
    }
}

/// The role, which stands first or last, and the rest; no role where only a unit is there.
fn split_role(rest: &str) -> Option<(Option<Role>, &str)> {
    if rest.is_empty() {
        return None;
    }
    for (word, role) in ROLES {
        if let Some(unit) = rest.strip_prefix(word)
            && (unit.is_empty() || unit.starts_with('-'))
        {
            return Some((Some(role), unit.trim_start_matches('-')));
        }
    }
    for (word, role) in ROLES {
        if let Some(unit) = rest.strip_suffix(word)
            && let Some(unit) = unit.strip_suffix('-')
        {
            return Some((Some(role), unit));
        }
    }
    Some((None, rest))
}

/// The unit, the period as written, and the window if the period is one of those with a name.
fn split_period(rest: &str) -> (&str, &str, Option<Window>) {
    if rest.len() == 3
        && let Some((_, unit, window)) = ACRONYMS.iter().find(|(acronym, ..)| *acronym == rest)
    {
        return (unit, window.as_str(), Some(*window));
    }
    let (before, word) = rest.rsplit_once('-').unwrap_or(("", rest));
    let Some((_, window)) = PERIODS.iter().find(|(period, _)| *period == word) else {
        return (rest, "", None);
    };
    let (unit, count) = before.rsplit_once('-').unwrap_or(("", before));
    match count.parse::<u32>() {
        Ok(1) => (unit, word, Some(*window)),
        // A window of ten seconds has no name.
        Ok(_) => (unit, &rest[unit.len()..], None),
        Err(_) => (
            before.strip_suffix("-per").unwrap_or(before),
            word,
            Some(*window),
        ),
    }
}

/// What a unit's word counts.
pub(super) fn dimension_of(unit: &str) -> Dimension {
    match unit {
        "requests" | "request" | "req" | "calls" => Dimension::Requests,
        "tokens" | "token" => Dimension::Tokens,
        "input-tokens" | "prompt-tokens" | "tokens-prompt" => Dimension::InputTokens,
        "output-tokens" | "completion-tokens" | "tokens-generated" | "generated-tokens" => {
            Dimension::OutputTokens
        }
        "images" | "input-images" => Dimension::Images,
        "audio-seconds" => Dimension::AudioSeconds,
        "concurrent" | "concurrency" | "concurrent-requests" => Dimension::Concurrency,
        _ => Dimension::Other,
    }
}

/// What the names begin with, longest first, and what is counted where they name no unit.
const FAMILIES: [(&str, Dimension); 8] = [
    ("x-ratelimitbysize-", Dimension::Tokens),
    ("x-ratelimit-", Dimension::Requests),
    ("x-rate-limit-", Dimension::Requests),
    ("x-tokenlimit-", Dimension::Tokens),
    ("ratelimitbysize-", Dimension::Tokens),
    ("ratelimit-", Dimension::Requests),
    ("anthropic-ratelimit-", Dimension::Requests),
    (PRIORITY, Dimension::Requests),
];

/// Anthropic's priority tier (<https://docs.anthropic.com/en/api/service-tiers>).
const PRIORITY: &str = "anthropic-priority-";

/// What LiteLLM's proxy puts in front of the upstream's own headers.
const RELAYED: &str = "llm_provider-";

/// Names that are understood as a whole. Cohere's trial limit is per minute by its documentation
/// (<https://docs.cohere.com/docs/rate-limits>).
const WHOLE_NAMES: [(&str, Role, Dimension, Option<Window>); 5] = [
    ("ratelimit", Role::Items, Dimension::Requests, None),
    (
        "ratelimit-policy",
        Role::Policies,
        Dimension::Requests,
        None,
    ),
    (
        "x-ratelimit-policy",
        Role::Policies,
        Dimension::Requests,
        None,
    ),
    (
        "x-endpoint-monthly-call-limit",
        Role::Limit,
        Dimension::Requests,
        Some(Window::Month),
    ),
    (
        "x-trial-endpoint-call-limit",
        Role::Limit,
        Dimension::Requests,
        Some(Window::Minute),
    ),
];

/// `reset-after` before `reset`, which it begins with.
const ROLES: [(&str, Role); 6] = [
    ("limit", Role::Limit),
    ("remaining", Role::Remaining),
    ("used", Role::Used),
    ("reset-after", Role::ResetAfter),
    ("reset", Role::Reset),
    ("renewalperiod", Role::Renewal),
];

const PERIODS: [(&str, Window); 5] = [
    ("second", Window::Second),
    ("minute", Window::Minute),
    ("hour", Window::Hour),
    ("day", Window::Day),
    ("month", Window::Month),
];

/// A unit and its period in one word, as gateways have it.
const ACRONYMS: [(&str, &str, Window); 4] = [
    ("rpm", "requests", Window::Minute),
    ("tpm", "tokens", Window::Minute),
    ("rpd", "requests", Window::Day),
    ("tpd", "tokens", Window::Day),
];
